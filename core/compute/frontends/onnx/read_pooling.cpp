// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_reader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace bitwright {

namespace {

using Ints = std::vector<std::int64_t>;

Argument list(Ints values) { return Argument::of(c10::IValue(std::move(values))); }
Argument value(bool flag) { return Argument::of(c10::IValue(flag)); }

struct Window {
    Ints kernel, stride, low, high, dilation;
    std::size_t spatial = 0;
    bool even = true, ceil = false;
};

Result<Window> window(OnnxReader &r)
{
    Window made;
    made.kernel = r.integers("kernel_shape");
    made.spatial = made.kernel.size();
    if (made.spatial < 1 || made.spatial > 3)
        return fail(ErrorKind::Unsupported, "a pooling over " + std::to_string(made.spatial) + " dimensions");
    made.stride = orElse(r.integers("strides"), made.spatial, 1);
    made.dilation = orElse(r.integers("dilations"), made.spatial, 1);
    for (const Ints *numbers : {&made.kernel, &made.stride, &made.dilation})
        if (std::ranges::any_of(*numbers, [](std::int64_t number) { return number <= 0 || number >= std::int64_t(1) << 31; }))
            return fail(ErrorKind::Parse, "a pooling whose window or stride has an impossible size");
    BW_ASSIGN(const Ints pads, statedPads(r, made.spatial));
    made.low.assign(pads.begin(), pads.begin() + std::ptrdiff_t(made.spatial));
    made.high.assign(pads.begin() + std::ptrdiff_t(made.spatial), pads.end());
    for (std::size_t i = 0; i < made.spatial; ++i)
        made.even &= made.low[i] == made.high[i] && made.low[i] * 2 <= made.kernel[i];
    made.ceil = r.integer("ceil_mode", 0) != 0;
    return made;
}

Result<Argument> pad(OnnxReader &r, const Argument &x, const Window &made, double fill)
{
    Ints pads = made.low;
    pads.insert(pads.end(), made.high.begin(), made.high.end());
    BW_ASSIGN(const ValueId out, r.add("aten::constant_pad_nd", {x, list(padOrder(pads)), Argument::of(c10::IValue(fill))}));
    return Argument::of(out);
}

std::string named(const char *stem, std::size_t spatial) { return std::string("aten::") + stem + std::to_string(spatial) + "d"; }

Status maxPool(OnnxReader &r)
{
    BW_ASSIGN(const Window made, window(r));
    if (r.node().outputs.size() > 1)
        return fail(ErrorKind::Unsupported, "a max pooling that also gives indices");
    BW_ASSIGN(Argument x, r.input(0));
    Ints padding = made.low;
    if (!made.even) {
        BW_ASSIGN(x, pad(r, x, made, -std::numeric_limits<double>::infinity()));
        padding.assign(made.spatial, 0);
    }
    return r.emit(named("max_pool", made.spatial),
                  {x, list(made.kernel), list(made.stride), list(padding), list(made.dilation), value(made.ceil)});
}

Status avgPool(OnnxReader &r)
{
    BW_ASSIGN(const Window made, window(r));
    if (std::ranges::any_of(made.dilation, [](std::int64_t d) { return d != 1; }))
        return fail(ErrorKind::Unsupported, "an average pooling with dilation");
    const bool counts = r.integer("count_include_pad", 0) != 0;
    BW_ASSIGN(Argument x, r.input(0));
    const auto pool = [&](const Argument &from, const Ints &padding, bool includePadding) {
        return r.add(named("avg_pool", made.spatial),
                     {from, list(made.kernel), list(made.stride), list(padding), value(made.ceil), value(includePadding)});
    };
    if (made.even) {
        BW_ASSIGN(const ValueId out, pool(x, made.low, counts));
        r.bind(Argument::of(out), r.rank(0));
        return {};
    }
    const Ints zero(made.spatial, 0);
    BW_ASSIGN(const Argument padded, pad(r, x, made, 0));
    BW_ASSIGN(const ValueId mean, pool(padded, zero, false));
    if (counts) {
        r.bind(Argument::of(mean), r.rank(0));
        return {};
    }
    // Leave padding out: divide by the share of each window that is real.
    BW_ASSIGN(const ValueId ones, r.add("aten::ones_like", {x}));
    BW_ASSIGN(const Argument paddedOnes, pad(r, Argument::of(ones), made, 0));
    BW_ASSIGN(const ValueId share, pool(paddedOnes, zero, false));
    return r.emit("aten::div.Tensor", {Argument::of(mean), Argument::of(share)});
}

Status globalPool(OnnxReader &r)
{
    const std::int64_t rank = r.rank(0);
    if (rank < 3 || rank > 5)
        return fail(ErrorKind::Unsupported, "a global pooling of an unknown shape");
    const auto spatial = std::size_t(rank - 2);
    BW_ASSIGN(const Argument x, r.input(0));
    if (r.node().op == "GlobalAveragePool")
        return r.emit(named("adaptive_avg_pool", spatial), {x, list(Ints(spatial, 1))});
    Ints axes;
    for (std::int64_t axis = 2; axis < rank; ++axis)
        axes.push_back(axis);
    return r.emit("aten::amax", {x, list(axes), value(true)});
}

Status reduce(OnnxReader &r)
{
    BW_ASSIGN(Ints axes, r.integersOf("axes", 1));
    const bool keep = r.integer("keepdims", 1) != 0;
    const std::int64_t rank = r.rank(0);
    if (axes.empty()) {
        if (r.integer("noop_with_empty_axes", 0) != 0 || rank < 0)
            return fail(ErrorKind::Unsupported, "a reduction over unknown dimensions");
        for (std::int64_t axis = 0; axis < rank; ++axis)
            axes.push_back(axis);
    }
    const std::int64_t after = rank < 0 ? -1 : keep ? rank : rank - std::int64_t(axes.size());
    BW_ASSIGN(const Argument x, r.input(0));
    const std::string &op = r.node().op;
    if (op == "ReduceMean")
        return r.emit("aten::mean.dim", {x, list(axes), value(keep)}, {}, after);
    if (op == "ReduceSum")
        return r.emit("aten::sum.dim_IntList", {x, list(axes), value(keep)}, {}, after);
    if (op == "ReduceL2")
        return r.emit("aten::linalg_vector_norm", {x, Argument::of(c10::IValue(std::int64_t(2))), list(axes), value(keep)}, {}, after);
    return r.emit(op == "ReduceMax" ? "aten::amax" : "aten::amin", {x, list(axes), value(keep)}, {}, after);
}

Status argMax(OnnxReader &r)
{
    if (r.integer("select_last_index", 0) != 0)
        return fail(ErrorKind::Unsupported, "the last of several maxima");
    const bool keep = r.integer("keepdims", 1) != 0;
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::argmax", {x, Argument::of(c10::IValue(r.integer("axis", 0))), value(keep)}, {}, keep ? r.rank(0) : r.rank(0) - 1);
}

Status resize(OnnxReader &r)
{
    const std::int64_t rank = r.rank(0);
    if (rank < 3 || rank > 5)
        return fail(ErrorKind::Unsupported, "a resize of an unknown shape");
    const auto spatial = std::size_t(rank - 2);
    const std::string mode = r.text("mode", "nearest"), coordinates = r.text("coordinate_transformation_mode", "half_pixel");
    const std::string nearest = r.text("nearest_mode", "round_prefer_floor");
    Argument sizes = Argument::of(c10::IValue()), scales = Argument::of(c10::IValue());
    if (r.has(3)) {
        BW_ASSIGN(const Ints given, r.constantInts(3));
        if (given.size() < spatial)
            return fail(ErrorKind::Parse, "a resize with too few sizes");
        sizes = list(Ints(given.end() - std::ptrdiff_t(spatial), given.end()));
    } else {
        BW_ASSIGN(const at::Tensor given, r.constant(2));
        const at::Tensor factors = given.to(at::kDouble).contiguous();
        if (factors.numel() < std::int64_t(spatial))
            return fail(ErrorKind::Parse, "a resize with too few scales");
        const double *first = factors.const_data_ptr<double>() + factors.numel() - std::int64_t(spatial);
        scales = Argument::of(c10::IValue(std::vector<double>(first, first + spatial)));
    }
    BW_ASSIGN(const Argument x, r.input(0));
    if (mode == "nearest") {
        if (coordinates == "asymmetric" && nearest == "floor")
            return r.emit("aten::upsample_nearest" + std::to_string(spatial) + "d.vec", {x, sizes, scales});
        if (coordinates == "half_pixel" && nearest == "round_prefer_ceil")
            return r.emit("aten::_upsample_nearest_exact" + std::to_string(spatial) + "d.vec", {x, sizes, scales});
        return fail(ErrorKind::Unsupported, "a nearest resize with " + coordinates + " and " + nearest);
    }
    const bool corners = coordinates == "align_corners";
    if (!corners && coordinates != "pytorch_half_pixel" && coordinates != "half_pixel")
        return fail(ErrorKind::Unsupported, "a resize with " + coordinates);
    if (mode == "cubic" && (spatial != 2 || float(r.number("cubic_coeff_a", -0.75)) != -0.75f))
        return fail(ErrorKind::Unsupported, "this cubic resize");
    const std::string op = mode == "cubic" ? "aten::upsample_bicubic2d.vec"
                         : spatial == 1    ? "aten::upsample_linear1d.vec"
                         : spatial == 2    ? "aten::upsample_bilinear2d.vec"
                                           : "aten::upsample_trilinear3d.vec";
    return r.emit(op, {x, sizes, value(corners), scales});
}

Status padding(OnnxReader &r)
{
    BW_ASSIGN(Ints pads, r.integersOf("pads", 1));
    const std::int64_t rank = r.rank(0);
    if (rank < 0 || std::int64_t(pads.size()) != rank * 2 || r.has(3))
        return fail(ErrorKind::Unsupported, "a padding whose shape is not known");
    const std::string mode = r.text("mode", "constant");
    double fill = r.number("value", 0);
    if (r.has(2)) {
        BW_ASSIGN(const at::Tensor given, r.constant(2));
        fill = given.numel() == 1 ? given.item().toDouble() : 0;
    }
    Ints ours;
    for (std::int64_t axis = rank - 1; axis >= 0; --axis) {
        ours.push_back(pads[std::size_t(axis)]);
        ours.push_back(pads[std::size_t(axis + rank)]);
    }
    // Reflection wants only the padded dimensions.
    while (ours.size() > 2 && ours[ours.size() - 1] == 0 && ours[ours.size() - 2] == 0)
        ours.resize(ours.size() - 2);
    BW_ASSIGN(const Argument x, r.input(0));
    if (mode == "constant")
        return r.emit("aten::constant_pad_nd", {x, list(ours), Argument::of(c10::IValue(fill))});
    const char *name = mode == "reflect" ? "reflect" : mode == "edge" ? "replicate" : "circular";
    return r.emit("aten::pad", {x, list(ours), Argument::of(c10::IValue(std::string(name)))});
}

} // namespace

std::span<const OnnxReadingRow> onnxPoolingReadings()
{
    static const OnnxReadingRow kRows[] = {
        {"MaxPool", maxPool}, {"AveragePool", avgPool}, {"GlobalAveragePool", globalPool}, {"GlobalMaxPool", globalPool},
        {"ReduceMean", reduce}, {"ReduceSum", reduce}, {"ReduceMax", reduce}, {"ReduceMin", reduce}, {"ReduceL2", reduce},
        {"ArgMax", argMax}, {"Resize", resize}, {"Pad", padding},
    };
    return kRows;
}

} // namespace bitwright
