// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_reader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace bitwright {

namespace {

using Ints = std::vector<std::int64_t>;

Argument list(Ints values) { return Argument::of(c10::IValue(std::move(values))); }
Argument value(std::int64_t number) { return Argument::of(c10::IValue(number)); }

Status identity(OnnxReader &r)
{
    if (r.isConstant(0)) {
        BW_ASSIGN(const at::Tensor found, r.constant(0));
        r.bindConstant(found, r.node().inputs[0]);
        r.noteStored(r.storedOfInput(0));
        return {};
    }
    BW_ASSIGN(const Argument x, r.input(0));
    r.bind(x, r.rank(0));
    r.noteStored(r.storedOfInput(0));
    return {};
}

Status constant(OnnxReader &r)
{
    const onnx::Attribute *found = r.node().attribute("value");
    if (found && found->t) {
        BW_ASSIGN(const at::Tensor made, tensorOf(*found->t));
        r.bindConstant(made);
        return {};
    }
    if (const auto *number = r.node().attribute("value_int"))
        r.bindConstant(at::scalar_tensor(number->i, at::TensorOptions(at::kLong)));
    else if (const auto *real = r.node().attribute("value_float"))
        r.bindConstant(at::scalar_tensor(real->f, at::TensorOptions(at::kFloat)));
    else if (const auto *numbers = r.node().attribute("value_ints"))
        r.bindConstant(at::tensor(numbers->ints, at::kLong));
    else if (const auto *reals = r.node().attribute("value_floats"))
        r.bindConstant(at::tensor(reals->floats, at::kFloat));
    else
        return fail(ErrorKind::Unsupported, "a constant of this kind");
    return {};
}

Status cast(OnnxReader &r)
{
    // Narrow integers wrap around, which the kernel does.
    const auto wanted = onnx::DataType(r.integer("to", 1));
    const at::ScalarType type = scalarTypeOf(wanted);
    if (onnx::storageBits(wanted) < 8 || wanted == onnx::DataType::UInt16)
        return fail(ErrorKind::Unsupported, "a cast to a narrow type");
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::to.dtype", {x, value(std::int64_t(type))});
}

Status reshape(OnnxReader &r)
{
    BW_ASSIGN(const Ints sizes, r.constantInts(1));
    const bool keepsZero = r.integer("allowzero", 0) != 0;
    if (r.isConstant(0)) {
        BW_ASSIGN(const at::Tensor found, r.constant(0));
        Ints known = sizes;
        for (std::size_t i = 0; i < known.size() && !keepsZero; ++i) {
            if (known[i] == 0 && std::int64_t(i) < found.dim())
                known[i] = found.size(std::int64_t(i));
        }
        r.bindConstant(found.reshape(known), r.node().inputs[0] + "_reshaped");
        if (const auto stored = r.storedOfInput(0); stored && stored->scale.size() <= 1)
            r.noteStored(stored);
        return {};
    }
    BW_ASSIGN(const Argument x, r.input(0));
    std::vector<Argument> entries;
    bool plain = true;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        if (sizes[i] != 0 || keepsZero) {
            entries.push_back(value(sizes[i]));
            continue;
        }
        BW_ASSIGN(const ValueId size, r.add("aten::sym_size.int", {x, value(std::int64_t(i))}));
        entries.push_back(Argument::of(size));
        plain = false;
    }
    const auto rank = std::int64_t(sizes.size());
    return r.emit("aten::reshape", {x, plain ? list(sizes) : Argument::of(std::move(entries))}, {}, rank);
}

Status flatten(OnnxReader &r)
{
    const std::int64_t axis = r.integer("axis", 1);
    if (axis != 1 || r.rank(0) < 2)
        return fail(ErrorKind::Unsupported, "a flatten from dimension " + std::to_string(axis));
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::flatten.using_ints", {x, value(std::int64_t(1)), value(std::int64_t(-1))}, {}, 2);
}

Status transpose(OnnxReader &r)
{
    Ints order = r.integers("perm");
    if (order.empty()) {
        for (std::int64_t axis = r.rank(0) - 1; axis >= 0; --axis)
            order.push_back(axis);
    }
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::permute", {x, list(order)});
}

Status squeeze(OnnxReader &r)
{
    BW_ASSIGN(const Ints axes, r.integersOf("axes", 1));
    if (axes.empty())
        return fail(ErrorKind::Unsupported, "a squeeze of unknown dimensions");
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::squeeze.dims", {x, list(axes)}, {}, r.rank(0) < 0 ? -1 : r.rank(0) - std::int64_t(axes.size()));
}

Status unsqueeze(OnnxReader &r)
{
    BW_ASSIGN(Ints axes, r.integersOf("axes", 1));
    if (axes.size() > 64)
        return fail(ErrorKind::Parse, std::to_string(axes.size()) + " new dimensions");
    const std::int64_t after = r.rank(0) < 0 ? -1 : r.rank(0) + std::int64_t(axes.size());
    if (after < 0 && std::ranges::any_of(axes, [](std::int64_t axis) { return axis < 0; }))
        return fail(ErrorKind::Unsupported, "an unsqueeze of an unknown shape");
    for (std::int64_t &axis : axes)
        axis = axis < 0 ? axis + after : axis;
    std::ranges::sort(axes);
    if (r.isConstant(0)) {
        BW_ASSIGN(at::Tensor found, r.constant(0));
        for (std::int64_t axis : axes)
            found = found.unsqueeze(axis);
        r.bindConstant(found, r.node().inputs[0] + "_unsqueezed");
        return {};
    }
    BW_ASSIGN(Argument x, r.input(0));
    for (std::int64_t axis : axes) {
        BW_ASSIGN(const ValueId next, r.add("aten::unsqueeze", {x, value(axis)}));
        x = Argument::of(next);
    }
    r.bind(x, after);
    return {};
}

Status concatenate(OnnxReader &r)
{
    std::vector<Argument> parts;
    std::int64_t rank = -1;
    for (std::size_t i = 0; i < r.node().inputs.size(); ++i) {
        BW_ASSIGN(auto part, r.input(i));
        parts.push_back(std::move(part));
        rank = std::max(rank, r.rank(i));
    }
    return r.emit("aten::cat", {Argument::of(std::move(parts)), value(r.integer("axis", 0))}, {}, rank);
}

Status expand(OnnxReader &r)
{
    BW_ASSIGN(const Ints sizes, r.constantInts(1));
    BW_ASSIGN(const Argument x, r.input(0));
    const auto rank = std::max<std::int64_t>(r.rank(0), std::int64_t(sizes.size()));
    // Broadcasting against ones of that shape is what ONNX means; -1 would not say "1 keeps the size" for new dimensions.
    Ints ours = sizes;
    for (std::size_t i = 0; i < ours.size(); ++i) {
        const std::int64_t axis = std::int64_t(i) - (std::int64_t(ours.size()) - r.rank(0));
        if (ours[i] == 1 && axis >= 0)
            ours[i] = -1;
    }
    if (r.rank(0) < 0 || r.rank(0) > std::int64_t(sizes.size()))
        return fail(ErrorKind::Unsupported, "an expansion of an unknown shape");
    return r.emit("aten::expand", {x, list(ours)}, {}, rank);
}

Status tile(OnnxReader &r)
{
    BW_ASSIGN(const Ints repeats, r.constantInts(1));
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::repeat", {x, list(repeats)});
}

Status slice(OnnxReader &r)
{
    BW_ASSIGN(const Ints begins, r.integersOf("starts", 1));
    BW_ASSIGN(const Ints ends, r.integersOf("ends", 2));
    BW_ASSIGN(Ints axes, r.integersOf("axes", 3));
    BW_ASSIGN(Ints steps, r.integersOf("steps", 4));
    if (axes.empty()) {
        for (std::size_t i = 0; i < begins.size(); ++i)
            axes.push_back(std::int64_t(i));
    }
    if (steps.empty())
        steps.assign(begins.size(), 1);
    if (ends.size() != begins.size() || axes.size() != begins.size() || steps.size() != begins.size())
        return fail(ErrorKind::Parse, "a slice whose lists differ in length");
    BW_ASSIGN(Argument x, r.input(0));
    for (std::size_t i = 0; i < begins.size(); ++i) {
        if (steps[i] <= 0)
            return fail(ErrorKind::Unsupported, "a slice that goes backwards");
        BW_ASSIGN(const ValueId next, r.add("aten::slice.Tensor", {x, value(axes[i]), value(begins[i]), value(ends[i]), value(steps[i])}));
        x = Argument::of(next);
    }
    r.bind(x, r.rank(0));
    return {};
}

Status gather(OnnxReader &r)
{
    const std::int64_t axis = r.integer("axis", 0);
    if (r.isConstant(1) && !r.isConstant(0)) {
        BW_ASSIGN(const at::Tensor index, r.constant(1));
        BW_ASSIGN(const Argument x, r.input(0));
        if (index.dim() == 0)
            return r.emit("aten::select.int", {x, value(axis), value(index.item().toLong())}, {}, r.rank(0) - 1);
        if (index.dim() == 1 && (index.numel() == 0 || index.min().item<std::int64_t>() >= 0)) {
            BW_ASSIGN(const Argument which, r.input(1));
            return r.emit("aten::index_select", {x, value(axis), which});
        }
    }
    if (axis == 0 && r.isConstant(0) && r.rank(0) == 2) {
        BW_ASSIGN(const Argument table, r.input(0, true));
        BW_ASSIGN(const Argument which, r.input(1));
        return r.emit("aten::embedding", {table, which}, {}, r.rank(1) < 0 ? -1 : r.rank(0) + r.rank(1) - 1);
    }
    return fail(ErrorKind::Unsupported, "a gather with computed indices");
}

Status split(OnnxReader &r)
{
    BW_ASSIGN(const Ints sizes, r.integersOf("split", 1));
    const std::size_t parts = r.node().outputs.size();
    if (sizes.size() != parts)
        return fail(ErrorKind::Unsupported, "a split without sizes");
    const std::int64_t axis = r.integer("axis", 0);
    BW_ASSIGN(const Argument x, r.input(0));
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < parts; ++i) {
        std::int64_t end = 0;
        if (sizes[i] < 0 || __builtin_add_overflow(begin, sizes[i], &end))
            return fail(ErrorKind::Parse, "a split into impossible sizes");
        BW_ASSIGN(const ValueId part, r.add("aten::slice.Tensor", {x, value(axis), value(begin), value(end), value(std::int64_t(1))}));
        r.bind(Argument::of(part), r.rank(0), i);
        begin = end;
    }
    return {};
}

Status depthToSpace(OnnxReader &r)
{
    if (r.text("mode", "DCR") != "CRD")
        return fail(ErrorKind::Unsupported, "a depth to space in DCR order");
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::pixel_shuffle", {x, value(r.integer("blocksize", 1))});
}

Status dropout(OnnxReader &r)
{
    if (r.node().outputs.size() > 1 || (r.has(2) && !r.isConstant(2)))
        return fail(ErrorKind::Unsupported, "a dropout that gives its mask");
    if (r.has(2)) {
        BW_ASSIGN(const at::Tensor training, r.constant(2));
        if (training.numel() == 1 && training.item<bool>())
            return fail(ErrorKind::Unsupported, "a dropout in training mode");
    }
    BW_ASSIGN(const Argument x, r.input(0));
    r.bind(x, r.rank(0));
    return {};
}

} // namespace

std::span<const OnnxReadingRow> onnxShapeReadings()
{
    static const OnnxReadingRow kRows[] = {
        {"Identity", identity}, {"Constant", constant}, {"Cast", cast}, {"Reshape", reshape}, {"Flatten", flatten},
        {"Transpose", transpose}, {"Squeeze", squeeze}, {"Unsqueeze", unsqueeze}, {"Concat", concatenate}, {"Expand", expand},
        {"Tile", tile}, {"Slice", slice}, {"Gather", gather}, {"Split", split}, {"DepthToSpace", depthToSpace}, {"Dropout", dropout},
    };
    return kRows;
}

} // namespace bitwright
