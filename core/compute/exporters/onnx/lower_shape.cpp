// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/onnx/lowering.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
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

const Argument &first(const OnnxWriter &w) { return w.node().arguments.front(); }

Result<const TracedValue *> input(OnnxWriter &w)
{
    const TracedValue *known = w.node().arguments.empty() ? nullptr : w.traced(first(w));
    if (!known || !known->tensor)
        return fail(ErrorKind::Unsupported, "an operator whose input is unknown");
    return known;
}

std::int64_t positive(std::int64_t axis, std::int64_t rank) { return axis < 0 ? axis + rank : axis; }

// Anything that only gives the same values another shape.
Status reshaped(OnnxWriter &w)
{
    BW_ASSIGN(const TracedValue *known, input(w));
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    BW_CHECK(w.reshape(x, w.result().shape, known->shape, w.resultName()));
    return {};
}

Status same(OnnxWriter &w)
{
    BW_ASSIGN(const TracedValue *known, input(w));
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    if (known->type != w.result().type) {
        w.cast(x, known->type, w.result().type, w.resultName());
        return {};
    }
    w.alias(x);
    return {};
}

Status transpose(OnnxWriter &w)
{
    BW_ASSIGN(const TracedValue *known, input(w));
    const std::string op = baseName(w);
    Ints order(std::size_t(known->rank()));
    std::iota(order.begin(), order.end(), 0);
    if (op == "permute") {
        BW_ASSIGN(order, w.ints("dims"));
        for (std::int64_t &axis : order)
            axis = positive(axis, known->rank());
    } else if (op == "t" || op == "numpy_T") {
        std::ranges::reverse(order);
    } else {
        BW_ASSIGN(const std::int64_t a, w.integer(w.argument("dim0") ? "dim0" : "axis0"));
        BW_ASSIGN(const std::int64_t b, w.integer(w.argument("dim1") ? "dim1" : "axis1"));
        std::swap(order[std::size_t(positive(a, known->rank()))], order[std::size_t(positive(b, known->rank()))]);
    }
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    w.add("Transpose", {x}, {Attribute::of("perm", order)}, w.resultName());
    return {};
}

Status concatenate(OnnxWriter &w)
{
    BW_ASSIGN(auto names, w.tensors(first(w)));
    BW_ASSIGN(std::int64_t axis, w.integer("dim"));
    axis = positive(axis, w.result().rank());
    if (baseName(w) == "stack") {
        for (std::string &name : names)
            name = w.add("Unsqueeze", {name, w.integers({axis})});
    }
    // Mixed types are promoted by PyTorch, not by ONNX.
    if (first(w).kind == Argument::Kind::List) {
        for (std::size_t i = 0; i < names.size(); ++i) {
            if (const TracedValue *known = w.traced(first(w).list[i]); known && known->type != w.result().type)
                names[i] = w.cast(names[i], known->type, w.result().type);
        }
    }
    w.add("Concat", names, {Attribute::of("axis", axis)}, w.resultName());
    return {};
}

/// A size that changes with the batch, read off the tensor that the network read it from.
Result<std::string> freeSize(OnnxWriter &w, const Argument &size)
{
    const Node *node = producerOf(w.graph(), size);
    if (node && (node->op == "prim::Int" || node->op == "prim::identity" || node->op == "prim::NumToTensor") && !node->arguments.empty())
        return freeSize(w, node->arguments[0]);
    const Node *all = node && node->op == "prim::getitem" ? producerOf(w.graph(), node->arguments[0]) : nullptr;
    const bool single = node && (node->op == "aten::sym_size.int" || node->op == "aten::size.int" || node->op == "prim::shape");
    const bool listed = all && (all->op == "prim::size" || all->op == "aten::size");
    const Argument *tensor = single ? &node->arguments[0] : listed ? &all->arguments[0] : nullptr;
    if (!tensor || !w.traced(*tensor))
        return fail(ErrorKind::Unsupported, "a size that is computed from the batch");
    BW_ASSIGN(const c10::IValue at, w.plain(node->arguments[1]));
    BW_ASSIGN(const std::string x, w.tensor(*tensor));
    return w.add("Gather", {w.add("Shape", {x}), w.integers({at.toInt() < 0 ? at.toInt() + w.traced(*tensor)->rank() : at.toInt()})},
                 {Attribute::of("axis", std::int64_t(0))});
}

/// A tensor of one value, some of whose sizes may be free.
Status filled(OnnxWriter &w)
{
    const std::string op = baseName(w);
    double value = op.find("ones") != std::string::npos ? 1 : 0;
    if (op.find("full") != std::string::npos) {
        BW_ASSIGN(value, w.number("fill_value"));
    }
    const Ints &sizes = w.result().shape;
    std::string shape = w.integers(sizes);
    if (std::ranges::count(sizes, -1) > 0 && op.ends_with("_like")) {
        BW_ASSIGN(const std::string x, w.tensor("self"));
        shape = w.add("Shape", {x});
    } else if (std::ranges::count(sizes, -1) > 0) {
        const Argument *size = w.argument("size");
        const Node *made = size->kind == Argument::Kind::Value ? producerOf(w.graph(), *size) : nullptr;
        const std::vector<Argument> *items = size->kind == Argument::Kind::List ? &size->list : made && made->op == "prim::ListConstruct" ? &made->arguments : nullptr;
        if (!items || items->size() != sizes.size())
            return fail(ErrorKind::Unsupported, "a size that is computed from the batch");
        std::vector<std::string> parts;
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            if (sizes[i] >= 0) {
                parts.push_back(w.integers({sizes[i]}));
                continue;
            }
            BW_ASSIGN(parts.emplace_back(), freeSize(w, (*items)[i]));
        }
        shape = parts.size() == 1 ? parts[0] : w.add("Concat", parts, {Attribute::of("axis", std::int64_t(0))});
    }
    BW_ASSIGN(onnx::Tensor one, onnxTensor(at::full({1}, value, at::TensorOptions().dtype(w.result().type)), "value"));
    Attribute attribute;
    attribute.name = "value";
    attribute.type = Attribute::Type::Tensor;
    attribute.t = std::make_shared<onnx::Tensor>(std::move(one));
    w.add("ConstantOfShape", {shape}, {attribute}, w.resultName());
    return {};
}

Status expand(OnnxWriter &w)
{
    BW_ASSIGN(const TracedValue *known, input(w));
    Ints sizes = w.result().shape;
    const std::size_t lead = sizes.size() - std::size_t(known->rank());
    for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
        const std::int64_t before = axis < lead ? 1 : known->shape[axis - lead];
        if (sizes[axis] == before)
            sizes[axis] = 1;
        else if (sizes[axis] < 0)
            return fail(ErrorKind::Unsupported, "an expansion to the batch size");
    }
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    w.add("Expand", {x, w.integers(sizes)}, {}, w.resultName());
    return {};
}

Status repeat(OnnxWriter &w)
{
    BW_ASSIGN(const TracedValue *known, input(w));
    BW_ASSIGN(const Ints repeats, w.ints(baseName(w) == "tile" ? "dims" : "repeats"));
    BW_ASSIGN(std::string x, w.tensor(first(w)));
    if (std::int64_t(repeats.size()) > known->rank()) {
        Ints axes(repeats.size() - std::size_t(known->rank()));
        std::iota(axes.begin(), axes.end(), 0);
        x = w.add("Unsqueeze", {x, w.integers(axes)});
    } else if (std::int64_t(repeats.size()) < known->rank()) {
        return fail(ErrorKind::Unsupported, "a tile with fewer entries than dimensions");
    }
    w.add("Tile", {x, w.integers(repeats)}, {}, w.resultName());
    return {};
}

Status slice(OnnxWriter &w)
{
    BW_ASSIGN(std::int64_t axis, w.integer("dim"));
    const std::string op = baseName(w);
    std::int64_t begin = 0, end = std::numeric_limits<std::int64_t>::max(), step = 1;
    if (!w.absent("start")) {
        BW_ASSIGN(begin, w.integer("start"));
    }
    if (op == "narrow") {
        BW_ASSIGN(const std::int64_t length, w.integer("length"));
        BW_ASSIGN(const TracedValue *known, input(w));
        if (begin < 0 && known->shape[std::size_t(positive(axis, known->rank()))] < 0)
            return fail(ErrorKind::Unsupported, "a cut from the end of the batch");
        begin = begin < 0 ? begin + known->shape[std::size_t(positive(axis, known->rank()))] : begin;
        end = begin + length;
    } else {
        // An end that follows the batch size is "to the end".
        if (!w.absent("end")) {
            const Argument &argument = *w.argument("end");
            BW_ASSIGN(const TracedValue *known, input(w));
            const std::int64_t before = known->shape[std::size_t(positive(axis, known->rank()))];
            const std::int64_t after = w.result().shape[std::size_t(positive(axis, known->rank()))];
            auto value = w.plain(argument);
            if (value && value->isInt())
                end = value->toInt();
            else if (before != after)
                return fail(ErrorKind::Unsupported, "a cut that depends on the batch size");
        }
        BW_ASSIGN(step, w.integer("step"));
    }
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    w.add("Slice", {x, w.integers({begin}), w.integers({end}), w.integers({axis}), w.integers({step})}, {}, w.resultName());
    return {};
}

Status select(OnnxWriter &w)
{
    BW_ASSIGN(const std::int64_t axis, w.integer("dim"));
    BW_ASSIGN(const std::int64_t index, w.integer("index"));
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    w.add("Gather", {x, w.scalar(double(index), at::kLong)}, {Attribute::of("axis", axis)}, w.resultName());
    return {};
}

Status indexSelect(OnnxWriter &w)
{
    BW_ASSIGN(const std::int64_t axis, w.integer("dim"));
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    BW_ASSIGN(const std::string index, w.tensor("index"));
    w.add("Gather", {x, index}, {Attribute::of("axis", axis)}, w.resultName());
    return {};
}

Status split(OnnxWriter &w)
{
    BW_ASSIGN(const TracedValue *known, input(w));
    const std::string op = baseName(w);
    BW_ASSIGN(std::int64_t axis, w.integer("dim"));
    axis = positive(axis, known->rank());
    const auto &shapes = w.result().listShapes;
    Ints sizes;
    for (const auto &shape : shapes)
        sizes.push_back(op == "unbind" ? 1 : shape[std::size_t(axis)]);
    if (sizes.empty() || std::ranges::any_of(sizes, [](std::int64_t size) { return size < 0; }))
        return fail(ErrorKind::Unsupported, "a split along the batch");
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    std::vector<std::string> names;
    const std::string base = w.graph().valueNames[std::size_t(w.node().outputs[0])];
    for (std::size_t i = 0; i < sizes.size(); ++i)
        names.push_back(w.uniqueName(base + "_part"));
    w.addMany("Split", {x, w.integers(sizes)}, {Attribute::of("axis", axis)}, names);
    if (op == "unbind") {
        for (std::string &name : names)
            name = w.add("Squeeze", {name, w.integers({axis})});
    }
    w.setItems(names);
    return {};
}

// ---- lists of tensors ----

Status makeList(OnnxWriter &w)
{
    std::vector<std::string> names;
    for (const Argument &argument : w.node().arguments) {
        BW_ASSIGN(auto name, w.tensor(argument));
        names.push_back(std::move(name));
    }
    w.setItems(names);
    return {};
}

Status unpackList(OnnxWriter &w)
{
    BW_ASSIGN(const auto names, w.tensors(first(w)));
    for (std::size_t i = 0; i < w.node().outputs.size() && i < names.size(); ++i) {
        if (w.node().outputs[i] != kNoValue)
            w.alias(names[i], i);
    }
    return {};
}

Status getItem(OnnxWriter &w)
{
    BW_ASSIGN(const auto names, w.tensors(first(w)));
    BW_ASSIGN(const auto index, w.plain(w.node().arguments.at(1)));
    if (!index.isInt() || positive(index.toInt(), std::int64_t(names.size())) >= std::int64_t(names.size()) ||
        positive(index.toInt(), std::int64_t(names.size())) < 0)
        return fail(ErrorKind::Unsupported, "a list entry that is not known");
    w.alias(names[std::size_t(positive(index.toInt(), std::int64_t(names.size())))]);
    return {};
}

Status pixelShuffle(OnnxWriter &w)
{
    BW_ASSIGN(const std::int64_t factor, w.integer("upscale_factor"));
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    w.add("DepthToSpace", {x}, {Attribute::of("blocksize", factor), Attribute::of("mode", std::string("CRD"))}, w.resultName());
    return {};
}

Status channelShuffle(OnnxWriter &w)
{
    BW_ASSIGN(const std::int64_t groups, w.integer("groups"));
    const auto &shape = w.result().shape;
    Ints cut{0, groups, shape[1] / groups}, order{0, 2, 1};
    for (std::size_t axis = 2; axis < shape.size(); ++axis) {
        cut.push_back(shape[axis]);
        order.push_back(std::int64_t(axis) + 1);
    }
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    const std::string split = w.add("Reshape", {x, w.integers(cut)});
    const std::string turned = w.add("Transpose", {split}, {Attribute::of("perm", order)});
    BW_CHECK(w.reshape(turned, shape, {}, w.resultName()));
    return {};
}

// x -> a * sigmoid(b), both halves of one dimension
Status glu(OnnxWriter &w)
{
    BW_ASSIGN(const TracedValue *known, input(w));
    BW_ASSIGN(std::int64_t axis, w.integer("dim"));
    axis = positive(axis, known->rank());
    const std::int64_t half = w.result().shape[std::size_t(axis)];
    BW_ASSIGN(const std::string x, w.tensor(first(w)));
    const auto halves = w.addMany("Split", {x, w.integers({half, half})}, {Attribute::of("axis", axis)},
                                  {w.uniqueName(w.node().name + "_a"), w.uniqueName(w.node().name + "_b")});
    w.add("Mul", {halves[0], w.add("Sigmoid", {halves[1]})}, {}, w.resultName());
    return {};
}

} // namespace

std::span<const LoweringRow> shapeLowerings()
{
    static const LoweringRow kRows[] = {
        {"flatten", reshaped}, {"view", reshaped}, {"reshape", reshaped}, {"_unsafe_view", reshaped}, {"unflatten", reshaped},
        {"squeeze", reshaped}, {"unsqueeze", reshaped}, {"view_as", reshaped}, {"reshape_as", reshaped}, {"ravel", reshaped},
        {"contiguous", same}, {"clone", same}, {"detach", same}, {"alias", same}, {"to", same}, {"_to_copy", same},
        {"type_as", same}, {"float", same}, {"dropout", same}, {"feature_dropout", same}, {"alpha_dropout", same},
        {"identity", same}, {"positive", same}, {"lift_fresh_copy", same},
        {"transpose", transpose}, {"permute", transpose}, {"t", transpose}, {"numpy_T", transpose}, {"swapaxes", transpose},
        {"cat", concatenate}, {"concat", concatenate}, {"concatenate", concatenate}, {"stack", concatenate},
        {"zeros", filled}, {"ones", filled}, {"full", filled}, {"zeros_like", filled}, {"ones_like", filled}, {"full_like", filled},
        {"new_zeros", filled}, {"new_ones", filled}, {"new_full", filled},
        {"expand", expand}, {"expand_as", expand}, {"broadcast_to", expand}, {"repeat", repeat}, {"tile", repeat},
        {"slice", slice}, {"narrow", slice}, {"select", select}, {"index_select", indexSelect},
        {"chunk", split}, {"split", split}, {"split_with_sizes", split}, {"unbind", split}, {"tensor_split", split},
        {"ListConstruct", makeList}, {"TupleConstruct", makeList}, {"ListUnpack", unpackList}, {"TupleUnpack", unpackList},
        {"getitem", getItem}, {"__getitem__", getItem},
        {"pixel_shuffle", pixelShuffle}, {"channel_shuffle", channelShuffle}, {"native_channel_shuffle", channelShuffle}, {"glu", glu},
    };
    return kRows;
}

Lowering findLowering(const std::string &qualifiedOp)
{
    const std::size_t begin = qualifiedOp.find("::");
    const std::string base = begin == std::string::npos ? qualifiedOp : qualifiedOp.substr(begin + 2, qualifiedOp.find('.', begin) - begin - 2);
    for (const auto rows : {layerLowerings(), recurrentLowerings(), elementwiseLowerings(), poolingLowerings(), shapeLowerings()}) {
        for (const LoweringRow &row : rows) {
            if (base == row.op)
                return row.lower;
        }
    }
    return nullptr;
}

} // namespace bitwright
