// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_kernel.h"

#include <limits>

namespace bitwright {

namespace {

using at::Tensor;
using Ints = std::vector<std::int64_t>;
using Reduce = Tensor (*)(const Tensor &x, const Ints &axes, bool keep);

template <Reduce F>
OnnxValues reduce(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    Ints axes = intsOf(call, "axes", in, 1);
    if (axes.empty()) {
        if (call.integer("noop_with_empty_axes", 0) != 0)
            return {F(x.unsqueeze(-1), {x.dim()}, false).to(x.scalar_type())};   // each element alone
        for (std::int64_t axis = 0; axis < x.dim(); ++axis)
            axes.push_back(axis);
    }
    for (auto &axis : axes)
        axis = wrapAxis(axis, x.dim());
    if (axes.empty())
        return {F(x.unsqueeze(-1), {0}, false).to(x.scalar_type())};
    return {F(x, axes, call.integer("keepdims", 1) != 0).to(x.scalar_type())};
}

Tensor sum(const Tensor &x, const Ints &axes, bool keep) { return x.sum(axes, keep); }
Tensor mean(const Tensor &x, const Ints &axes, bool keep)
{
    if (x.is_floating_point())
        return x.mean(axes, keep);
    return x.to(at::kDouble).mean(axes, keep).trunc();
}
Tensor sumSquare(const Tensor &x, const Ints &axes, bool keep) { return x.square().sum(axes, keep); }
Tensor l1(const Tensor &x, const Ints &axes, bool keep) { return x.abs().sum(axes, keep); }
Tensor l2(const Tensor &x, const Ints &axes, bool keep) { return (x.is_floating_point() ? x : x.to(at::kDouble)).square().sum(axes, keep).sqrt(); }
Tensor logSum(const Tensor &x, const Ints &axes, bool keep) { return x.sum(axes, keep).log(); }
Tensor logSumExp(const Tensor &x, const Ints &axes, bool keep)
{
    return at::logsumexp(x.is_floating_point() ? x : x.to(at::kDouble), axes, keep);
}
Tensor product(const Tensor &x, const Ints &axes, bool keep)
{
    Tensor sofar = x;
    Ints order = axes;
    std::ranges::sort(order, std::greater<>());
    for (auto axis : order)
        sofar = sofar.prod(axis, keep);
    return sofar;
}
/// Over nothing the largest value is the type's least.
template <bool Largest>
Tensor extremum(const Tensor &x, const Ints &axes, bool keep)
{
    for (auto axis : axes) {
        if (x.size(axis) != 0)
            continue;
        Ints shape = x.sizes().vec();
        for (auto reduced : axes)
            shape[std::size_t(reduced)] = 1;
        const double inf = std::numeric_limits<double>::infinity();
        Tensor made;
        if (x.is_floating_point())
            made = at::full(shape, Largest ? -inf : inf, x.options());
        else if (x.scalar_type() == at::kBool)
            made = at::full(shape, !Largest, x.options());
        else
            made = at::full(shape, Largest ? std::numeric_limits<std::int32_t>::min() : std::numeric_limits<std::int32_t>::max(), x.options());
        return keep ? made : made.squeeze(axes);
    }
    if (x.scalar_type() == at::kBool)
        return (Largest ? at::amax(x.to(at::kByte), axes, keep) : at::amin(x.to(at::kByte), axes, keep)).to(at::kBool);
    return Largest ? at::amax(x, axes, keep) : at::amin(x, axes, keep);
}

template <bool Largest>
OnnxValues argument(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0);
    const std::int64_t axis = wrapAxis(call.integer("axis", 0), x.dim());
    const bool keep = call.integer("keepdims", 1) != 0;
    const auto pick = [&](const Tensor &t) { return Largest ? t.argmax(axis, keep) : t.argmin(axis, keep); };
    if (call.integer("select_last_index", 0) == 0)
        return {pick(x)};
    return {x.size(axis) - 1 - pick(x.flip({axis}))};
}

OnnxValues topK(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t axis = wrapAxis(call.integer("axis", -1), x.dim());
    const std::int64_t k = given(in, 1) ? intsIn(in, 1).at(0) : call.integer("k", 1);
    TORCH_CHECK(k >= 0 && k <= x.size(axis), "the ", k, " greatest of ", x.size(axis), " values");
    // Equal values come in the order of their indices.
    const auto [values, indices] = at::sort(x, true, axis, call.integer("largest", 1) != 0);
    return {values.narrow(axis, 0, k), indices.narrow(axis, 0, k)};
}

OnnxValues cumulative(const OnnxCall &call, const OnnxValues &in, bool isProduct)
{
    Tensor x = tensorIn(in, 0);
    const std::int64_t axis = wrapAxis(intsIn(in, 1).at(0), x.dim());
    const bool reverse = call.integer("reverse", 0) != 0;
    if (reverse)
        x = x.flip({axis});
    Tensor made = (isProduct ? at::cumprod(x, axis) : at::cumsum(x, axis)).to(x.scalar_type());
    if (call.integer("exclusive", 0) != 0) {
        const Tensor first = at::full_like(made.narrow(axis, 0, 1), isProduct ? 1 : 0);
        made = at::cat({first, made.narrow(axis, 0, made.size(axis) - 1)}, axis);
    }
    return {reverse ? made.flip({axis}) : made};
}
OnnxValues cumulativeSum(const OnnxCall &call, const OnnxValues &in) { return cumulative(call, in, false); }
OnnxValues cumulativeProduct(const OnnxCall &call, const OnnxValues &in) { return cumulative(call, in, true); }

OnnxValues globalAverage(const OnnxCall &, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    Ints axes;
    for (std::int64_t axis = 2; axis < x.dim(); ++axis)
        axes.push_back(axis);
    return {x.mean(axes, true)};
}
OnnxValues globalMax(const OnnxCall &, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    Ints axes;
    for (std::int64_t axis = 2; axis < x.dim(); ++axis)
        axes.push_back(axis);
    return {at::amax(x, axes, true)};
}
OnnxValues globalLp(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const double p = double(call.integer("p", 2));
    Ints axes;
    for (std::int64_t axis = 2; axis < x.dim(); ++axis)
        axes.push_back(axis);
    return {x.abs().pow(p).sum(axes, true).pow(1 / p)};
}

} // namespace

std::span<const OnnxKernelRow> onnxReductionKernels()
{
    static const OnnxKernelRow kRows[] = {
        {"ReduceSum", reduce<sum>}, {"ReduceMean", reduce<mean>}, {"ReduceSumSquare", reduce<sumSquare>}, {"ReduceL1", reduce<l1>},
        {"ReduceL2", reduce<l2>}, {"ReduceLogSum", reduce<logSum>}, {"ReduceLogSumExp", reduce<logSumExp>},
        {"ReduceProd", reduce<product>}, {"ReduceMax", reduce<extremum<true>>}, {"ReduceMin", reduce<extremum<false>>},
        {"ArgMax", argument<true>}, {"ArgMin", argument<false>}, {"TopK", topK}, {"CumSum", cumulativeSum},
        {"CumProd", cumulativeProduct}, {"GlobalAveragePool", globalAverage}, {"GlobalMaxPool", globalMax}, {"GlobalLpPool", globalLp},
    };
    return kRows;
}

} // namespace bitwright
