// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "grid/quant_grid.h"
#include "stats/histogram.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright {

/// A uniform grid as the kernels want it: values exact in float, so that simulation, JSON and ONNX agree bit for bit.
/// One entry of scale and zeroPoint per group; axis -1 is one group, else groups run over that dimension.
struct AffineGrid {
    std::vector<float> scale;
    std::vector<float> zeroPoint;   ///< integers
    std::int64_t qmin = 0, qmax = 0;
    int axis = -1;
    [[nodiscard]] std::size_t groups() const { return scale.size(); }
    [[nodiscard]] float low(std::size_t group) const { return (float(qmin) - zeroPoint[group]) * scale[group]; }
    [[nodiscard]] float high(std::size_t group) const { return (float(qmax) - zeroPoint[group]) * scale[group]; }
};

/// The same grid as a domain value; sideBits: 32 a scale and, where `zeroPointBits` > 0, those a zero point.
QuantGrid toQuantGrid(const AffineGrid &grid, int zeroPointBits);

// All of these work on CPU tensors of any floating type and any strides (what is not float32 is converted), are
// multi-threaded where a tensor is big, and give the same bits on any number of threads. They record no gradient.
// A grid with an axis must have as many groups as the tensor has indices there; a mismatch throws c10::Error.

/// Fake-quantized x, in its own floating type. In place when `mayOverwrite` and x is float32 and dense.
at::Tensor affineFakeQuant(const at::Tensor &x, const AffineGrid &grid, bool mayOverwrite = false);
/// dx = g where x lies between the lowest and the highest level of its group, ends included, else 0.
at::Tensor affineFakeQuantBackward(const at::Tensor &g, const at::Tensor &x, const AffineGrid &grid);

struct LsqGradients {
    at::Tensor dx;
    std::vector<double> scale;   ///< per group: sum of g times the step's term, not yet scaled by 1/sqrt(N Qp)
};
/// LSQ's backward rule (methods.md B13) in one pass.
LsqGradients lsqBackward(const at::Tensor &g, const at::Tensor &x, const AffineGrid &grid);

/// Integer codes q in [qmin, qmax], int32, contiguous; NaN gives the zero point.
at::Tensor affineCodes(const at::Tensor &x, const AffineGrid &grid);
/// How often each level is taken, per group; index 0 is qmin. NaN is not counted.
std::vector<std::vector<std::uint64_t>> levelCounts(const at::Tensor &x, const AffineGrid &grid);
/// Per group: sum over the finite values of |x - x_hat|^power.
std::vector<double> affineError(const at::Tensor &x, const AffineGrid &grid, double power = 2);
/// The same for one group over a plain span.
double affineError(std::span<const float> x, float scale, float zeroPoint, std::int64_t qmin, std::int64_t qmax,
                   double power = 2);

/// Sums over the elements where both are finite.
struct Difference {
    double error = 0;    ///< (a - b)^2
    double signal = 0;   ///< a^2
    std::uint64_t count = 0;
};
Difference compare(const at::Tensor &a, const at::Tensor &b);

/// Counts over `bins` equal bins on [lo, hi] (rounded to float); outside, infinite and NaN values are counted beside.
Histogram histogramOf(const at::Tensor &x, double lo, double hi, std::size_t bins);
Histogram histogramOf(std::span<const float> x, double lo, double hi, std::size_t bins);
/// Over the finite range of x itself.
Histogram histogramOf(const at::Tensor &x, std::size_t bins);

Moments momentsOf(const at::Tensor &x);
Moments momentsOf(std::span<const float> x);
/// One per index of `axis`.
std::vector<Moments> channelMoments(const at::Tensor &x, int axis);

/// float32, contiguous, detached; x itself where it is that already.
at::Tensor floatContiguous(const at::Tensor &x);
/// [groups, elements of a group] float32 contiguous: one row per index of `axis`; axis -1 gives one row.
at::Tensor groupRows(const at::Tensor &x, int axis);
/// View of a float32 contiguous tensor.
std::span<const float> floatSpan(const at::Tensor &x);

} // namespace bitwright
