// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"

#include "base/json_util.h"
#include "session/data_preview.h"
#include "store/session_store.h"

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

using nlohmann::json;

json trialJson(const TrialRecord &trial)
{
    auto assignment = parseJson(trial.assignment, "the assignment");
    json object{{"id", trial.id}, {"kind", trial.kind}, {"metric", trial.metric}, {"value", trial.value}, {"low", trial.low},
                {"high", trial.high}, {"loss", trial.loss}, {"samples", trial.samples}, {"size_bytes", trial.sizeBytes},
                {"bops", trial.bops}, {"seed", trial.seed}, {"versions", trial.versions}, {"model", trial.modelPath},
                {"model_sha256", trial.modelSha}, {"data", trial.data}, {"weights", trial.weights},
                {"seconds", trial.seconds}, {"created", trial.created}};
    object["assignment"] = assignment ? std::move(*assignment) : json(trial.assignment);
    if (isRandomData(trial.data))
        object["random_data"] = true;
    if (trial.epoch >= 0)
        object["epoch"] = trial.epoch;
    return object;
}

} // namespace

Work declareTrials(CLI::App &app)
{
    auto session = std::make_shared<std::string>();
    app.add_option("SESSION", *session, "Session file")->required();
    return [session](Console &) -> Result<Output> {
        BW_ASSIGN(auto store, SessionStore::open(*session, false));
        BW_ASSIGN(const auto trials, store->trials());
        constexpr auto kRight = TextTable::Align::Right;
        TextTable table({{"id", kRight}, {"kind"}, {"epoch", kRight}, {"metric"}, {"value (95 %)"}, {"size", kRight},
                         {"samples", kRight}, {"data"}, {"seed", kRight}, {"created"}});
        Output output;
        output.firstKeys = {"id", "kind", "epoch", "metric", "value", "low", "high", "size_bytes", "bops", "seed", "versions"};
        output.json = {{"trials", json::array()}};
        for (const auto &trial : trials) {
            output.json["trials"].push_back(trialJson(trial));
            table.add({std::to_string(trial.id), trial.kind, trial.epoch < 0 ? "" : std::to_string(trial.epoch), trial.metric,
                       withInterval(trial.value, trial.low, trial.high), byteSize(double(trial.sizeBytes)),
                       grouped(trial.samples), dataLabel(trial.data), std::to_string(trial.seed), trial.created});
        }
        output.text = table.empty() ? *session + " holds no trials yet\n" : table.text();
        return output;
    };
}

} // namespace bitwright::cli
