// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/kernels.h"

#include "tensor/kernels_simd.h"
#include "tensor/parallel.h"
#include "tensor/pieces.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {
namespace {

constexpr std::int64_t kPiece = Pieces::kLength;

/// The pieces of a tensor under a grid, which must have as many groups.
Pieces layoutOf(const at::Tensor &x, const AffineGrid *grid)
{
    const Pieces pieces = Pieces::of(x, grid ? grid->axis : -1);
    if (grid)
        TORCH_CHECK(std::int64_t(grid->groups()) == pieces.groups, "the grid has ", grid->groups(), " groups and the tensor ",
                    pieces.groups);
    return pieces;
}

/// The sums of all pieces per group, added in the order of the pieces.
std::vector<double> sumPieces(const Pieces &layout, const std::vector<double> &partial)
{
    std::vector<double> out(std::size_t(layout.groups), 0.0);
    for (std::int64_t piece = 0; piece < std::int64_t(partial.size()); ++piece)
        out[std::size_t(layout.groupOf(piece))] += partial[std::size_t(piece)];
    return out;
}

simd::Affine groupOf(const AffineGrid &grid, std::int64_t group)
{
    return {grid.scale[std::size_t(group)], grid.zeroPoint[std::size_t(group)], float(grid.qmin), float(grid.qmax)};
}

void checkCpu(const at::Tensor &x)
{
    TORCH_CHECK(x.device().is_cpu(), "this kernel runs on the CPU and the tensor is on ", x.device().str());
}

/// True where the elements may be taken in storage order: one group, no holes.
bool anyOrder(const at::Tensor &x, const AffineGrid &grid)
{
    return grid.axis < 0 && x.is_non_overlapping_and_dense();
}

at::Tensor backToType(const at::Tensor &y, const at::Tensor &like)
{
    return like.is_floating_point() ? y.to(like.scalar_type()) : y;
}

/// Rows whose neighbours belong to different groups.
void fakeQuantRows(const float *from, float *to, std::int64_t rows, const AffineGrid &grid)
{
    const auto groups = std::int64_t(grid.groups());
    std::vector<float> inverse, low, high;
    for (std::size_t i = 0; i < grid.groups(); ++i) {
        const float reciprocal = 1 / grid.scale[i];
        inverse.push_back(std::isnormal(reciprocal) ? reciprocal : std::numeric_limits<float>::quiet_NaN());
        low.push_back(float(grid.qmin) - grid.zeroPoint[i]);
        high.push_back(float(grid.qmax) - grid.zeroPoint[i]);
    }
    const simd::Each each{grid.scale.data(), inverse.data(), low.data(), high.data(), *std::ranges::min_element(low),
                          *std::ranges::max_element(high)};
    parallelRanges(rows, std::max<std::int64_t>(1, Pieces::kParallel / groups), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row)
            simd::fakeQuantEach(from + row * groups, to + row * groups, std::size_t(groups), each);
    });
}

} // namespace

QuantGrid toQuantGrid(const AffineGrid &grid, int zeroPointBits)
{
    QuantGrid out;
    out.qmin = grid.qmin;
    out.qmax = grid.qmax;
    out.perChannel = grid.axis >= 0;
    for (std::size_t i = 0; i < grid.groups(); ++i)
        out.groups.push_back({double(grid.scale[i]), std::int64_t(grid.zeroPoint[i]), {}, {}});
    out.sideBits = double(grid.groups()) * (32 + zeroPointBits);
    return out;
}

at::Tensor floatContiguous(const at::Tensor &x)
{
    checkCpu(x);
    return x.detach().to(at::kFloat).contiguous();
}

std::span<const float> floatSpan(const at::Tensor &x)
{
    return {x.const_data_ptr<float>(), std::size_t(x.numel())};
}

at::Tensor groupRows(const at::Tensor &x, int axis)
{
    if (axis < 0 || x.dim() == 0)
        return floatContiguous(x).reshape({1, x.numel()});
    const at::Tensor moved = floatContiguous(x.detach().movedim(axis, 0));
    const std::int64_t groups = x.size(axis);
    return moved.reshape({groups, groups ? x.numel() / groups : 0});
}

at::Tensor affineFakeQuant(const at::Tensor &x, const AffineGrid &grid, bool mayOverwrite)
{
    c10::NoGradGuard noGrad;
    checkCpu(x);
    if (x.scalar_type() != at::kFloat)
        return backToType(affineFakeQuant(x.to(at::kFloat), grid, true), x);
    const at::Tensor in = anyOrder(x, grid) ? x.detach() : x.detach().contiguous();
    const bool fresh = !in.is_alias_of(x);   // made contiguous above: ours to overwrite
    const at::Tensor out = mayOverwrite || fresh ? in : at::empty_like(in);
    const float *from = in.const_data_ptr<float>();
    float *to = out.mutable_data_ptr<float>();
    const Pieces layout = layoutOf(in, &grid);
    if (layout.inner == 1 && layout.groups > 1) {
        fakeQuantRows(from, to, in.numel() / layout.groups, grid);
        return out;
    }
    forPieces(layout, [&](std::int64_t, std::int64_t group, std::int64_t offset, std::int64_t length) {
        simd::fakeQuant(from + offset, to + offset, std::size_t(length), groupOf(grid, group));
    }, simd::runsDownwards(from, to));
    return out;
}

at::Tensor affineFakeQuantBackward(const at::Tensor &g, const at::Tensor &x, const AffineGrid &grid)
{
    c10::NoGradGuard noGrad;
    checkCpu(x);
    const bool sameOrder = x.scalar_type() == at::kFloat && g.scalar_type() == at::kFloat && anyOrder(x, grid)
        && g.strides() == x.strides();
    const at::Tensor value = sameOrder ? x.detach() : floatContiguous(x);
    const at::Tensor gradient = sameOrder ? g.detach() : floatContiguous(g);
    at::Tensor dx = at::empty_like(value);
    const float *px = value.const_data_ptr<float>(), *pg = gradient.const_data_ptr<float>();
    float *out = dx.mutable_data_ptr<float>();
    forPieces(layoutOf(value, &grid), [&](std::int64_t, std::int64_t group, std::int64_t offset, std::int64_t length) {
        simd::passInside(pg + offset, px + offset, out + offset, std::size_t(length), grid.low(std::size_t(group)),
                         grid.high(std::size_t(group)));
    });
    return backToType(dx, g);
}

LsqGradients lsqBackward(const at::Tensor &g, const at::Tensor &x, const AffineGrid &grid)
{
    c10::NoGradGuard noGrad;
    const at::Tensor value = floatContiguous(x), gradient = floatContiguous(g);
    at::Tensor dx = at::empty_like(value);
    const float *px = value.const_data_ptr<float>(), *pg = gradient.const_data_ptr<float>();
    float *out = dx.mutable_data_ptr<float>();
    const Pieces layout = layoutOf(value, &grid);
    std::vector<double> partial(std::size_t(layout.count()));
    forPieces(layout, [&](std::int64_t piece, std::int64_t group, std::int64_t offset, std::int64_t length) {
        const simd::Affine a = groupOf(grid, group);
        partial[std::size_t(piece)] = simd::lsqBackward(pg + offset, px + offset, out + offset, std::size_t(length),
                                                        a.scale, a.qmin - a.zeroPoint, a.qmax - a.zeroPoint);
    });
    return {backToType(dx, g), sumPieces(layout, partial)};
}

at::Tensor affineCodes(const at::Tensor &x, const AffineGrid &grid)
{
    c10::NoGradGuard noGrad;
    const at::Tensor value = floatContiguous(x);
    at::Tensor q = at::empty(value.sizes(), at::kInt);
    const float *from = value.const_data_ptr<float>();
    auto *to = q.mutable_data_ptr<std::int32_t>();
    forPieces(layoutOf(value, &grid), [&](std::int64_t, std::int64_t group, std::int64_t offset, std::int64_t length) {
        simd::codes(from + offset, to + offset, std::size_t(length), groupOf(grid, group));
    });
    return q;
}

std::vector<std::vector<std::uint64_t>> levelCounts(const at::Tensor &x, const AffineGrid &grid)
{
    const at::Tensor rows = groupRows(x, grid.axis);
    std::vector<std::vector<std::uint64_t>> counts(grid.groups());
    constexpr std::size_t kBlock = 4096;
    std::vector<std::int32_t> code(kBlock);
    for (std::size_t group = 0; group < grid.groups(); ++group) {
        counts[group].assign(std::size_t(grid.qmax - grid.qmin + 1), 0);
        const auto values = floatSpan(rows[std::int64_t(group)]);
        for (std::size_t start = 0; start < values.size(); start += kBlock) {
            const std::size_t length = std::min(kBlock, values.size() - start);
            simd::codes(values.data() + start, code.data(), length, groupOf(grid, std::int64_t(group)));
            for (std::size_t i = 0; i < length; ++i)
                if (!std::isnan(values[start + i]))
                    ++counts[group][std::size_t(code[i] - grid.qmin)];
        }
    }
    return counts;
}

std::vector<double> affineError(const at::Tensor &x, const AffineGrid &grid, double power)
{
    c10::NoGradGuard noGrad;
    const at::Tensor value = floatContiguous(x);
    const Pieces layout = layoutOf(value, &grid);
    const float *from = value.const_data_ptr<float>();
    std::vector<double> partial(std::size_t(layout.count()));
    forPieces(layout, [&](std::int64_t piece, std::int64_t group, std::int64_t offset, std::int64_t length) {
        const simd::Affine a = groupOf(grid, group);
        partial[std::size_t(piece)] = power == 2 ? simd::squaredError(from + offset, std::size_t(length), a)
                                                 : simd::powerError(from + offset, std::size_t(length), a, power);
    });
    return sumPieces(layout, partial);
}

double affineError(std::span<const float> x, float scale, float zeroPoint, std::int64_t qmin, std::int64_t qmax,
                   double power)
{
    const simd::Affine a{scale, zeroPoint, float(qmin), float(qmax)};
    if (std::int64_t(x.size()) <= kPiece)   // searches call this for each channel and candidate
        return power == 2 ? simd::squaredError(x.data(), x.size(), a) : simd::powerError(x.data(), x.size(), a, power);
    Pieces layout;
    layout.inner = std::int64_t(x.size());
    layout.piecesPerRow = std::max<std::int64_t>(1, (layout.inner + kPiece - 1) / kPiece);
    std::vector<double> partial(std::size_t(layout.count()));
    forPieces(layout, [&](std::int64_t piece, std::int64_t, std::int64_t offset, std::int64_t length) {
        partial[std::size_t(piece)] = power == 2 ? simd::squaredError(x.data() + offset, std::size_t(length), a)
                                                 : simd::powerError(x.data() + offset, std::size_t(length), a, power);
    });
    return sumPieces(layout, partial).front();
}

Difference compare(const at::Tensor &a, const at::Tensor &b)
{
    TORCH_CHECK(a.sizes() == b.sizes(), "compare needs equal shapes");
    const at::Tensor first = floatContiguous(a), second = floatContiguous(b);
    const float *pa = first.const_data_ptr<float>(), *pb = second.const_data_ptr<float>();
    const Pieces layout = layoutOf(first, nullptr);
    std::vector<Difference> partial(std::size_t(layout.count()));
    forPieces(layout, [&](std::int64_t piece, std::int64_t, std::int64_t offset, std::int64_t length) {
        Difference &d = partial[std::size_t(piece)];
        d.error = simd::squaredDifference(pa + offset, pb + offset, std::size_t(length), &d.signal, &d.count);
    });
    Difference total;
    for (const Difference &d : partial) {
        total.error += d.error;
        total.signal += d.signal;
        total.count += d.count;
    }
    return total;
}

} // namespace bitwright
