// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/onnx/layer_plan.h"

#include "quant/quantizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <set>

namespace bitwright {

namespace {

using onnx::Attribute;
using onnx::DataType;

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

} // namespace

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

std::string baseName(const std::string &op)
{
    const std::size_t begin = op.find("::") + 2;
    return op.substr(begin, op.find('.', begin) - begin);
}

void writeProduct(OnnxWriter &writer, const LayerPlan &plan, const std::string &real, const std::string &base, const AddStep &add)
{
    const OnnxEncoding &encoding = *plan.weight;
    std::vector<std::int64_t> shape;
    if (encoding.scales.size() > 1) {
        shape.assign(plan.binding->info.weightShape.size(), 1);
        shape[std::size_t(plan.binding->info.channelAxis)] = std::int64_t(encoding.scales.size());
    }
    std::string shifted = real;
    const std::vector<float> zeros(encoding.zeroPoints.begin(), encoding.zeroPoints.end());
    if (std::ranges::any_of(zeros, [](float zero) { return zero != 0; }))
        shifted = add("Sub", {real, writer.initializer(at::tensor(zeros).reshape(shape), base + "_zero_point")}, false);
    add("Mul", {shifted, writer.initializer(at::tensor(encoding.scales).reshape(shape), base + "_scale")}, true);
}

bool wouldRoundInput(const LayerPlan &plan)
{
    const std::string &op = plan.binding->info.op;
    return plan.weight && !plan.quantizesInput() && (op == "matmul" || op == "mm" || op == "linear" || op == "bilinear");
}

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
        if (kStop.contains(op) || node->op.starts_with("onnx::"))
            return true;
        if (!kPassed.contains(op) || node->arguments.empty())
            return false;
        at = &node->arguments.front();
    }
    return false;
}

std::string writeQuantizedInput(OnnxWriter &writer, const LayerPlan &plan, const std::string &call, std::string x, bool barrier)
{
    const auto step = [&](const char *op, std::vector<std::string> inputs, const char *suffix) {
        const std::string made = writer.uniqueName(call + suffix);
        writer.out.nodes.push_back({op, "", writer.uniqueName(call + "/input/" + op), std::move(inputs), {made}, {}});
        return made;
    };
    if (plan.steps)
        return writeSteps(writer, plan.activationGrid.groups.front(), x, call, step);
    const OnnxEncoding &encoding = *plan.activation;
    const QuantGrid::Group &group = plan.activationGrid.groups.front();
    // As simulation and runtime compute the outermost levels: in float32.
    const float scale = float(group.scale);
    const std::string low = writer.scalar(double(float(plan.activationGrid.qmin - group.zeroPoint) * scale));
    const std::string high = writer.scalar(double(float(plan.activationGrid.qmax - group.zeroPoint) * scale));
    if (encoding.clips && !barrier && onnx::storageBits(encoding.type) == 8) {
        x = step("Clip", {x, low, high}, ".input_clipped");
    } else if (encoding.clips || barrier) {
        // Min and Max clip too, and the runtime leaves them where they stand.
        x = step("Min", {x, high}, ".input_limited");
        if (encoding.clips)
            x = step("Max", {x, low}, ".input_clipped");
    }
    const auto [scaleName, zero] = parametersOf(writer, encoding, call + ".input", false);
    const std::string codes = step("QuantizeLinear", {x, scaleName, zero}, ".input_codes");
    return step("DequantizeLinear", {codes, scaleName, zero}, ".input_quantized");
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

void noteFreeLevels(const std::vector<LayerPlan> &plans, std::vector<std::string> &notes)
{
    std::size_t shared = 0, codebooks = 0, steps = 0;
    for (const LayerPlan &plan : plans) {
        steps += plan.steps ? 1 : 0;
        codebooks += plan.codebook ? 1 : 0;
        shared += plan.shared.defined() && !plan.codebook ? 1 : 0;
    }
    const auto layers = [](std::size_t n) { return std::to_string(n) + (n == 1 ? " layer" : " layers"); };
    if (codebooks > 0)
        notes.push_back("levels without an integer type: the weights of " + layers(codebooks) + " are 8-bit indices into a codebook, looked up by Gather");
    if (steps > 0)
        notes.push_back("levels without an integer type: the inputs of " + layers(steps) + " are found by comparisons and looked up by Gather");
    if (shared > 0)
        notes.push_back("the weights of " + layers(shared) + " are written de-quantized, because a byte does not count their levels; pack keeps their codes");
}

} // namespace bitwright
