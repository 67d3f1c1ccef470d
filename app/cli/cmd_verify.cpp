// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "engine/export_model.h"
#include "exporters/pack_file.h"
#include "exporters/verify.h"
#include "frontends/frontend.h"
#include "simulate/sample_batches.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>

#include <algorithm>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options { std::string file, against, config, data; };

/// By the content, as everywhere.
Result<std::string> formatOf(const std::string &path)
{
    if (pack::isPack(path))
        return std::string("pack");
    for (const auto &frontend : frontends())
        if (frontend.probe(path))
            return frontend.id;
    // the loader knows what else it may be and how to say it
    if (auto graph = loadGraph(path); !graph)
        return std::unexpected(graph.error());
    return fail(ErrorKind::Unsupported, path + ", not a network file; export it again");
}

/// Weights can be compared without being run.
bool holdsWeights(const std::string &path)
{
    const auto probes = [&](const char *id) {
        const auto found = std::ranges::find(frontends(), std::string_view(id), &Frontend::id);
        return found != frontends().end() && found->probe(path);
    };
    return pack::isPack(path) || probes("state_dict") || probes("safetensors");
}

Result<Output> verify(const Options &options, Console &console)
{
    VerifyInput input;
    input.path = options.file;
    BW_ASSIGN(input.format, formatOf(options.file));
    BW_ASSIGN(const auto network, Network::open(options.against, console.job()));
    BW_ASSIGN(const auto assignment, readAssignment(*network, options.config, console));
    if (!options.data.empty()) {
        BW_ASSIGN(const auto data, openDataFor(*network, options.data, console));
        input.samples = data->size();
        input.rows = [network, data](std::int64_t first, std::int64_t count) { return batchArguments(*network, *data, first, count); };
        if (const std::int64_t batch = requiredBatch(*network, *data); batch > 0)
            input.batch = batch;
    }
    input.threads = at::get_num_threads();
    BW_CHECK(setSimulation(input, {network, assignment.config, assignment.resolved, {}}));
    BW_ASSIGN(const auto report, verifyFile(input, console.job()));
    Output output;
    output.firstKeys = {"runtime", "samples", "max_abs_difference", "top1_agreement", "differing_levels", "first_differing_layer"};
    output.json = {{"runtime", report.runtime}, {"samples", report.samples}, {"max_abs_difference", report.maxAbsDifference},
                   {"top1_agreement", report.samples > 0 ? json(report.top1Agreement) : json(nullptr)}, {"differing_levels", report.differingLevels},
                   {"differing_samples", report.differingSamples},
                   {"first_differing_layer", report.firstDifferingLayer.empty() ? json(nullptr) : json(report.firstDifferingLayer)},
                   {"reason", report.reason.empty() ? json(nullptr) : json(report.reason)}, {"layers", json::array()}, {"notes", report.notes}};
    for (const auto &layer : report.layers)
        output.json["layers"].push_back({{"name", layer.layer}, {"max_abs_difference", layer.maxAbsDifference},
                                         {"differing_levels", layer.differingLevels}});
    TextTable table({{""}, {""}});
    table.add({"runtime", report.runtime});
    if (report.samples > 0)
        table.add({"top-1 agreement", fixed(report.top1Agreement, 6) + " on " + grouped(report.samples) + " samples"});
    table.add({"largest difference", json(report.maxAbsDifference).dump()});
    table.add({"differing levels", grouped(report.differingLevels)});
    table.add({"first differing layer", report.firstDifferingLayer.empty() ? "none" : report.firstDifferingLayer});
    output.text = table.text().substr(1);
    if (!report.reason.empty())
        output.text += "why: " + report.reason + "\n";
    for (const auto &note : report.notes)
        output.text += "note: " + note + "\n";
    return output;
}

} // namespace

Work declareVerify(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("F", options->file, "The written file")->required();
    app.add_option("--against", options->against, "The network it was made from")->required();
    app.add_option("--config", options->config, "The assignment it was made with");
    app.add_option("--data", options->data, "Data, KIND:PATH[,option=value…]; weights (a pack, a state dict) are compared without it, too");
    app.parse_complete_callback([options] {
        if (options->data.empty() && !holdsWeights(options->file))
            throw CLI::RequiredError("--data");
    });
    return [options](Console &console) { return verify(*options, console); };
}

} // namespace bitwright::cli
