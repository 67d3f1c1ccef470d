// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

/// Single-pass loops over float spans, dispatched at run time to the widest instruction set of the machine. No torch,
/// no threads: kernels.h cuts tensors into spans and adds both.
namespace bitwright::simd {

/// One group of a uniform grid; all four are small integers or the step, exact in float.
struct Affine {
    float scale, zeroPoint, qmin, qmax;
};

/// A load waits for an earlier store whose address has the same low 12 bits. Fresh tensors of a power-of-two size lie just
/// that way, the output a little above the input: run downwards then, where those loads are already done.
inline bool runsDownwards(const float *x, const float *y)
{
    const std::size_t above = (reinterpret_cast<std::uintptr_t>(y) - reinterpret_cast<std::uintptr_t>(x)) & 4095;
    return above > 0 && above <= 1024;
}

/// y = (clamp(round(x / s) + z) - z) * s: true division, ties to even, NaN stays NaN. x and y may be the same.
void fakeQuant(const float *x, float *y, std::size_t n, Affine group);
/// The same with a group of its own for each element (the channel is the innermost dimension): the step, its inverse
/// (NaN where that is not a normal float), qmin - zeroPoint and qmax - zeroPoint, and the extremes of these two.
struct Each {
    const float *scale, *inverse, *low, *high;
    float lowest, highest;
};
void fakeQuantEach(const float *x, float *y, std::size_t n, const Each &each);
/// dx = g where lo <= x <= hi, else 0.
void passInside(const float *g, const float *x, float *dx, std::size_t n, float lo, float hi);
/// LSQ: dx = g where low < x / s < high, else 0; returns the sum of g times the step's term (methods.md B13).
double lsqBackward(const float *g, const float *x, float *dx, std::size_t n, float scale, float low, float high);
/// clamp(round(x / s) + z) as an integer; NaN gives z.
void codes(const float *x, std::int32_t *q, std::size_t n, Affine group);
/// A step function: levels[i] for firsts[i - 1] <= x < firsts[i]; `firsts` ascends and has an entry more, NaN, at its end.
/// `starts`, by cells of equal width, is the lowest level in each: what lies in one cell with `advance` thresholds at most.
struct Steps {
    const float *firsts, *levels;
    std::int32_t count;
    const std::int32_t *starts = nullptr;
    std::int32_t cells = 0, advance = 0;
    float low = 0, inverseWidth = 0;
};
/// By one comparison for each threshold; NaN stays NaN. x and y may be the same.
void stepBySelects(const float *x, float *y, std::size_t n, const Steps &steps);
/// By the cell, then `advance` comparisons, whatever the number of levels.
void stepByCells(const float *x, float *y, std::size_t n, const Steps &steps);
/// The cell of a value as stepByCells finds it.
std::int32_t cellOf(float x, const Steps &steps);
/// Sum of (x - fakeQuant(x))^2 over finite x.
double squaredError(const float *x, std::size_t n, Affine group);
/// Sum of |x - fakeQuant(x)|^power over finite x.
double powerError(const float *x, std::size_t n, Affine group, double power);
/// Sum of (a - b)^2 where both are finite; adds the sum of a^2 over the same elements and their number.
double squaredDifference(const float *a, const float *b, std::size_t n, double *signal, std::uint64_t *count);

/// Bins: index = floor((x - base) * inverseWidth) + offset for lo <= x <= hi, the last bin closed. `counts` has
/// `banks` (1 or 4) tables of bins + 1 entries, which take turns so that equal neighbours do not wait for each other;
/// the extra entry gets what is outside or NaN, `under` and `over` say what of that is ordered.
struct Binning {
    float lo, hi, base, inverseWidth;
    std::int32_t offset, bins, banks;
};
void histogram(const float *x, std::size_t n, const Binning &binning, std::uint32_t *counts, std::uint64_t *under,
               std::uint64_t *over);

struct Sums {
    double sum = 0, sumSquares = 0, sumAbs = 0;
    float min = 0, max = 0;   ///< of the finite values, meaningless when there are none
    std::uint64_t finite = 0, nan = 0, zero = 0;
};
Sums sums(const float *x, std::size_t n);

} // namespace bitwright::simd
