// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/exporter.h"
#include "exporters/onnx/layer_plan.h"
#include "exporters/onnx/lowering.h"
#include "exporters/onnx/onnx_edit.h"
#include "exporters/output_file.h"
#include "frontends/rows.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace bitwright {

namespace {

using onnx::Attribute;
using onnx::DataType;

// Values behind a quantized weight are no longer constants that can be computed now.
void dropConstantsBehind(ShapeTrace &trace, const Graph &graph, const std::set<ValueId> &weights)
{
    std::set<ValueId> reached = weights;
    const std::function<bool(const Argument &)> reads = [&](const Argument &argument) {
        return (argument.kind == Argument::Kind::Value && reached.contains(argument.value)) ||
               std::ranges::any_of(argument.list, reads);
    };
    for (const Node &node : graph.nodes) {
        if (!std::ranges::any_of(node.arguments, reads))
            continue;
        for (ValueId value : node.outputs) {
            if (value == kNoValue)
                continue;
            reached.insert(value);
            trace.values[std::size_t(value)].constant = false;
        }
    }
}

void writeWeight(OnnxWriter &writer, const LayerPlan &plan)
{
    const LayerBinding &binding = *plan.binding;
    const std::string &name = writer.graph().parameters[std::size_t(writer.graph().parameterOf(binding.weight))].name;
    if (writer.find(binding.weight))
        return;   // shared with a layer that was written before
    onnx::Tensor codes;
    codes.name = name;
    codes.type = plan.weight->type;
    codes.dims = binding.info.weightShape;
    codes.owned = onnx::packIntegers(plan.codes, plan.weight->type);
    codes.hasRaw = true;
    const std::string code = writer.initializer(std::move(codes));
    const bool perGroup = plan.weight->scales.size() > 1;
    if (wouldRoundInput(plan) && binding.info.op != "linear") {   // a linear map is written as a Gemm that stays one
        const auto add = [&](const char *op, std::vector<std::string> inputs, bool last, std::vector<Attribute> attributes = {}) {
            const std::string made = writer.uniqueName(name + (last ? "_dequantized" : "_float"));
            writer.out.nodes.push_back({op, "", writer.uniqueName(name + '/' + op), std::move(inputs), {made}, std::move(attributes)});
            if (last)
                writer.set(binding.weight, made);
            return made;
        };
        const std::string real = add("Cast", {code}, false, {Attribute::of("to", std::int64_t(DataType::Float))});
        writeProduct(writer, plan, real, name, [&](const char *op, std::vector<std::string> inputs, bool last) { return add(op, std::move(inputs), last); });
        return;
    }
    const auto [scale, zero] = parametersOf(writer, *plan.weight, name, perGroup);
    std::vector<Attribute> attributes;
    if (perGroup)
        attributes.push_back(Attribute::of("axis", std::int64_t(binding.info.channelAxis)));
    const std::string result = writer.uniqueName(name + "_dequantized");
    writer.out.nodes.push_back({"DequantizeLinear", "", writer.uniqueName(name + "/DequantizeLinear"), {code, scale, zero}, {result},
                                std::move(attributes)});
    writer.set(binding.weight, result);
}

/// Index, offset of the channel, table: the very values of the simulation, computed once when the file is loaded.
void writeCodebook(OnnxWriter &writer, const LayerPlan &plan)
{
    const LayerBinding &binding = *plan.binding;
    const std::string &name = writer.graph().parameters[std::size_t(writer.graph().parameterOf(binding.weight))].name;
    if (writer.find(binding.weight))
        return;   // shared with a layer that was written before
    onnx::Tensor codes;
    codes.name = name;
    codes.type = DataType::UInt8;
    codes.dims = binding.info.weightShape;
    codes.owned = plan.codebook->indices;
    codes.hasRaw = true;
    const auto step = [&](const char *op, std::vector<std::string> inputs, const char *suffix, std::vector<Attribute> attributes = {}) {
        const std::string made = writer.uniqueName(name + suffix);
        writer.out.nodes.push_back({op, "", writer.uniqueName(name + '/' + op), std::move(inputs), {made}, std::move(attributes)});
        return made;
    };
    std::string index = step("Cast", {writer.initializer(std::move(codes))}, "_index", {Attribute::of("to", std::int64_t(DataType::Int32))});
    if (plan.codebook->groups > 1) {
        std::vector<std::int64_t> shape(binding.info.weightShape.size(), 1);
        shape[std::size_t(binding.info.channelAxis)] = plan.codebook->groups;
        const at::Tensor offsets = (at::arange(plan.codebook->groups, at::kInt) * plan.codebook->each()).to(at::kInt).reshape(shape);
        index = step("Add", {index, writer.initializer(offsets, name + "_offset")}, "_place");
    }
    const std::string table = writer.initializer(at::tensor(plan.codebook->values), name + "_codebook");
    writer.set(binding.weight, step("Gather", {table, index}, "_dequantized"));
}

/// Quantize and dequantize in front of one call of a layer.
Result<OnnxWriter::LayerInput> writeActivation(OnnxWriter &writer, const LayerPlan &plan, int call, bool floatWeights)
{
    const Node &node = writer.node();
    const Argument &input = node.arguments[std::size_t(plan.binding->inputArgument)];
    const std::string layer = plan.binding->info.name + (call > 0 ? "@" + std::to_string(call) : "");
    BW_ASSIGN(std::string x, writer.tensor(input));
    const TracedValue *traced = writer.traced(input);
    const bool flattens = baseName(node.op) == "linear" && traced && traced->rank() != 2;
    if (flattens) {
        const std::string rows = writer.uniqueName(layer + ".input_rows");
        writer.out.nodes.push_back({"Reshape", "", writer.uniqueName(layer + "/input/Reshape"), {x, writer.integers({-1, traced->shape.back()})}, {rows}, {}});
        x = rows;
    }
    // Where a layer's weight is no integer, the runtime would fold its batch norm and make it one, with other values.
    const bool barrier = flattens || floatWeights || needsBarrier(writer.graph(), input);
    return OnnxWriter::LayerInput{plan.binding->inputArgument, writeQuantizedInput(writer, plan, layer, x, barrier), flattens};
}

onnx::ValueInfo valueInfo(const std::string &name, const TracedValue &traced)
{
    onnx::ValueInfo info;
    info.name = name;
    const auto type = OnnxWriter::onnxType(traced.type);
    info.type = type ? *type : DataType::Float;
    info.hasShape = true;
    for (std::int64_t size : traced.shape)
        info.shape.push_back(size < 0 ? onnx::Dimension{-1, "batch"} : onnx::Dimension{size, ""});
    return info;
}

bool isScalarGlue(const ShapeTrace &trace, const Node &node)
{
    return std::ranges::all_of(node.outputs, [&](ValueId value) {
        if (value == kNoValue)
            return true;
        const TracedValue &traced = trace.values[std::size_t(value)];
        return !traced.tensor && traced.listShapes.empty();
    });
}

bool isConstant(const ShapeTrace &trace, const Node &node)
{
    return std::ranges::all_of(node.outputs, [&](ValueId value) {
        return value == kNoValue || (trace.values[std::size_t(value)].constant && trace.values[std::size_t(value)].value.isTensor());
    });
}

Status writeOutputs(OnnxWriter &writer)
{
    const Graph &graph = writer.graph();
    for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
        const std::string wanted = i < graph.outputNames.size() && !graph.outputNames[i].empty() ? graph.outputNames[i]
                                                                                                : "output_" + std::to_string(i);
        if (graph.outputs[i].kind != Argument::Kind::Value)
            return fail(ErrorKind::Unsupported, "output " + wanted + " is a constant");
        BW_ASSIGN(const std::string name, writer.tensor(graph.outputs[i]));
        if (name != wanted)
            writer.out.nodes.push_back({"Identity", "", writer.uniqueName(wanted + "/Identity"), {name}, {wanted}, {}});
        writer.out.outputs.push_back(valueInfo(wanted, writer.trace().values[std::size_t(graph.outputs[i].value)]));
    }
    return {};
}

/// All nodes; the error lists every operator that cannot be written, with the first reason of each.
Status writeNodes(OnnxWriter &writer, const std::vector<LayerPlan> &plans, const JobContext &context)
{
    std::map<const Node *, std::pair<const LayerPlan *, int>> calls;
    const bool floatWeights = std::ranges::any_of(plans, [](const LayerPlan &plan) { return !plan.weight; });
    for (const LayerPlan &plan : plans) {
        if (plan.weight)
            writeWeight(writer, plan);
        else if (plan.codebook)
            writeCodebook(writer, plan);
        for (std::size_t i = 0; i < plan.binding->nodes.size(); ++i) {
            const Node &node = writer.graph().nodes[plan.binding->nodes[i]];
            calls[&node] = {&plan, int(i)};
        }
    }
    std::map<std::string, std::string> refused;
    for (const Node &node : writer.graph().nodes) {
        if (context.stopped())
            return cancelled();
        if (isScalarGlue(writer.trace(), node) || isConstant(writer.trace(), node))
            continue;
        writer.enter(node);
        const Lowering lower = findLowering(node.op);
        if (!lower) {
            refused.try_emplace(node.op, "");
            continue;
        }
        if (const auto call = calls.find(&node); call != calls.end() && call->second.first->quantizesInput()) {
            BW_ASSIGN(writer.layerInputs[&node], writeActivation(writer, *call->second.first, call->second.second, floatWeights));
        }
        if (auto status = lower(writer); !status) {
            if (status.error().kind != ErrorKind::Unsupported)
                return status;
            // What reads a refused node fails too; only the first of a chain is worth naming.
            if (refused.empty() || status.error().message.find("was not written") == std::string::npos)
                refused.try_emplace(node.op, status.error().message);
        }
    }
    if (refused.empty())
        return {};
    std::string list;
    for (const auto &[op, reason] : refused)
        list += (list.empty() ? "" : ", ") + op + (reason.empty() ? "" : " (" + reason + ")");
    return fail(ErrorKind::Unsupported, "network, these operators cannot be written as ONNX: " + list +
                                            "; keep the network in its own format or replace them");
}

Result<onnx::Graph> buildGraph(const ExportInput &input, const ShapeTrace &trace, const std::vector<LayerPlan> &plans, int &opset,
                               const JobContext &context)
{
    for (int attempt = 0; attempt < 3; ++attempt) {
        OnnxWriter writer(*input.graph, trace, opset);
        writer.out.name = "bitwright";
        for (const GraphInput &given : input.graph->inputs) {
            const TracedValue &traced = trace.values[std::size_t(given.value)];
            writer.out.inputs.push_back(valueInfo(writer.find(given.value)->name, traced));
        }
        BW_CHECK(writeNodes(writer, plans, context));
        BW_CHECK(writeOutputs(writer));
        if (writer.neededOpset() <= opset)
            return std::move(writer.out);
        opset = writer.neededOpset();
    }
    return fail(ErrorKind::Internal, "no operator set suits the network");
}

Status readBack(const std::string &path, const onnx::Model &written)
{
    BW_ASSIGN(const onnx::Model model, onnx::readModel(path));
    bool same = model.graph.nodes.size() == written.graph.nodes.size() &&
                model.graph.initializers.size() == written.graph.initializers.size() && model.opsets == written.opsets;
    for (std::size_t i = 0; same && i < model.graph.initializers.size(); ++i) {
        const onnx::Tensor &a = model.graph.initializers[i], &b = written.graph.initializers[i];
        same = a.name == b.name && a.type == b.type && a.dims == b.dims && a.bytes() == b.bytes();
    }
    if (!same)
        return fail(ErrorKind::Io, path + ", what was written reads back differently; check the disk");
    return {};
}

/// The network in ONNX's operators, from the graph alone.
Result<ExportReport> writeAnew(const ExportInput &input, const std::string &path, const JobContext &context)
{
    ExportReport report;
    BW_ASSIGN(const auto plans, planLayers(input));
    context.progress("exporting", 0, 3);
    ParameterMap parameters = input.parameters;
    for (const LayerPlan &plan : plans)
        if (plan.shared.defined())
            parameters[input.graph->parameters[std::size_t(input.graph->parameterOf(plan.binding->weight))].name] = plan.shared;
    BW_ASSIGN(ShapeTrace trace, traceShapes(*input.graph, parameters, input.example));
    if (context.stopped())
        return cancelled();
    std::set<ValueId> quantized;
    for (const LayerPlan &plan : plans) {
        if (plan.weight || plan.codebook)
            quantized.insert(plan.binding->weight);
        report.layers.push_back({plan.binding->info.name, plan.weightBits, encodingText(plan)});
    }
    dropConstantsBehind(trace, *input.graph, quantized);
    report.notes.insert(report.notes.end(), trace.notes.begin(), trace.notes.end());
    noteFreeLevels(plans, report.notes);
    const int typesOpset = baseOpset(plans, report.notes);
    int opset = typesOpset;
    onnx::Model model;
    BW_ASSIGN(model.graph, buildGraph(input, trace, plans, opset, context));
    if (opset != typesOpset)
        report.notes.push_back("operator set " + std::to_string(opset) + ", which an operator of the network needs");
    model.hasGraph = true;
    model.irVersion = irVersionFor(opset);
    model.opsets[""] = opset;
    model.producerName = "Bitwright";
    model.producerVersion = input.producerVersion;
    model.metadata["bitwright.assignment"] = configToJson(input.assignment).dump();
    context.progress("exporting", 1, 3);
    constexpr std::size_t kLargest = std::size_t(1) << 31;
    std::size_t weights = 0;
    for (const onnx::Tensor &tensor : model.graph.initializers)
        weights += tensor.bytes().size();
    const std::string bytes = weights < kLargest ? onnx::serialize(model) : std::string();   // not put together in vain
    if (weights >= kLargest || bytes.size() >= kLargest)
        return fail(ErrorKind::Unsupported, path + ", the file would pass the 2 GB that ONNX allows; quantize more of the weights");
    if (context.stopped())
        return cancelled();
    BW_CHECK(writeChecked(path, bytes, [&](const std::string &temporary) { return readBack(temporary, model); }));
    context.progress("exporting", 3, 3);
    report.bytes = std::int64_t(bytes.size());
    return report;
}

Result<ExportReport> write(const ExportInput &input, const std::string &path, const JobContext &context)
{
    return guarded(path + " cannot be written", ErrorKind::Internal, [&]() -> Result<ExportReport> {
        c10::NoGradGuard noGrad;
        if (!input.graph)
            return fail(ErrorKind::Internal, "nothing to export");
        if (input.graph->format != "onnx" || input.graph->source.empty())
            return writeAnew(input, path, context);
        auto edited = editOnnx(input, path, context);
        if (edited || edited.error().kind != ErrorKind::Unsupported)
            return edited;
        auto anew = writeAnew(input, path, context);
        if (!anew && !isCancelled(anew.error()))
            return fail(anew.error().kind, anew.error().message + " (the file could not be edited in place either: " + edited.error().message + ")");
        if (anew)
            anew->notes.insert(anew->notes.begin(), "the network was written anew, not edited: " + edited.error().message);
        return anew;
    });
}

} // namespace

Exporter onnxQdqExporter()
{
    return {{"onnx", "ONNX", ".onnx", {true, true, false, true, 1, 16, true, {2, 4, 8, 16}},
             "The network with QuantizeLinear and DequantizeLinear around integers; ONNX Runtime and other runtimes read it."}, write};
}

} // namespace bitwright
