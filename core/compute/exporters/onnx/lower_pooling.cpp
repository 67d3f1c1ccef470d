// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/onnx/lowering.h"

#include <ATen/ATen.h>

#include <numeric>

namespace bitwright {

namespace {

using onnx::Attribute;
using Ints = std::vector<std::int64_t>;

std::string baseName(const OnnxWriter &w)
{
    const std::string &op = w.node().op;
    const std::size_t begin = op.find("::") + 2;
    return op.substr(begin, op.find('.', begin) - begin);
}

// The spatial rank from the operator's own name: max_pool2d is 2.
std::size_t spatialRank(const std::string &op)
{
    for (const char digit : {'1', '2', '3'}) {
        const std::size_t at = op.rfind(digit);
        if (at != std::string::npos && at + 1 < op.size() && op[at + 1] == 'd')
            return std::size_t(digit - '0');
    }
    return 2;
}

Ints filled(Ints values, std::size_t size, std::int64_t fallback = 1)
{
    if (values.empty())
        values.assign(size, fallback);
    if (values.size() == 1)
        values.resize(size, values[0]);
    return values;
}

struct Window {
    Ints kernel, stride, low, high, dilation, overhang;
    std::string x;
    bool unbatched = false, hangsOver = false;
};

// The window of a pooling node. What ceil_mode adds at the end is written as padding, so that every runtime agrees.
Result<Window> window(OnnxWriter &w, const char *inputName)
{
    Window made;
    const std::size_t spatial = spatialRank(w.node().op);
    const TracedValue *input = w.traced(inputName);
    if (!input || !input->tensor || input->rank() < std::int64_t(spatial) + 1)
        return fail(ErrorKind::Unsupported, "a pooling whose input is unknown");
    made.unbatched = input->rank() == std::int64_t(spatial) + 1;
    BW_ASSIGN(Ints kernel, w.ints("kernel_size"));
    BW_ASSIGN(Ints stride, w.ints("stride"));
    BW_ASSIGN(Ints padding, w.ints("padding"));
    made.kernel = filled(kernel, spatial);
    made.stride = stride.empty() ? made.kernel : filled(stride, spatial);
    made.low = filled(padding, spatial, 0);
    made.dilation.assign(spatial, 1);
    if (w.argument("dilation")) {
        BW_ASSIGN(Ints dilation, w.ints("dilation"));
        made.dilation = filled(dilation, spatial);
    }
    made.high = made.low;
    made.overhang.assign(spatial, 0);
    const auto &before = input->shape, &after = w.result().shape;
    for (std::size_t i = 0; i < spatial; ++i) {
        const std::int64_t in = before[before.size() - spatial + i], outSize = after[after.size() - spatial + i];
        if (in < 0 || outSize < 0)
            return fail(ErrorKind::Unsupported, "a pooling over a free size");
        const std::int64_t reach = (outSize - 1) * made.stride[i] + made.dilation[i] * (made.kernel[i] - 1) + 1;
        made.overhang[i] = std::max<std::int64_t>(0, reach - (in + 2 * made.low[i]));
        made.hangsOver |= made.overhang[i] > 0;
    }
    BW_ASSIGN(made.x, w.tensor(inputName));
    if (made.unbatched)
        made.x = w.add("Unsqueeze", {made.x, w.integers({0})});
    return made;
}

Ints padsOf(const Window &window, bool withPadding)
{
    Ints pads(window.kernel.size() * 2);
    for (std::size_t i = 0; i < window.kernel.size(); ++i) {
        pads[i] = withPadding ? window.low[i] : 0;
        pads[i + window.kernel.size()] = (withPadding ? window.high[i] : 0) + window.overhang[i];
    }
    return pads;
}

void finish(OnnxWriter &w, const std::string &op, const std::string &x, std::vector<Attribute> attributes, bool unbatched)
{
    const std::string y = w.add(op, {x}, std::move(attributes), unbatched ? std::string() : w.resultName());
    if (unbatched)
        w.add("Squeeze", {y, w.integers({0})}, {}, w.resultName());
}

Status maxPool(OnnxWriter &w)
{
    BW_ASSIGN(const Window made, window(w, "self"));
    finish(w, "MaxPool", made.x,
           {Attribute::of("kernel_shape", made.kernel), Attribute::of("strides", made.stride),
            Attribute::of("pads", padsOf(made, true)), Attribute::of("dilations", made.dilation)},
           made.unbatched);
    return {};
}

Status avgPool(OnnxWriter &w)
{
    BW_ASSIGN(Window made, window(w, "self"));
    BW_ASSIGN(const bool countPadding, w.flag("count_include_pad"));
    const bool padded = std::ranges::any_of(made.low, [](std::int64_t size) { return size > 0; });
    std::string x = made.x;
    bool withPadding = true;
    std::int64_t count = countPadding && padded ? 1 : 0;
    double factor = 1;
    if (w.argument("divisor_override") && !w.absent("divisor_override")) {
        BW_ASSIGN(const double divisor, w.number("divisor_override"));
        const double area = double(std::accumulate(made.kernel.begin(), made.kernel.end(), std::int64_t(1), std::multiplies<>()));
        factor = area / divisor;
        count = 1;
    } else if (count == 1 && made.hangsOver) {
        // Zeros of the padding count, what hangs over does not: pad by hand, then leave out what is not there.
        Ints pads(made.kernel.size() * 2 + 4, 0);
        for (std::size_t i = 0; i < made.kernel.size(); ++i)
            pads[2 + i] = pads[2 + made.kernel.size() + 2 + i] = made.low[i];
        x = w.add("Pad", {x, w.integers(pads)});
        withPadding = false;
        count = 0;
    }
    std::vector<Attribute> attributes{Attribute::of("kernel_shape", made.kernel), Attribute::of("strides", made.stride),
                                      Attribute::of("pads", padsOf(made, withPadding)), Attribute::of("count_include_pad", count)};
    if (factor == 1) {
        finish(w, "AveragePool", x, std::move(attributes), made.unbatched);
        return {};
    }
    std::string y = w.add("AveragePool", {x}, std::move(attributes));
    if (made.unbatched)
        y = w.add("Squeeze", {y, w.integers({0})});
    w.add("Mul", {y, w.scalar(factor)}, {}, w.resultName());
    return {};
}

std::string reduce(OnnxWriter &w, const std::string &op, const std::string &x, const Ints &axes, bool keep, const std::string &target)
{
    const bool asInput = op == "ReduceSum" || w.opset() >= 18;
    std::vector<std::string> inputs{x};
    std::vector<Attribute> attributes{Attribute::of("keepdims", std::int64_t(keep))};
    if (asInput)
        inputs.push_back(w.integers(axes));
    else
        attributes.push_back(Attribute::of("axes", axes));
    return w.add(op, inputs, attributes, target);
}

// Adaptive pooling in one dimension by cutting each window out: works for any two sizes.
std::string adaptiveAxis(OnnxWriter &w, const std::string &op, const std::string &x, std::int64_t axis, std::int64_t in,
                         std::int64_t out, const std::string &target)
{
    std::vector<std::string> parts;
    for (std::int64_t i = 0; i < out; ++i) {
        const std::int64_t begin = i * in / out, end = ((i + 1) * in + out - 1) / out;
        const std::string piece = w.add("Slice", {x, w.integers({begin}), w.integers({end}), w.integers({axis})});
        parts.push_back(reduce(w, op, piece, {axis}, true, {}));
    }
    return w.add("Concat", parts, {Attribute::of("axis", axis)}, target);
}

Status adaptivePool(OnnxWriter &w)
{
    const std::string op = baseName(w);
    const bool average = op.find("avg") != std::string::npos;
    const std::size_t spatial = spatialRank(op);
    const TracedValue *input = w.traced("self");
    if (!input || !input->tensor || input->rank() < std::int64_t(spatial) + 1)
        return fail(ErrorKind::Unsupported, "an adaptive pooling whose input is unknown");
    const auto &after = w.result().shape;
    const Ints in(input->shape.end() - std::ptrdiff_t(spatial), input->shape.end());
    const Ints outSizes(after.end() - std::ptrdiff_t(spatial), after.end());
    BW_ASSIGN(std::string x, w.tensor("self"));
    const bool toOne = std::ranges::all_of(outSizes, [](std::int64_t size) { return size == 1; });
    const bool unbatched = input->rank() == std::int64_t(spatial) + 1;
    if (toOne && !unbatched) {
        w.add(average ? "GlobalAveragePool" : "GlobalMaxPool", {x}, {}, w.resultName());
        return {};
    }
    Ints kernel;
    bool divides = !unbatched;
    for (std::size_t i = 0; i < spatial; ++i) {
        if (in[i] < 0 || outSizes[i] <= 0)
            return fail(ErrorKind::Unsupported, "an adaptive pooling over a free size");
        divides &= in[i] % outSizes[i] == 0;
        kernel.push_back(in[i] / std::max<std::int64_t>(1, outSizes[i]));
    }
    if (divides) {
        w.add(average ? "AveragePool" : "MaxPool", {x}, {Attribute::of("kernel_shape", kernel), Attribute::of("strides", kernel)},
              w.resultName());
        return {};
    }
    for (std::size_t i = 0; i < spatial; ++i) {
        const std::int64_t axis = input->rank() - std::int64_t(spatial) + std::int64_t(i);
        x = adaptiveAxis(w, average ? "ReduceMean" : "ReduceMax", x, axis, in[i], outSizes[i],
                         i + 1 == spatial ? w.resultName() : std::string());
    }
    return {};
}

Status reduction(OnnxWriter &w)
{
    const std::string op = baseName(w);
    const TracedValue *input = w.traced("self");
    if (!input || !input->tensor)
        return fail(ErrorKind::Unsupported, "a reduction whose input is unknown");
    Ints axes;
    bool keep = false;
    if (w.argument("dim")) {
        BW_ASSIGN(axes, w.ints("dim"));
        BW_ASSIGN(keep, w.flag("keepdim"));
    }
    if (axes.empty()) {
        axes.resize(std::size_t(input->rank()));
        std::iota(axes.begin(), axes.end(), 0);
    }
    for (std::int64_t &axis : axes)
        axis = axis < 0 ? axis + input->rank() : axis;
    BW_ASSIGN(std::string x, w.tensor("self"));
    if (input->type != w.result().type)
        x = w.cast(x, input->type, w.result().type);
    std::string name = op == "mean" ? "ReduceMean" : op == "sum" ? "ReduceSum" : op == "amax" ? "ReduceMax" : "ReduceMin";
    if (op == "linalg_vector_norm") {
        BW_ASSIGN(const double order, w.number("ord"));
        if (order != 2)
            return fail(ErrorKind::Unsupported, "a vector norm other than 2");
        name = "ReduceL2";
    }
    reduce(w, name, x, axes, keep, w.resultName());
    return {};
}

Status argMax(OnnxWriter &w)
{
    if (w.absent("dim"))
        return fail(ErrorKind::Unsupported, "argmax over everything");
    BW_ASSIGN(const std::int64_t axis, w.integer("dim"));
    BW_ASSIGN(const bool keep, w.flag("keepdim"));
    BW_ASSIGN(const std::string x, w.tensor("self"));
    w.add("ArgMax", {x}, {Attribute::of("axis", axis), Attribute::of("keepdims", std::int64_t(keep))}, w.resultName());
    return {};
}

Status upsample(OnnxWriter &w)
{
    const std::string op = baseName(w);
    const std::string self = w.argument("input") ? "input" : "self";
    const TracedValue *input = w.traced(self);
    if (!input || !input->tensor)
        return fail(ErrorKind::Unsupported, "a resize whose input is unknown");
    const auto rank = std::size_t(input->rank());
    const bool nearest = op.find("nearest") != std::string::npos, cubic = op.find("bicubic") != std::string::npos;
    bool corners = false;
    if (!nearest) {
        BW_ASSIGN(corners, w.flag("align_corners"));
    }
    BW_ASSIGN(const std::string x, w.tensor(self));
    Ints axes, sizes;
    std::vector<float> scales(rank, 1.f);
    bool whole = true;
    for (std::size_t axis = 2; axis < rank; ++axis) {
        const std::int64_t before = input->shape[axis], after = w.result().shape[axis];
        if (before <= 0 || after <= 0)
            return fail(ErrorKind::Unsupported, "a resize of a free size");
        axes.push_back(std::int64_t(axis));
        sizes.push_back(after);
        scales[axis] = float(after) / float(before);
        whole &= after % before == 0;
    }
    std::vector<Attribute> attributes{
        Attribute::of("mode", std::string(nearest ? "nearest" : cubic ? "cubic" : "linear")),
        Attribute::of("coordinate_transformation_mode",
                      std::string(op.find("exact") != std::string::npos ? "half_pixel"
                                  : nearest                             ? "asymmetric"
                                  : corners                             ? "align_corners"
                                                                        : "pytorch_half_pixel"))};
    if (nearest)
        attributes.push_back(Attribute::of("nearest_mode", std::string(op.find("exact") != std::string::npos ? "round_prefer_ceil" : "floor")));
    if (cubic)
        attributes.push_back(Attribute::of("cubic_coeff_a", -0.75f));
    if (whole && !cubic) {
        w.add("Resize", {x, "", w.initializer(at::tensor(scales), w.node().name + ".scales")}, attributes, w.resultName());
        return {};
    }
    w.need(18);
    attributes.push_back(Attribute::of("axes", axes));
    w.add("Resize", {x, "", "", w.integers(sizes)}, attributes, w.resultName());
    return {};
}

Status pad(OnnxWriter &w)
{
    const std::string op = baseName(w);
    const TracedValue *input = w.traced("self");
    if (!input || !input->tensor)
        return fail(ErrorKind::Unsupported, "a padding whose input is unknown");
    const auto rank = std::size_t(input->rank());
    BW_ASSIGN(const Ints given, w.ints(op == "pad" || op == "constant_pad_nd" ? "pad" : "padding"));
    std::string mode = op.starts_with("reflection") ? "reflect" : op.starts_with("replication") ? "edge" : "constant";
    double value = 0;
    if (op == "pad") {
        BW_ASSIGN(mode, w.text("mode"));
        mode = mode == "replicate" ? "edge" : mode;
    }
    if (mode == "circular")
        return fail(ErrorKind::Unsupported, "circular padding");
    if (w.argument("value") && !w.absent("value")) {
        BW_ASSIGN(value, w.number("value"));
    }
    Ints pads(rank * 2, 0);
    // PyTorch counts from the last dimension on, in pairs.
    for (std::size_t i = 0; i * 2 + 1 < given.size() && i < rank; ++i) {
        pads[rank - 1 - i] = given[i * 2];
        pads[rank * 2 - 1 - i] = given[i * 2 + 1];
    }
    BW_ASSIGN(const std::string x, w.tensor("self"));
    std::vector<std::string> inputs{x, w.integers(pads)};
    if (mode == "constant")
        inputs.push_back(w.scalar(value, input->type));
    w.add("Pad", inputs, {Attribute::of("mode", mode)}, w.resultName());
    return {};
}

} // namespace

std::span<const LoweringRow> poolingLowerings()
{
    static const LoweringRow kRows[] = {
        {"max_pool1d", maxPool}, {"max_pool2d", maxPool}, {"max_pool3d", maxPool},
        {"max_pool2d_with_indices", maxPool}, {"max_pool3d_with_indices", maxPool},
        {"avg_pool1d", avgPool}, {"avg_pool2d", avgPool}, {"avg_pool3d", avgPool},
        {"adaptive_avg_pool1d", adaptivePool}, {"adaptive_avg_pool2d", adaptivePool}, {"adaptive_avg_pool3d", adaptivePool},
        {"_adaptive_avg_pool2d", adaptivePool}, {"_adaptive_avg_pool3d", adaptivePool},
        {"adaptive_max_pool1d", adaptivePool}, {"adaptive_max_pool2d", adaptivePool}, {"adaptive_max_pool3d", adaptivePool},
        {"mean", reduction}, {"sum", reduction}, {"amax", reduction}, {"amin", reduction}, {"linalg_vector_norm", reduction},
        {"argmax", argMax},
        {"upsample_nearest1d", upsample}, {"upsample_nearest2d", upsample}, {"upsample_nearest3d", upsample},
        {"_upsample_nearest_exact2d", upsample}, {"upsample_linear1d", upsample}, {"upsample_bilinear2d", upsample},
        {"upsample_trilinear3d", upsample}, {"upsample_bicubic2d", upsample},
        {"constant_pad_nd", pad}, {"pad", pad}, {"reflection_pad1d", pad}, {"reflection_pad2d", pad},
        {"replication_pad1d", pad}, {"replication_pad2d", pad},
    };
    return kRows;
}

} // namespace bitwright
