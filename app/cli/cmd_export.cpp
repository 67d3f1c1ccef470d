// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "base/replace_file.h"
#include "engine/export_model.h"
#include "engine/trials.h"
#include "exporters/exporter.h"
#include "report/measured_trial.h"
#include "report/report_text.h"
#include "simulate/simulation.h"

#include <ATen/ATen.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <iterator>
#include <memory>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options { std::string model, config, format, output, data, session; };

/// Zeros of the input's shape, to learn shapes that the graph leaves open; undefined where the file leaves too much open.
at::Tensor exampleFor(const ModelSummary &summary)
{
    if (summary.inputs.size() != 1 || summary.inputs[0].dtype != "float32")
        return {};
    auto shape = summary.inputs[0].shape;
    if (shape.empty())
        return {};
    if (shape[0] < 0)
        shape[0] = 2;   // one sample could be taken for a size that is broadcast
    for (const auto size : shape)
        if (size < 0)
            return {};
    return at::zeros(shape);
}

/// How many ranges of `config` calibrating on what was counted leads to.
std::ptrdiff_t rangesFrom(const ActivationStatistics &statistics, const ResolvedConfig &config, const Network &network)
{
    ResolvedConfig again = config;
    for (auto &[name, layer] : again)
        layer.activation.values.clear();
    return fillActivations(again, network, statistics) ? sharedRanges(config, again) : 0;
}

/// What a document shows beside the network. Fills in what the assignment lacks where there is data.
Result<std::shared_ptr<const ExportEvidence>> evidenceFor(const Options &options, const std::shared_ptr<const Network> &network,
                                                          Assignment &assignment, const SessionStore *store, Console &console)
{
    auto evidence = std::make_shared<ExportEvidence>();
    const bool folded = assignment.config.foldBatchNorm;
    evidence->summary = network->summary();
    evidence->seed = console.options().seed;
    evidence->created = timeText();
    std::shared_ptr<const Dataset> data;
    if (!options.data.empty()) {
        BW_ASSIGN(data, openDataFor(*network, options.data, console));
        evidence->summary = network->summaryFor(data->sampleShape());
        BW_ASSIGN(evidence->statistics, collectActivations(*network, folded, {}, *data, kCalibrationSamples, console.job()));
        BW_CHECK(fillActivations(assignment.resolved, *network, evidence->statistics));
        assignment.config = withValues(assignment.config, assignment.resolved, false);
        // Ranges that this data gives again were found on it, whoever wrote them down: on its first samples, or on all of
        // them as `calibrate` does.
        std::int64_t samples = std::min(kCalibrationSamples, data->size());
        const auto ranges = rangeCount(assignment.resolved);
        auto found = rangesFrom(evidence->statistics, assignment.resolved, *network);
        if (found < ranges && samples < data->size()) {
            BW_ASSIGN(const auto all, collectActivations(*network, folded, {}, *data, data->size(), console.job()));
            if (const auto more = rangesFrom(all, assignment.resolved, *network); more > found) {
                found = more;
                samples = data->size();
            }
        }
        if (2 * found > ranges) {
            evidence->calibrationData = options.data;
            evidence->calibrationSamples = samples;
        }
    }
    evidence->config = assignment.config;
    evidence->calibrated = rangeCount(assignment.resolved) > 0;
    if (store) {
        BW_ASSIGN(const auto trials, store->trials());
        std::ranges::copy_if(trials, std::back_inserter(evidence->trials),
                             [&](const TrialRecord &trial) { return trial.modelSha == evidence->summary.sha256; });
        if (const TrialRecord *trial = measuredTrial(evidence->trials, evidence->summary, assignment.config, {}, methodCatalog()))
            evidence->measured = *trial;
    }
    if (data) {
        EvaluationOptions evaluation;
        evaluation.incremental = false;
        BW_ASSIGN(evaluation.metric, defaultMetric(*network, *data, console.job()));
        BW_ASSIGN(const auto simulation, Simulation::make(network, assignment.resolved, folded));
        Evaluator evaluator(network, data);
        BW_ASSIGN(const auto estimate, evaluator.evaluate(*simulation, evaluation, console.job()));
        evidence->measured = makeTrial(evidence->summary, assignment.config, modelCost(evidence->summary, assignment.resolved, folded),
                                       evaluation.metric, estimate, {"evaluation", options.data, {}, console.options().seed, -1});
    }
    std::string command = "bitwright-cli export " + shellWord(options.model);
    for (const auto &[name, value] : {std::pair{" --config ", &options.config}, {" --data ", &options.data}, {" --session ", &options.session}})
        if (!value->empty())
            command += name + shellWord(*value);
    evidence->commands.push_back(command + " --format " + options.format + " -o " + shellWord(options.output));
    return std::shared_ptr<const ExportEvidence>(std::move(evidence));
}

Result<Output> exportTo(const Options &options, Console &console)
{
    const bool document = findExporter(options.format)->document;
    if (!document && (!options.data.empty() || !options.session.empty()))
        return fail(ErrorKind::Invalid, std::string(options.data.empty() ? "--session" : "--data") + ", only the report reads it; leave it out for --format " + options.format);
    BW_CHECK(notOver(options.model, options.output));
    std::unique_ptr<SessionStore> store;
    if (!options.session.empty()) {
        BW_ASSIGN(store, SessionStore::open(options.session, false));
    }
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_ASSIGN(auto assignment, readAssignment(*network, options.config, console));
    std::shared_ptr<const ExportEvidence> evidence;
    if (document) {
        BW_ASSIGN(evidence, evidenceFor(options, network, assignment, store.get(), console));
    } else {   // says what is not calibrated
        BW_CHECK(Simulation::make(network, assignment.resolved, assignment.config.foldBatchNorm));
    }
    BW_ASSIGN(const auto report, exportModel({network, assignment.config, assignment.resolved, {}}, options.format, options.output,
                                             exampleFor(network->summary()), console.job(), evidence));
    TextTable table({{"layer"}, {"bits", TextTable::Align::Right}, {"encoding"}});
    Output output;
    output.firstKeys = {"path", "bytes", "layers", "name", "bits", "encoding", "notes"};
    output.json = {{"path", options.output}, {"format", options.format}, {"bytes", report.bytes}, {"layers", json::array()},
                   {"notes", report.notes}};
    for (const auto &layer : report.layers) {
        output.json["layers"].push_back({{"name", layer.name}, {"bits", layer.bits}, {"encoding", layer.encoding}});
        table.add({layer.name, std::to_string(layer.bits), layer.encoding});
    }
    output.text = options.output + ": " + byteSize(double(report.bytes)) + "\n\n" + table.text();
    for (const auto &note : report.notes)
        output.text += "note: " + note + "\n";
    return output;
}

} // namespace

Work declareExport(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    std::vector<std::string> formats;
    for (const auto &exporter : exporters())
        formats.push_back(exporter.id);
    app.add_option("MODEL", options->model, "Network file")->required();
    app.add_option("--config", options->config, "Assignment; without it the float network is written");
    app.add_option("--format", options->format, "File format")->required()->check(CLI::IsMember(formats));
    app.add_option("-o,--output", options->output, "File to write")->required();
    app.add_option("--data", options->data, "Data, KIND:PATH[,option=value…]; a report measures the accuracy and draws inputs with it");
    app.add_option("--session", options->session, "Session file whose trials a report shows");
    return [options](Console &console) { return exportTo(*options, console); };
}

} // namespace bitwright::cli
