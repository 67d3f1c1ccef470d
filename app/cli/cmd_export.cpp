// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "engine/export_model.h"
#include "exporters/exporter.h"
#include "simulate/simulation.h"

#include <ATen/ATen.h>

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options { std::string model, config, format, output; };

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

Result<Output> exportTo(const Options &options, Console &console)
{
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
    app.add_option("MODEL", options->model, "Network file")->required();
    app.add_option("--config", options->config, "Assignment; without it the float network is written");
    app.add_option("--format", options->format, "File format")->required()->check(CLI::IsMember(formats));
    app.add_option("-o,--output", options->output, "File to write")->required();
    return [options](Console &console) { return exportTo(*options, console); };
}

} // namespace bitwright::cli
