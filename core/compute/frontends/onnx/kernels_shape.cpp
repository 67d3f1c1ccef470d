// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_kernel.h"

#include "frontends/onnx/onnx_reader.h"

#include <algorithm>
#include <limits>

namespace bitwright {

namespace {

using at::Tensor;
using Ints = std::vector<std::int64_t>;

OnnxValues identity(const OnnxCall &, const OnnxValues &in) { return {in.at(0)}; }

OnnxValues shapeOf(const OnnxCall &call, const OnnxValues &in)
{
    const Ints sizes = tensorIn(in, 0).sizes().vec();
    const auto rank = std::int64_t(sizes.size());
    const auto bound = [&](const char *name, std::int64_t fallback) {
        const std::int64_t value = call.integer(name, fallback);
        return std::clamp<std::int64_t>(value < 0 ? value + rank : value, 0, rank);
    };
    const std::int64_t begin = bound("start", 0), end = std::max(begin, bound("end", rank));
    return {at::tensor(Ints(sizes.begin() + begin, sizes.begin() + end), at::kLong)};
}

OnnxValues sizeOf(const OnnxCall &, const OnnxValues &in) { return {at::scalar_tensor(tensorIn(in, 0).numel(), at::TensorOptions(at::kLong))}; }

OnnxValues reshape(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    Ints sizes = intsOf(call, "shape", in, 1);
    for (std::size_t i = 0; i < sizes.size(); ++i)
        if (sizes[i] == 0 && call.integer("allowzero", 0) == 0)
            sizes[i] = x.size(std::int64_t(i));
    return {x.reshape(sizes)};
}

OnnxValues flatten(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t axis = wrapAxis(call.integer("axis", 1), x.dim());
    std::int64_t rows = 1, columns = 1;
    for (std::int64_t i = 0; i < x.dim(); ++i)
        (i < axis ? rows : columns) *= x.size(i);
    return {x.reshape({rows, columns})};
}

OnnxValues transpose(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    Ints order = call.integers("perm");
    if (order.empty())
        for (std::int64_t axis = x.dim() - 1; axis >= 0; --axis)
            order.push_back(axis);
    return {x.permute(order)};
}

OnnxValues squeeze(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const Ints axes = intsOf(call, "axes", in, 1);
    return {axes.empty() ? x.squeeze() : x.squeeze(axes)};
}

OnnxValues unsqueeze(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0);
    Ints axes = intsOf(call, "axes", in, 1);
    TORCH_CHECK(axes.size() <= 64, axes.size(), " new dimensions");   // each step copies the sizes
    for (auto &axis : axes)
        axis = wrapAxis(axis, x.dim() + std::int64_t(axes.size()));
    std::ranges::sort(axes);
    for (auto axis : axes)
        x = x.unsqueeze(axis);
    return {x};
}

OnnxValues concat(const OnnxCall &call, const OnnxValues &in)
{
    std::vector<Tensor> parts;
    for (std::size_t i = 0; i < in.size(); ++i)
        parts.push_back(tensorIn(in, i));
    return {at::cat(parts, call.integer("axis", 1))};
}

OnnxValues expand(const OnnxCall &, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const Ints wanted = intsIn(in, 1);
    return {x.expand(at::infer_size(x.sizes(), wanted))};
}

OnnxValues tile(const OnnxCall &, const OnnxValues &in) { return {tensorIn(in, 0).repeat(intsIn(in, 1))}; }

OnnxValues slice(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0);
    const Ints begins = intsOf(call, "starts", in, 1), ends = intsOf(call, "ends", in, 2);
    Ints axes = intsOf(call, "axes", in, 3);
    if (axes.empty())
        for (std::size_t i = 0; i < begins.size(); ++i)
            axes.push_back(std::int64_t(i));
    const Ints steps = orElse(intsOf(call, "steps", in, 4), begins.size(), 1);
    TORCH_CHECK(ends.size() == begins.size() && axes.size() == begins.size(), "a slice whose lists differ in length");
    for (std::size_t i = 0; i < begins.size(); ++i) {
        const std::int64_t axis = wrapAxis(axes[i], x.dim()), size = x.size(axis), step = steps[i];
        TORCH_CHECK(step != 0, "a slice in steps of zero");
        const auto place = [&](std::int64_t at) { return at < 0 ? at + size : at; };
        if (step > 0) {
            x = x.slice(axis, std::clamp<std::int64_t>(place(begins[i]), 0, size), std::clamp<std::int64_t>(place(ends[i]), 0, size), step);
            continue;
        }
        // Backwards: the last element that is taken lies just above the end.
        const std::int64_t first = std::clamp<std::int64_t>(place(begins[i]), -1, size - 1);
        const std::int64_t last = ends[i] < -size ? -1 : std::clamp<std::int64_t>(place(ends[i]), -1, size - 1);
        Ints taken;
        for (std::int64_t at = first; at > last; at += step)
            taken.push_back(at);
        x = x.index_select(axis, at::tensor(taken, at::kLong));
    }
    return {x};
}

/// Indices from the end counted from the front.
Tensor wrapIndex(const Tensor &index, std::int64_t size)
{
    const Tensor wide = index.to(at::kLong);
    return at::where(wide < 0, wide + size, wide);
}

OnnxValues gather(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0), index = tensorIn(in, 1);
    const std::int64_t axis = wrapAxis(call.integer("axis", 0), x.dim());
    const Tensor picked = x.index_select(axis, wrapIndex(index, x.size(axis)).reshape({-1}));
    Ints shape(x.sizes().begin(), x.sizes().begin() + axis);
    shape.insert(shape.end(), index.sizes().begin(), index.sizes().end());
    shape.insert(shape.end(), x.sizes().begin() + axis + 1, x.sizes().end());
    return {picked.reshape(shape)};
}

OnnxValues gatherElements(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t axis = wrapAxis(call.integer("axis", 0), x.dim());
    return {x.gather(axis, wrapIndex(tensorIn(in, 1), x.size(axis)))};
}

std::vector<std::optional<Tensor>> coordinates(const Tensor &index, const at::IntArrayRef sizes)
{
    TORCH_CHECK(index.size(-1) <= std::int64_t(sizes.size()), "indices of ", index.size(-1), " coordinates into ", sizes.size(), " dimensions");
    std::vector<std::optional<Tensor>> parts;
    for (std::int64_t i = 0; i < index.size(-1); ++i)
        parts.emplace_back(wrapIndex(index.select(-1, i), sizes[std::size_t(i)]));
    return parts;
}

c10::List<std::optional<Tensor>> listOf(const std::vector<std::optional<Tensor>> &parts)
{
    c10::List<std::optional<Tensor>> list;
    for (const auto &part : parts)
        list.push_back(part);
    return list;
}

OnnxValues gatherNd(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0), index = tensorIn(in, 1);
    const std::int64_t batch = call.integer("batch_dims", 0);
    TORCH_CHECK(batch >= 0 && batch < index.dim() && batch < x.dim(), "a gather over ", batch, " batch dimensions");
    if (batch == 0)
        return {at::index(x, listOf(coordinates(index, x.sizes())))};
    const Ints front(index.sizes().begin(), index.sizes().begin() + batch);
    std::int64_t count = 1;
    for (auto size : front)
        count *= size;
    checkCount(count);
    Ints inner(x.sizes().begin() + batch, x.sizes().end()), places(index.sizes().begin() + batch, index.sizes().end());
    inner.insert(inner.begin(), count);
    places.insert(places.begin(), count);
    x = x.reshape(inner);
    index = index.reshape(places);
    std::vector<Tensor> rows;
    for (std::int64_t i = 0; i < count; ++i) {
        const Tensor row = x.select(0, i);
        rows.push_back(at::index(row, listOf(coordinates(index.select(0, i), row.sizes()))));
    }
    Tensor made = at::stack(rows);
    Ints shape = front;
    shape.insert(shape.end(), made.sizes().begin() + 1, made.sizes().end());
    return {made.reshape(shape)};
}

OnnxValues scatterElements(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0), updates = tensorIn(in, 2);
    const std::int64_t axis = wrapAxis(call.integer("axis", 0), x.dim());
    const Tensor index = wrapIndex(tensorIn(in, 1), x.size(axis));
    const std::string how = call.text("reduction", "none");
    if (how == "none")
        return {x.scatter(axis, index, updates)};
    const std::string ours = how == "add" ? "sum" : how == "mul" ? "prod" : how == "max" ? "amax" : "amin";
    return {x.scatter_reduce(axis, index, updates, ours)};
}

OnnxValues scatterNd(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0), index = tensorIn(in, 1), updates = tensorIn(in, 2);
    const std::string how = call.text("reduction", "none");
    const std::int64_t depth = index.size(-1);
    TORCH_CHECK(depth <= x.dim(), "indices of ", depth, " coordinates into ", x.dim(), " dimensions");
    std::int64_t rows = 1, rest = 1;
    for (std::int64_t i = 0; i < x.dim(); ++i)
        (i < depth ? rows : rest) *= x.size(i);
    TORCH_CHECK(depth == 0 || updates.numel() == index.numel() / depth * rest, "updates that are not as many as the indices say");
    Tensor linear = at::zeros(index.sizes().slice(0, std::size_t(index.dim() - 1)), at::kLong);
    std::int64_t stride = rows;
    for (std::int64_t i = 0; i < depth; ++i) {
        TORCH_CHECK(x.size(i) > 0, "a scatter into nothing");
        stride /= x.size(i);
        const Tensor place = wrapIndex(index.select(-1, i), x.size(i));
        TORCH_CHECK(place.numel() == 0 || (place.min().item<std::int64_t>() >= 0 && place.max().item<std::int64_t>() < x.size(i)),
                    "an index outside the tensor");
        linear = linear + place * stride;
    }
    const Tensor flat = x.reshape({rows, rest}), from = updates.reshape({-1, rest});
    const Tensor places = linear.reshape({-1, 1}).expand({-1, rest});
    Tensor made;
    if (how == "none")
        made = flat.scatter(0, places, from);
    else
        made = flat.scatter_reduce(0, places, from, how == "add" ? "sum" : how == "mul" ? "prod" : how == "max" ? "amax" : "amin");
    return {made.reshape(x.sizes())};
}

OnnxValues split(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t axis = wrapAxis(call.integer("axis", 0), x.dim());
    Ints sizes = intsOf(call, "split", in, 1);
    if (sizes.empty()) {
        const auto parts = std::int64_t(call.node.outputs.size()), size = x.size(axis);
        TORCH_CHECK(parts > 0, "a split into nothing");
        const auto each = size / parts + (size % parts > 0 ? 1 : 0);
        for (std::int64_t i = 0; i < parts; ++i)
            sizes.push_back(std::clamp<std::int64_t>(size - i * each, 0, each));
    }
    OnnxValues made;
    for (const auto &part : x.split_with_sizes(sizes, axis))
        made.emplace_back(part);
    return made;
}

OnnxValues constantOfShape(const OnnxCall &call, const OnnxValues &in)
{
    const onnx::Attribute *value = call.node.attribute("value");
    Tensor fill = at::zeros({}, at::kFloat);
    if (value && value->t) {
        auto made = tensorOf(*value->t);
        TORCH_CHECK(made.has_value(), "the value is damaged");
        fill = made->reshape({});
    }
    return {fill.expand(intsIn(in, 0)).contiguous()};
}

OnnxValues range(const OnnxCall &, const OnnxValues &in)
{
    const Tensor first = tensorIn(in, 0), limit = tensorIn(in, 1), delta = tensorIn(in, 2);
    const double begin = first.item<double>(), end = limit.item<double>(), step = delta.item<double>();
    TORCH_CHECK(step != 0, "a range in steps of zero");
    const double count = std::max(0.0, std::ceil((end - begin) / step));
    TORCH_CHECK(count < 1e9, "a range of ", count, " values");
    return {(at::arange(std::int64_t(count), at::TensorOptions(first.scalar_type())) * delta.reshape({}) + first.reshape({})).to(first.scalar_type())};
}

OnnxValues eyeLike(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const at::ScalarType type = call.has("dtype") ? scalarTypeOf(onnx::DataType(call.integer("dtype", 1))) : x.scalar_type();
    const std::int64_t k = call.integer("k", 0);
    const Tensor row = at::arange(x.size(0)).unsqueeze(1), column = at::arange(x.size(1)).unsqueeze(0);
    return {(column - row == k).to(type)};
}

OnnxValues trilu(const OnnxCall &call, const OnnxValues &in)
{
    const std::int64_t k = given(in, 1) ? intsIn(in, 1).at(0) : 0;
    return {call.integer("upper", 1) != 0 ? at::triu(tensorIn(in, 0), k) : at::tril(tensorIn(in, 0), k)};
}

OnnxValues oneHot(const OnnxCall &call, const OnnxValues &in)
{
    const std::int64_t depth = intsIn(in, 1).at(0);
    const Tensor values = tensorIn(in, 2);
    const Tensor index = tensorIn(in, 0).to(at::kLong);
    const std::int64_t axis = wrapAxis(call.integer("axis", -1), index.dim() + 1);
    TORCH_CHECK(axis <= index.dim(), "axis ", axis, " of ", index.dim() + 1, " dimensions");
    Ints shape(std::size_t(index.dim() + 1), 1);
    shape[std::size_t(axis)] = depth;
    const Tensor hot = at::where(index < 0, index + depth, index).unsqueeze(axis) == at::arange(depth).reshape(shape);
    return {at::where(hot, values.select(0, 1), values.select(0, 0))};
}

OnnxValues nonZero(const OnnxCall &, const OnnxValues &in) { return {tensorIn(in, 0).nonzero().t().contiguous()}; }

OnnxValues compress(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const Tensor kept = tensorIn(in, 1).to(at::kBool).nonzero().reshape({-1});
    if (!call.has("axis"))
        return {x.reshape({-1}).index_select(0, kept)};
    return {x.index_select(wrapAxis(call.integer("axis", 0), x.dim()), kept)};
}

std::int64_t blockSize(const OnnxCall &call)
{
    const std::int64_t size = call.integer("blocksize", 1);
    TORCH_CHECK(size > 0 && size < (1 << 20), "blocks of ", size);
    return size;
}

OnnxValues depthToSpace(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t b = blockSize(call), n = x.size(0), c = x.size(1) / (b * b), h = x.size(2), w = x.size(3);
    if (call.text("mode", "DCR") == "CRD")
        return {x.reshape({n, c, b, b, h, w}).permute({0, 1, 4, 2, 5, 3}).reshape({n, c, h * b, w * b})};
    return {x.reshape({n, b, b, c, h, w}).permute({0, 3, 4, 1, 5, 2}).reshape({n, c, h * b, w * b})};
}

OnnxValues spaceToDepth(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t b = blockSize(call), n = x.size(0), c = x.size(1), h = x.size(2) / b, w = x.size(3) / b;
    if (call.text("mode", "DCR") == "CRD")
        return {x.reshape({n, c, h, b, w, b}).permute({0, 1, 3, 5, 2, 4}).reshape({n, c * b * b, h, w})};
    return {x.reshape({n, c, h, b, w, b}).permute({0, 3, 5, 1, 2, 4}).reshape({n, c * b * b, h, w})};
}

OnnxValues reverseSequence(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const Ints lengths = intsIn(in, 1);
    const std::int64_t batchAxis = call.integer("batch_axis", 1), timeAxis = call.integer("time_axis", 0);
    TORCH_CHECK(std::int64_t(lengths.size()) == x.size(batchAxis), "lengths for another batch");
    std::vector<Tensor> rows;
    const std::int64_t inner = timeAxis > batchAxis ? timeAxis - 1 : timeAxis;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
        const Tensor row = x.select(batchAxis, std::int64_t(i));
        rows.push_back(at::cat({row.narrow(inner, 0, lengths[i]).flip({inner}), row.narrow(inner, lengths[i], row.size(inner) - lengths[i])}, inner));
    }
    return {at::stack(rows, batchAxis)};
}

OnnxValues pad(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0);
    const Ints pads = given(in, 1) ? intsIn(in, 1) : call.integers(call.opset < 2 ? "paddings" : "pads");
    Ints axes;
    if (given(in, 3)) {
        axes = intsIn(in, 3);
    } else {
        for (std::int64_t axis = 0; axis < x.dim(); ++axis)
            axes.push_back(axis);
    }
    TORCH_CHECK(pads.size() == axes.size() * 2, "a padding list of the wrong length");
    const std::string mode = call.text("mode", "constant");
    const double fill = given(in, 2) ? tensorIn(in, 2).item<double>() : call.number("value", 0);
    for (std::size_t i = 0; i < axes.size(); ++i) {
        const std::int64_t axis = wrapAxis(axes[i], x.dim()), low = pads[i], high = pads[i + axes.size()], size = x.size(axis);
        if (low == 0 && high == 0)
            continue;
        TORCH_CHECK(std::abs(low) < (1LL << 31) && std::abs(high) < (1LL << 31) && low != INT64_MIN && high != INT64_MIN && size + low + high >= 0, "a padding of this size");
        Tensor place = at::arange(-low, size + high, at::kLong);
        if (mode == "constant") {
            const Tensor real = at::logical_and(place >= 0, place < size);
            Ints shape(std::size_t(x.dim()), 1);
            shape[std::size_t(axis)] = -1;
            if (size == 0) {
                Ints sizes = x.sizes().vec();
                sizes[std::size_t(axis)] = low + high;
                x = at::full(sizes, fill, x.options());
            } else {
                x = at::where(real.reshape(shape), x.index_select(axis, place.clamp(0, size - 1)), at::scalar_tensor(fill, x.options()));
            }
            continue;
        }
        TORCH_CHECK(size > 0, "a ", mode, " padding of nothing");
        if (mode == "edge") {
            place = place.clamp(0, size - 1);
        } else if (mode == "wrap") {
            place = at::remainder(place, size);
        } else {
            const std::int64_t period = std::max<std::int64_t>(1, 2 * (size - 1));
            const Tensor folded = at::remainder(place, period);
            place = at::where(folded < size, folded, period - folded);
        }
        x = x.index_select(axis, place);
    }
    return {x};
}

OnnxValues unique(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0);
    const bool sorted = call.integer("sorted", 1) != 0;
    const bool flat = !call.has("axis");
    const std::int64_t axis = flat ? 0 : wrapAxis(call.integer("axis", 0), x.dim());
    if (flat)
        x = x.reshape({-1});
    // unique_dim takes a flat tensor apart into its elements.
    auto [values, inverse, counts] = flat ? at::_unique2(x, true, true, true) : at::unique_dim(x, axis, true, true, true);
    inverse = inverse.reshape({-1});
    const std::int64_t n = values.size(axis);
    Tensor first = at::full({n}, x.size(axis), at::kLong).scatter_reduce(0, inverse, at::arange(x.size(axis)), "amin");
    if (!sorted) {
        // In the order in which they were met.
        const Tensor order = first.argsort();
        Tensor rank = at::empty_like(order);
        rank.scatter_(0, order, at::arange(n));
        values = values.index_select(axis, order);
        first = first.index_select(0, order);
        counts = counts.index_select(0, order);
        inverse = rank.index_select(0, inverse);
    }
    return {values, first, inverse, counts};
}

OnnxValues dropout(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const double ratio = given(in, 1) ? tensorIn(in, 1).item<double>() : call.number("ratio", 0.5);
    Tensor kept = at::ones_like(x, at::TensorOptions(at::kBool)), made = x;
    if (given(in, 2) && tensorIn(in, 2).item<bool>() && ratio > 0) {
        kept = at::rand_like(x) >= ratio;
        made = at::where(kept, x / (1 - ratio), at::zeros_like(x));
    }
    if (call.node.outputs.size() > 1)
        return {made, kept};
    return {made};
}

OnnxValues tensorScatter(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor past = tensorIn(in, 0), update = tensorIn(in, 1);
    const std::int64_t axis = wrapAxis(call.integer("axis", -2), past.dim()), size = past.size(axis), count = update.size(axis);
    const bool circular = call.text("mode", "linear") == "circular";
    const Ints begins = given(in, 2) ? intsIn(in, 2) : Ints(std::size_t(past.size(0)), 0);
    checkCount(past.size(0));
    Tensor made = past.clone();
    for (std::int64_t b = 0; b < past.size(0); ++b) {
        Tensor place = at::arange(count) + begins.at(std::size_t(b));
        if (circular)
            place = at::remainder(place, size);
        made.select(0, b).index_copy_(axis - 1, place, update.select(0, b));
    }
    return {made};
}

} // namespace

std::span<const OnnxKernelRow> onnxShapeKernels()
{
    static const OnnxKernelRow kRows[] = {
        {"Identity", identity}, {"Shape", shapeOf}, {"Size", sizeOf}, {"Reshape", reshape}, {"Flatten", flatten},
        {"Transpose", transpose}, {"Squeeze", squeeze}, {"Unsqueeze", unsqueeze}, {"Concat", concat}, {"Expand", expand},
        {"Tile", tile}, {"Slice", slice}, {"Gather", gather}, {"GatherElements", gatherElements}, {"GatherND", gatherNd},
        {"ScatterElements", scatterElements}, {"Scatter", scatterElements}, {"ScatterND", scatterNd}, {"Split", split},
        {"ConstantOfShape", constantOfShape}, {"Range", range}, {"EyeLike", eyeLike}, {"Trilu", trilu}, {"OneHot", oneHot},
        {"NonZero", nonZero}, {"Compress", compress}, {"DepthToSpace", depthToSpace}, {"SpaceToDepth", spaceToDepth},
        {"ReverseSequence", reverseSequence}, {"Pad", pad}, {"Unique", unique}, {"Dropout", dropout}, {"TensorScatter", tensorScatter},
    };
    return kRows;
}

} // namespace bitwright
