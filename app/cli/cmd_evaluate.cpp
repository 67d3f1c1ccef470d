// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "cost/size_model.h"
#include "engine/export_model.h"
#include "engine/trials.h"
#include "exporters/pack.h"
#include "simulate/calibration.h"
#include "simulate/evaluator.h"

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

struct Options { std::string model, data, config, preset, metric, session; };

/// What `export --format pack` would write, or null where the network cannot be packed.
nlohmann::json packedBytes(const std::shared_ptr<const Network> &network, const Assignment &assignment, Console &console)
{
    const auto input = exportInput({network, assignment.config, assignment.resolved, {}}, {});
    if (!input)
        return nullptr;
    const auto file = packModel(*input, console.job());
    return file ? nlohmann::json(pack::serialize(*file).size()) : nlohmann::json(nullptr);
}

Result<Output> evaluate(const Options &options, Console &console)
{
    BW_ASSIGN(const auto store, openSession(options.session));
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_ASSIGN(auto assignment, readAssignment(*network, options.config, console, options.preset));
    BW_ASSIGN(const auto data, openDataFor(*network, options.data, console));
    if (!options.preset.empty()) {   // a preset has no values that could have been calibrated before
        BW_CHECK(calibrateMissing(assignment, *network, *data, console));
        assignment.config = withValues(assignment.config, assignment.resolved, false);
    }
    EvaluationOptions evaluation;
    evaluation.incremental = false;   // one assignment: nothing to keep
    if (options.metric.empty()) {
        BW_ASSIGN(evaluation.metric, defaultMetric(*network, *data, console.job()));
    } else {
        BW_ASSIGN(evaluation.metric, metricFromName(options.metric));
    }
    const bool folded = assignment.config.foldBatchNorm;
    BW_ASSIGN(const auto simulation, Simulation::make(network, assignment.resolved, folded));
    Evaluator evaluator(network, data);
    BW_ASSIGN(const auto estimate, evaluator.evaluate(*simulation, evaluation, console.job()));
    if (const std::string note = nonFiniteNote(estimate); !note.empty())
        console.warn("warning: " + note);
    const ModelSummary summary = network->summaryFor(data->sampleShape());
    const auto cost = modelCost(summary, assignment.resolved, folded);
    if (store)
        BW_CHECK(store->addTrial(makeTrial(summary, assignment.config, cost, evaluation.metric, estimate,
                                           {"evaluation", options.data, {}, console.options().seed, -1})));
    const auto floatBytes = floatSizeBytes(summary);
    const auto *metric = metricName(evaluation.metric);
    Output output;
    output.firstKeys = {"metric", "value", "low", "high", "loss", "samples", "size_bytes", "float_size_bytes", "packed_bytes", "bops", "seconds"};
    output.json = {{"metric", metric}, {"value", estimate.value}, {"low", estimate.low}, {"high", estimate.high},
                   {"loss", estimate.loss}, {"samples", estimate.samples}, {"size_bytes", cost.sizeBytes()},
                   {"float_size_bytes", floatBytes}, {"packed_bytes", packedBytes(network, assignment, console)}, {"bops", cost.bops}, {"seconds", estimate.seconds}};
    TextTable table({{""}, {""}});
    table.add({metric, withInterval(estimate.value, estimate.low, estimate.high) + " on " + grouped(estimate.samples) + " samples"});
    table.add({"loss", fixed(estimate.loss, 4)});
    table.add({"size", byteSize(double(cost.sizeBytes())) + " of " + byteSize(double(floatBytes)) + " in float (" +
                           fixed(double(floatBytes) / double(std::max<std::int64_t>(1, cost.sizeBytes())), 2) + " times smaller)"});
    table.add({"bit operations", fixed(cost.bops / 1e9, 3) + " G a sample"});
    table.add({"time", fixed(estimate.seconds, 2) + " s"});
    output.text = table.text().substr(1);
    noteRandomData(output, *data);
    return output;
}

} // namespace

Work declareEvaluate(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Network file")->required();
    addDataOption(app, options->data)->required();
    app.add_option("--config", options->config, "Assignment; without it the float network is measured");
    addPresetOption(app, options->preset);
    app.add_option("--metric", options->metric, "top1, top5, agreement or sqnr (default top1; without labels agreement, without scores sqnr)")
        ->check(CLI::IsMember({"top1", "top5", "agreement", "sqnr"}));
    app.add_option("--session", options->session, "Session file that the result is added to");
    return [options](Console &console) { return evaluate(*options, console); };
}

} // namespace bitwright::cli
