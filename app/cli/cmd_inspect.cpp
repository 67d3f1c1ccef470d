// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"

#include "config/stored_spec.h"
#include "cost/size_model.h"
#include "quant/quantizer.h"
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
    const auto stored = [](const std::optional<StoredQuantization> &found) { return found ? storedJson(*found) : json(); };
    for (const auto &layer : model.layers)
        list.push_back({{"name", layer.name}, {"operator", layer.op}, {"weight_shape", layer.weightShape},
                        {"parameters", layer.parameters()}, {"macs", layer.macs}, {"groups", layer.groups},
                        {"calls", layer.calls}, {"shortcut", layer.shortcut},
                        {"weight_only", layer.weightOnly}, {"status", layerStatusName(layer.status)}, {"reason", layer.reason},
                        {"stored_weight", stored(layer.storedWeight)}, {"stored_input", stored(layer.storedInput)}});
    return list;
}

std::string tensorsText(const std::vector<TensorInfo> &tensors)
{
    std::string text;
    for (const auto &tensor : tensors)
        text += (text.empty() ? "" : ", ") + tensor.name + " " + shapeText(tensor.shape) + " " + tensor.dtype;
    return text;
}

/// Why a layer is as it is, and what the file itself quantizes of it.
std::string noteText(const LayerInfo &layer)
{
    const std::string note = layerNote(layer), stored = storedText(layer);
    return note + (note.empty() || stored.empty() ? "" : "; ") + stored;
}

/// Writes what the file quantizes as an assignment.
Status writeStored(const ModelSummary &model, const std::string &path, Output &output)
{
    const StoredConfig stored = storedConfig(model, methodCatalog());
    if (stored.taken == 0)
        return fail(ErrorKind::Unsupported, model.path + ", it has no quantization that an assignment can express"
                                                + (stored.left.empty() ? std::string() : " (" + stored.left.front() + ")") + "; leave out --stored-config");
    BW_CHECK(writeConfig(stored.config, path));
    output.json["stored_config"] = {{"path", path}, {"tensors", stored.taken}, {"left", stored.left}};
    output.text += "\n" + path + ": " + grouped(std::int64_t(stored.taken)) + " tensors as the file quantizes them\n";
    for (const std::string &left : stored.left)
        output.text += "left out: " + left + "\n";
    return {};
}

std::string summaryText(const ModelSummary &model, const std::vector<std::string> &obstacles)
{
    TextTable table({{"layer"}, {"operator"}, {"weight"}, {"parameters", TextTable::Align::Right},
                     {"MACs", TextTable::Align::Right}, {"status"}, {""}});
    std::int64_t macs = 0;
    for (const auto &layer : model.layers) {
        macs += layer.macs;
        table.add({layer.name, layer.op, shapeText(layer.weightShape), grouped(layer.parameters()), grouped(layer.macs),
                   layerStatusName(layer.status), noteText(layer)});
    }
    std::string text = model.path + ": " + model.format + ", " + grouped(model.nodes) + " nodes, " + grouped(model.parameters) +
                       " parameters (" + byteSize(double(modelCost(model, {}, false).sizeBytes())) + "), " + grouped(macs) + " MACs a sample\n";
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
    auto model = std::make_shared<std::string>(), storedPath = std::make_shared<std::string>();
    app.add_option("MODEL", *model, "Network file (.pt2, TorchScript, .onnx) or weights (state dict, .safetensors)")->required();
    app.add_option("--stored-config", *storedPath, "Also write the quantization that the file holds already as an assignment to start from");
    return [model, storedPath](Console &console) -> Result<Output> {
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
        output.json["size_bytes"] = modelCost(summary, {}, false).sizeBytes();
        if (!storedPath->empty())
            BW_CHECK(writeStored(summary, *storedPath, output));
        return output;
    };
}

} // namespace bitwright::cli
