// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/exporter.h"
#include "exporters/onnx/lowering.h"
#include "exporters/onnx/quantized_tensor.h"
#include "exporters/output_file.h"
#include "frontends/rows.h"
#include "quant/quantizer.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <limits>
#include <map>
#include <set>

namespace bitwright {

namespace {

using onnx::Attribute;
using onnx::DataType;

/// A weight on free levels: an 8-bit index for each element into its group's stretch of one table.
struct Codebook {
    std::string indices;            ///< bytes
    std::vector<float> values;      ///< all groups after each other
    std::int64_t groups = 1;        ///< of as many values each
    [[nodiscard]] std::int64_t each() const { return std::int64_t(values.size()) / groups; }
};

/// One layer's share of the file, decided before any node is written.
struct LayerPlan {
    const LayerBinding *binding = nullptr;
    std::optional<OnnxEncoding> weight, activation;
    at::Tensor shared;      ///< a weight on levels that no integer type has, as it is quantized
    std::optional<Codebook> codebook;   ///< the same; none where it has more levels than an index counts
    std::vector<std::int64_t> codes;
    QuantGrid activationGrid;
    bool steps = false;     ///< the input is a step function that no integer type expresses
    int weightBits = 32, activationBits = 32;
    [[nodiscard]] bool quantizesInput() const { return activation || steps; }
};

Error about(const std::string &layer, const char *what, Error error)
{
    error.message = "layer " + layer + ", " + what + ": " + error.message;
    return error;
}

at::Tensor weightOf(const ExportInput &input, const LayerBinding &binding)
{
    const int index = input.graph->parameterOf(binding.weight);
    if (index < 0)
        return {};
    const Parameter &parameter = input.graph->parameters[std::size_t(index)];
    const auto given = input.parameters.find(parameter.name);
    return given == input.parameters.end() ? parameter.tensor : given->second;
}

/// Indices of values that lie on the levels of their group; none where a group has more than a byte counts.
std::optional<Codebook> codebookOf(const at::Tensor &quantized, const QuantGrid &grid, int axis, bool pruned)
{
    constexpr std::size_t kMost = 256;
    const at::Tensor x = quantized.contiguous();
    const auto groups = std::int64_t(grid.groups.size());
    std::int64_t inner = x.numel();
    if (groups > 1) {
        inner = 1;
        for (std::int64_t d = axis + 1; d < x.dim(); ++d)
            inner *= x.size(d);
    }
    std::vector<std::vector<float>> levels;
    std::size_t most = 0;
    for (std::size_t group = 0; group < grid.groups.size(); ++group) {
        std::set<float> unique;
        if (pruned)
            unique.insert(0.0f);
        for (const double level : grid.levels(group))
            unique.insert(float(level));
        levels.emplace_back(unique.begin(), unique.end());
        most = std::max(most, unique.size());
    }
    if (most > kMost)
        return std::nullopt;
    Codebook book;
    book.groups = groups;
    for (std::vector<float> &each : levels) {
        book.values.insert(book.values.end(), each.begin(), each.end());
        book.values.resize(book.values.size() + most - each.size(), each.back());
    }
    const float *at = x.const_data_ptr<float>();
    for (std::int64_t i = 0; i < x.numel(); ++i) {
        const std::vector<float> &own = levels[groups > 1 ? std::size_t(i / inner % groups) : 0];
        const auto found = std::ranges::lower_bound(own, at[i]);
        if (found == own.end() || *found != at[i])
            return std::nullopt;   // NaN, or a value off the grid
        book.indices.push_back(char(static_cast<unsigned char>(found - own.begin())));
    }
    return book;
}

Status planWeight(LayerPlan &plan, const ExportInput &input, const QuantSpec &spec, const Mask &mask)
{
    const LayerInfo &info = plan.binding->info;
    const at::Tensor weight = weightOf(input, *plan.binding);
    if (!weight.defined())
        return fail(ErrorKind::Unsupported, "it is not a parameter");
    if (weight.scalar_type() != at::kFloat)
        return fail(ErrorKind::Unsupported, std::string("it is ") + c10::toString(weight.scalar_type()) + "; only float32 can be quantized here");
    BW_ASSIGN(auto quantizer, makeQuantizer(spec, {info.name, Role::Weight, info.channelAxis, false}));
    if (!quantizer->calibrated())
        BW_CHECK(quantizer->calibrate(survivors(weight, mask)));
    const QuantGrid grid = quantizer->grid();
    plan.weightBits = spec.bits;
    if (!grid.uniform) {
        plan.shared = quantizer->apply(weight, false);
        if (!mask.empty()) {   // zero stays zero, whatever the levels
            const auto kept = mask.kept();
            plan.shared = plan.shared.contiguous().mul(at::tensor(at::ArrayRef<std::uint8_t>(kept)).reshape(weight.sizes()));
        }
        plan.codebook = codebookOf(plan.shared, grid, info.channelAxis, !mask.empty());
        return {};
    }
    BW_ASSIGN(plan.weight, encodingOf(grid));
    BW_ASSIGN(plan.codes, codesOf(quantizer->apply(weight, false), grid, info.channelAxis));
    return {};
}

Status planActivation(LayerPlan &plan, const QuantSpec &spec)
{
    const LayerInfo &info = plan.binding->info;
    BW_ASSIGN(auto quantizer, makeQuantizer(spec, {info.name, Role::Activation, 0, info.nonNegativeInput}));
    if (!quantizer->calibrated())
        return fail(ErrorKind::Invalid, "its range is not known yet; run `calibrate` on this assignment first");
    plan.activationGrid = quantizer->grid();
    if (plan.activationGrid.groups.size() > 1)
        return fail(ErrorKind::Unsupported, "one range per channel cannot be written; use one per tensor");
    plan.steps = !plan.activationGrid.uniform;
    if (!plan.steps) {
        BW_ASSIGN(plan.activation, encodingOf(plan.activationGrid));
    }
    plan.activationBits = spec.bits;
    return {};
}

Result<std::vector<LayerPlan>> planLayers(const ExportInput &input)
{
    std::vector<LayerPlan> plans;
    std::set<std::string> names;
    for (const LayerBinding &binding : input.bindings) {
        if (binding.info.status != LayerStatus::Quantizable)
            continue;
        LayerPlan plan;
        plan.binding = &binding;
        names.insert(binding.info.name);
        if (const auto found = input.config.find(binding.info.name); found != input.config.end()) {
            if (!found->second.weight.isFloat()) {
                if (auto status = planWeight(plan, input, found->second.weight, found->second.prune.mask); !status)
                    return std::unexpected(about(binding.info.name, "weight", status.error()));
            }
            if (!found->second.activation.isFloat()) {
                if (auto status = planActivation(plan, found->second.activation); !status)
                    return std::unexpected(about(binding.info.name, "input", status.error()));
            }
        }
        plans.push_back(std::move(plan));
    }
    for (const auto &[name, layer] : input.config) {
        if (!names.contains(name) && !(layer.weight.isFloat() && layer.activation.isFloat()))
            return fail(ErrorKind::Invalid, "layer " + name + ", the network has no such layer to quantize; check the assignment");
    }
    return plans;
}

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

/// Scale and zero point of an encoding as initializers.
std::pair<std::string, std::string> parametersOf(OnnxWriter &writer, const OnnxEncoding &encoding, const std::string &base, bool perGroup)
{
    at::Tensor scales = at::tensor(encoding.scales);
    onnx::Tensor zero;
    zero.name = base + "_zero_point";
    zero.type = encoding.type;
    zero.owned = onnx::packIntegers(encoding.zeroPoints, encoding.type);
    zero.hasRaw = true;
    if (perGroup)
        zero.dims = {std::int64_t(encoding.zeroPoints.size())};
    else
        scales = scales.reshape({});
    const std::string scale = writer.initializer(scales, base + "_scale");
    return {scale, writer.initializer(std::move(zero))};
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

const Node *producerOf(const Graph &graph, const Argument &argument)
{
    if (argument.kind != Argument::Kind::Value)
        return nullptr;
    for (const Node &node : graph.nodes) {
        if (std::ranges::find(node.outputs, argument.value) != node.outputs.end())
            return &node;
    }
    return nullptr;
}

std::string baseName(const std::string &op)
{
    const std::size_t begin = op.find("::") + 2;
    return op.substr(begin, op.find('.', begin) - begin);
}

/// True where ONNX Runtime (1.32) would take the quantizer as part of what stands before it: a layer behind a quantizer
/// becomes an integer layer with other rounding (and lacks 2 bits), a Clip in front of a narrow type ends its optimizer
/// with an error, and through moves of data the quantizer wanders upwards.
bool needsBarrier(const Graph &graph, const Argument &input)
{
    static const std::set<std::string> kPassed{"relu", "dropout", "feature_dropout", "contiguous", "clone", "to", "identity"};
    static const std::set<std::string> kStop{
        "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "matmul", "addmm", "mm",
        "bmm", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "max_pool1d", "max_pool2d", "max_pool3d",
        "max_pool2d_with_indices", "flatten", "view", "reshape", "_unsafe_view", "unflatten", "squeeze", "unsqueeze", "permute",
        "transpose", "t", "cat", "stack", "slice", "select", "narrow", "chunk", "split", "split_with_sizes", "unbind", "getitem",
        "ListUnpack", "expand", "repeat", "channel_shuffle", "pixel_shuffle", "upsample_nearest2d", "constant_pad_nd", "pad"};
    const Argument *at = &input;
    while (const Node *node = producerOf(graph, *at)) {
        const std::string op = baseName(node->op);
        if (kStop.contains(op))
            return true;
        if (!kPassed.contains(op) || node->arguments.empty())
            return false;
        at = &node->arguments.front();
    }
    return false;
}

/// A step function in front of a layer: the index of each value by halving the thresholds, as many comparisons as the index
/// has bits, then the table of answers. The last node is named as verify looks for it.
template <class Step>
std::string writeSteps(OnnxWriter &writer, const QuantGrid::Group &group, const std::string &x, const std::string &layer, const Step &step)
{
    const std::vector<double> &levels = group.answers.empty() ? group.levels : group.answers;
    const std::vector<double> &firsts = group.answers.empty() ? group.thresholds : group.breaks;
    const int halvings = int(std::bit_width(firsts.size()));
    // nothing is at or above NaN: the padding is never passed
    std::vector<float> thresholds(std::size_t(1) << halvings, std::numeric_limits<float>::quiet_NaN());
    std::ranges::transform(firsts, thresholds.begin(), [](double t) { return float(t); });
    const std::string table = writer.initializer(at::tensor(thresholds), layer + ".input_thresholds");
    const std::string answers = writer.initializer(at::tensor(std::vector<float>(levels.begin(), levels.end())), layer + ".input_levels");
    const auto cast = [&](const std::string &from) {
        const std::string made = writer.uniqueName(layer + ".input_passed");
        writer.out.nodes.push_back({"Cast", "", writer.uniqueName(layer + "/input/Cast"), {from}, {made}, {Attribute::of("to", std::int64_t(DataType::Int32))}});
        return made;
    };
    std::string code;
    for (int i = halvings - 1; i >= 0; --i) {
        const int half = 1 << i;
        const std::string threshold = code.empty()
            ? writer.scalar(double(thresholds[std::size_t(half - 1)]))
            : step("Gather", {table, half == 1 ? code : step("Add", {code, writer.scalar(half - 1, at::kInt)}, ".input_place")}, ".input_threshold");
        std::string more = cast(step("GreaterOrEqual", {x, threshold}, ".input_above"));
        if (half > 1)
            more = step("Mul", {more, writer.scalar(half, at::kInt)}, ".input_half");
        code = code.empty() ? more : step("Add", {code, more}, ".input_code");
    }
    const std::string made = writer.uniqueName(layer + ".input_quantized");
    writer.out.nodes.push_back({"Gather", "", layer + "/input/Levels", {answers, code}, {made}, {}});
    return made;
}

/// Quantize and dequantize in front of one call of a layer. The names say the layer, so that verify finds them.
Result<OnnxWriter::LayerInput> writeActivation(OnnxWriter &writer, const LayerPlan &plan, int call, bool floatWeights)
{
    const Node &node = writer.node();
    const Argument &input = node.arguments[std::size_t(plan.binding->inputArgument)];
    const std::string layer = plan.binding->info.name + (call > 0 ? "@" + std::to_string(call) : "");
    BW_ASSIGN(std::string x, writer.tensor(input));
    const auto step = [&](const char *op, std::vector<std::string> inputs, const char *suffix) {
        const std::string made = writer.uniqueName(layer + suffix);
        writer.out.nodes.push_back({op, "", writer.uniqueName(layer + "/input/" + op), std::move(inputs), {made}, {}});
        return made;
    };
    const TracedValue *traced = writer.traced(input);
    const bool flattens = baseName(node.op) == "linear" && traced && traced->rank() != 2;
    if (flattens)
        x = step("Reshape", {x, writer.integers({-1, traced->shape.back()})}, ".input_rows");
    if (plan.steps)
        return OnnxWriter::LayerInput{plan.binding->inputArgument, writeSteps(writer, plan.activationGrid.groups.front(), x, layer, step), flattens};
    const OnnxEncoding &encoding = *plan.activation;
    const QuantGrid::Group &group = plan.activationGrid.groups.front();
    // As simulation and runtime compute the outermost levels: in float32.
    const float scale = float(group.scale);
    const std::string low = writer.scalar(double(float(plan.activationGrid.qmin - group.zeroPoint) * scale));
    const std::string high = writer.scalar(double(float(plan.activationGrid.qmax - group.zeroPoint) * scale));
    // Where a layer's weight is no integer, the runtime would fold its batch norm and make it one, with other values.
    const bool barrier = flattens || floatWeights || needsBarrier(writer.graph(), input);
    if (encoding.clips && !barrier && onnx::storageBits(encoding.type) == 8) {
        x = step("Clip", {x, low, high}, ".input_clipped");
    } else if (encoding.clips || barrier) {
        // Min and Max clip too, and the runtime leaves them where they stand.
        x = step("Min", {x, high}, ".input_limited");
        if (encoding.clips)
            x = step("Max", {x, low}, ".input_clipped");
    }
    const auto [scaleName, zero] = parametersOf(writer, encoding, layer + ".input", false);
    const std::string codes = step("QuantizeLinear", {x, scaleName, zero}, ".input_codes");
    return OnnxWriter::LayerInput{plan.binding->inputArgument, step("DequantizeLinear", {codes, scaleName, zero}, ".input_quantized"), flattens};
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

std::string encodingText(const LayerPlan &plan)
{
    std::string text = plan.weight ? plan.weight->describe() : plan.codebook ? "codebook of " + std::to_string(plan.codebook->each()) + (plan.codebook->groups > 1 ? " per channel" : "") + ", Gather"
        : plan.shared.defined() ? "float32, de-quantized" : "float32";
    text += ", input ";
    text += plan.activation ? onnx::dataTypeName(plan.activation->type)
        : plan.steps        ? std::to_string(plan.activationGrid.groups.front().levels.size()) + " levels, steps and Gather"
                            : "float32";
    if (plan.activation && plan.activation->clips)
        text += " with a clip";
    return text;
}

int baseOpset(const std::vector<LayerPlan> &plans, std::vector<std::string> &notes)
{
    int opset = 13;
    std::set<std::string> types;
    std::map<std::string, int> widened;
    for (const LayerPlan &plan : plans) {
        const auto count = [&](const std::optional<OnnxEncoding> &encoding, int bits) {
            if (!encoding)
                return;
            opset = std::max(opset, encoding->opset);
            if (encoding->opset > 13)
                types.insert(onnx::dataTypeName(encoding->type));
            if (onnx::storageBits(encoding->type) != bits)
                ++widened[std::to_string(bits) + " bits in " + onnx::dataTypeName(encoding->type)];
        };
        count(plan.weight, plan.weightBits);
        count(plan.activation, plan.activationBits);
    }
    if (!types.empty()) {
        std::string list;
        for (const std::string &type : types)
            list += (list.empty() ? "" : ", ") + type;
        notes.push_back("operator set " + std::to_string(opset) + ", the first with " + list);
    }
    for (const auto &[what, times] : widened)
        notes.push_back(what + ", the next wider type (" + std::to_string(times) + (times == 1 ? " tensor)" : " tensors)"));
    return opset;
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

Result<ExportReport> write(const ExportInput &input, const std::string &path, const JobContext &context)
{
    return guarded(path + " cannot be written", ErrorKind::Internal, [&]() -> Result<ExportReport> {
        c10::NoGradGuard noGrad;
        if (!input.graph)
            return fail(ErrorKind::Internal, "nothing to export");
        ExportReport report;
        BW_ASSIGN(const auto plans, planLayers(input));
        context.progress("exporting", 0, 3);
        ParameterMap parameters = input.parameters;
        std::size_t shared = 0, codebooks = 0, steps = 0;
        for (const LayerPlan &plan : plans) {
            steps += plan.steps ? 1 : 0;
            if (!plan.shared.defined())
                continue;
            ++(plan.codebook ? codebooks : shared);
            parameters[input.graph->parameters[std::size_t(input.graph->parameterOf(plan.binding->weight))].name] = plan.shared;
        }
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
        report.notes = trace.notes;
        const auto layers = [](std::size_t n) { return std::to_string(n) + (n == 1 ? " layer" : " layers"); };
        if (codebooks > 0)
            report.notes.push_back("levels without an integer type: the weights of " + layers(codebooks) + " are 8-bit indices into a codebook, looked up by Gather");
        if (steps > 0)
            report.notes.push_back("levels without an integer type: the inputs of " + layers(steps) + " are found by comparisons and looked up by Gather");
        if (shared > 0)
            report.notes.push_back("the weights of " + layers(shared) + " are written de-quantized, because a byte does not count their levels; pack keeps their codes");
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
        const std::string bytes = onnx::serialize(model);
        if (bytes.size() >= std::size_t(1) << 31)
            return fail(ErrorKind::Unsupported, path + ", the file would pass the 2 GB that ONNX allows; export fewer float weights");
        if (context.stopped())
            return cancelled();
        BW_CHECK(writeChecked(path, bytes, [&](const std::string &temporary) { return readBack(temporary, model); }));
        context.progress("exporting", 3, 3);
        report.bytes = std::int64_t(bytes.size());
        return report;
    });
}

} // namespace

Exporter onnxQdqExporter()
{
    return {"onnx", "ONNX", ".onnx", {true, true, false, true, 1, 16, true}, write};
}

} // namespace bitwright
