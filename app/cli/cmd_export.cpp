// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "base/replace_file.h"
#include "engine/export_model.h"
#include "engine/trials.h"
#include "exporters/exporter.h"
#include "exporters/report.h"
#include "simulate/simulation.h"

#include <ATen/ATen.h>

#include <CLI/CLI.hpp>

#include <filesystem>
#include <memory>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options { std::string model, config, format, output, data, session; };

constexpr const char *kReport = "report";

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

/// The argument as a shell takes it.
std::string quoted(const std::string &text)
{
    std::string out = "'";
    for (const char c : text)
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

Result<Output> report(const Options &options, Console &console)
{
    BW_CHECK(notOver(options.model, options.output));
    std::unique_ptr<SessionStore> store;
    if (!options.session.empty()) {
        BW_ASSIGN(store, SessionStore::open(options.session, false));
    }
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_ASSIGN(auto assignment, readAssignment(*network, options.config, console));
    const bool folded = assignment.config.foldBatchNorm;
    ModelSummary summary = network->summary();
    ActivationStatistics statistics;
    std::shared_ptr<const Dataset> data;
    if (!options.data.empty()) {
        BW_ASSIGN(data, openDataFor(*network, options.data, console));
        summary = network->summaryFor(data->sampleShape());
        BW_ASSIGN(statistics, collectActivations(*network, folded, {}, *data, kCalibrationSamples, console.job()));
        BW_CHECK(fillActivations(assignment.resolved, *network, statistics));
        assignment.config = withValues(assignment.config, assignment.resolved, false);
    }
    BW_ASSIGN(const auto input, exportInput({network, assignment.config, assignment.resolved, {}}, {}));
    BW_ASSIGN(auto content, reportContent(input, summary, assignment.config, statistics, console.job()));
    if (data) {
        EvaluationOptions evaluation;
        evaluation.incremental = false;
        BW_ASSIGN(evaluation.metric, defaultMetric(*network, *data, console.job()));
        BW_ASSIGN(const auto simulation, Simulation::make(network, assignment.resolved, folded));
        Evaluator evaluator(network, data);
        BW_ASSIGN(const auto estimate, evaluator.evaluate(*simulation, evaluation, console.job()));
        content.measured = true;
        content.accuracy = makeTrial(summary, assignment.config, modelCost(summary, input.config, folded), evaluation.metric, estimate,
                                     {"evaluation", options.data, {}, console.options().seed, -1});
    }
    if (store) {
        BW_ASSIGN(const auto trials, store->trials());
        for (const TrialRecord &trial : trials)
            if (trial.modelSha == summary.sha256)
                content.trials.push_back(trial);
    }
    content.seed = console.options().seed;
    content.created = timeText();
    std::string command = "bitwright-cli export " + quoted(options.model);
    for (const auto &[name, value] : {std::pair{" --config ", &options.config}, {" --data ", &options.data}, {" --session ", &options.session}})
        if (!value->empty())
            command += name + quoted(*value);
    content.commands.push_back(command + " --format report -o " + quoted(options.output));
    BW_CHECK(writeReport(content, options.output));
    Output output;
    output.firstKeys = {"path", "bytes", "layers", "name", "bits", "encoding", "notes"};
    std::error_code code;
    const auto bytes = std::int64_t(std::filesystem::file_size(options.output, code));
    output.json = {{"path", options.output}, {"format", kReport}, {"bytes", bytes}, {"layers", json::array()}, {"notes", json::array()}};
    for (const ReportLayer &layer : content.layers)
        output.json["layers"].push_back({{"name", layer.name}, {"bits", layer.bits},
                                         {"encoding", layer.method + ", input " + layer.activation}});
    output.text = options.output + ": report, " + byteSize(double(bytes)) + "\n";
    return output;
}

Result<Output> exportTo(const Options &options, Console &console)
{
    if (options.format == kReport)
        return report(options, console);
    if (!options.data.empty() || !options.session.empty())
        return fail(ErrorKind::Invalid, std::string(options.data.empty() ? "--session" : "--data") + ", only the report reads it; leave it out for --format " + options.format);
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_ASSIGN(const auto assignment, readAssignment(*network, options.config, console));
    // says what is not calibrated
    BW_CHECK(Simulation::make(network, assignment.resolved, assignment.config.foldBatchNorm));
    BW_ASSIGN(const auto report, exportModel({network, assignment.config, assignment.resolved, {}}, options.format, options.output,
                                             exampleFor(network->summary()), console.job()));
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
    formats.push_back(kReport);
    app.add_option("MODEL", options->model, "Network file")->required();
    app.add_option("--config", options->config, "Assignment; without it the float network is written");
    app.add_option("--format", options->format, "File format")->required()->check(CLI::IsMember(formats));
    app.add_option("-o,--output", options->output, "File to write")->required();
    app.add_option("--data", options->data, "Data, KIND:PATH[,option=value…]; a report measures the accuracy and draws inputs with it");
    app.add_option("--session", options->session, "Session file whose trials a report shows");
    return [options](Console &console) { return exportTo(*options, console); };
}

} // namespace bitwright::cli
