// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"

#include "simulate/network.h"

#include <CLI/CLI.hpp>

#include <filesystem>

namespace bitwright::cli {

namespace {

using nlohmann::json;

json tensorsJson(const std::vector<TensorInfo> &tensors)
{
    json list = json::array();
    for (const auto &tensor : tensors)
        list.push_back({{"name", tensor.name}, {"shape", tensor.shape}, {"dtype", tensor.dtype}, {"free_dimensions", tensor.freeDimensions}});
    return list;
}

json layersJson(const ModelSummary &model)
{
    json list = json::array();
    for (const auto &layer : model.layers)
        list.push_back({{"name", layer.name}, {"operator", layer.op}, {"weight_shape", layer.weightShape},
                        {"parameters", layer.parameters()}, {"macs", layer.macs}, {"groups", layer.groups},
                        {"calls", layer.calls}, {"shortcut", layer.shortcut}, {"status", layerStatusName(layer.status)}, {"reason", layer.reason}});
    return list;
}

std::string tensorsText(const std::vector<TensorInfo> &tensors)
{
    std::string text;
    for (const auto &tensor : tensors)
        text += (text.empty() ? "" : ", ") + tensor.name + " " + shapeText(tensor.shape) + " " + tensor.dtype;
    return text;
}

std::string summaryText(const ModelSummary &model, const std::vector<std::string> &obstacles)
{
    TextTable table({{"layer"}, {"operator"}, {"weight"}, {"parameters", TextTable::Align::Right},
                     {"MACs", TextTable::Align::Right}, {"status"}, {""}});
    std::int64_t macs = 0;
    for (const auto &layer : model.layers) {
        macs += layer.macs;
        table.add({layer.name, layer.op, shapeText(layer.weightShape), grouped(layer.parameters()), grouped(layer.macs),
                   layerStatusName(layer.status), layer.reason});
    }
    std::string text = model.path + ": " + model.format + ", " + grouped(model.nodes) + " nodes, " + grouped(model.parameters) +
                       " parameters (" + byteSize(4.0 * double(model.parameters)) + "), " + grouped(macs) + " MACs a sample\n";
    text += "inputs:  " + tensorsText(model.inputs) + "\noutputs: " + tensorsText(model.outputs) + "\n";
    if (model.fixedBatch > 0)
        text += "the file insists on a batch of " + std::to_string(model.fixedBatch) + "\n";
    for (const std::string &obstacle : obstacles)
        text += "cannot be run: " + obstacle + "\n";
    return text + "\n" + table.text();
}

} // namespace

Work declareInspect(CLI::App &app)
{
    auto model = std::make_shared<std::string>();
    app.add_option("MODEL", *model, "Network file (.pt2, TorchScript, .onnx) or weights (state dict, .safetensors)")->required();
    return [model](Console &console) -> Result<Output> {
        BW_ASSIGN(auto network, Network::open(*model, console.job()));
        const auto &summary = network->summary();
        Output output;
        output.firstKeys = {"path", "format", "sha256", "inputs", "outputs", "parameters", "nodes", "name", "operator", "shape"};
        output.json = {{"path", summary.path}, {"format", summary.format}, {"sha256", summary.sha256},
                       {"inputs", tensorsJson(summary.inputs)}, {"outputs", tensorsJson(summary.outputs)},
                       {"parameters", summary.parameters}, {"nodes", summary.nodes}, {"operators", summary.operators},
                       {"layers", layersJson(summary)}};
        if (summary.fixedBatch > 0)
            output.json["fixed_batch"] = summary.fixedBatch;
        const auto &obstacles = network->executor().graph().obstacles;
        output.json["obstacles"] = obstacles;
        output.text = summaryText(summary, obstacles);
        return output;
    };
}

} // namespace bitwright::cli
