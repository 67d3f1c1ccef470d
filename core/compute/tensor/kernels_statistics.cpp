// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/kernels.h"

#include "tensor/kernels_simd.h"
#include "tensor/parallel.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

namespace bitwright {
namespace {

constexpr std::int64_t kPiece = 1 << 16;
constexpr std::int64_t kGrain = 4;   // pieces a thread takes at least

/// How `x` maps to a bin. Where width is a power of two and lo a multiple of it (the collector's ranges), the product
/// is exact and so is the sum of any two such histograms; else lo is subtracted first.
simd::Binning binningOf(double lo, double hi, std::size_t bins)
{
    simd::Binning b{};
    // an infinite end would take infinities in
    constexpr double kLargest = std::numeric_limits<float>::max();
    b.lo = float(std::max(lo, -kLargest));
    b.hi = float(std::min(hi, kLargest));
    b.bins = std::int32_t(bins);
    const double width = (hi - lo) / double(bins);
    int exponent = 0;
    const bool powerOfTwo = width > 0 && std::frexp(width, &exponent) == 0.5;
    const double shift = width > 0 ? -lo / width : 0;
    if (powerOfTwo && shift == std::rint(shift) && std::abs(shift) <= double(bins)) {
        b.base = 0;
        b.offset = std::int32_t(shift);
    } else {
        b.base = b.lo;
        b.offset = 0;
    }
    const double inverse = width > 0 ? 1.0 / width : 0;
    b.inverseWidth = std::isfinite(float(inverse)) ? float(inverse) : std::numeric_limits<float>::max();
    return b;
}

Moments toMoments(const simd::Sums &s, std::size_t n)
{
    Moments m;
    m.count = s.finite;
    m.nanCount = s.nan;
    m.infCount = n - s.finite - s.nan;
    m.zeroCount = s.zero;
    m.min = s.finite ? double(s.min) : 0;
    m.max = s.finite ? double(s.max) : 0;
    m.sum = s.sum;
    m.sumSquares = s.sumSquares;
    m.sumAbs = s.sumAbs;
    return m;
}

} // namespace

Histogram histogramOf(std::span<const float> x, double lo, double hi, std::size_t bins)
{
    TORCH_CHECK(bins > 0 && bins < (std::size_t(1) << 23), "a histogram needs 1 to 8388607 bins, not ", bins);
    Histogram out;
    out.lo = lo;
    out.hi = hi;
    out.counts.assign(bins, 0);
    simd::Binning binning = binningOf(lo, hi, bins);
    const std::int64_t pieces = (std::int64_t(x.size()) + kPiece - 1) / kPiece;
    std::mutex mutex;
    std::uint64_t outside = 0;
    parallelRanges(pieces, kGrain, [&](std::int64_t begin, std::int64_t end) {
        simd::Binning mine = binning;
        const std::size_t start = std::size_t(begin * kPiece);
        const std::size_t stop = std::min(x.size(), std::size_t(end * kPiece));
        mine.banks = stop - start > 4 * bins ? 4 : 1;
        std::vector<std::uint32_t> table(std::size_t(mine.banks) * (bins + 1), 0);
        std::uint64_t under = 0, over = 0;
        // 32-bit counters: no more than that many values between two flushes
        constexpr std::size_t kFlush = std::size_t(1) << 31;
        for (std::size_t from = start; from < stop; from += kFlush) {
            simd::histogram(x.data() + from, std::min(kFlush, stop - from), mine, table.data(), &under, &over);
            const std::scoped_lock lock(mutex);
            for (std::size_t bank = 0; bank < std::size_t(mine.banks); ++bank) {
                const std::uint32_t *row = table.data() + bank * (bins + 1);
                for (std::size_t i = 0; i < bins; ++i)
                    out.counts[i] += row[i];
                outside += row[bins];
            }
            std::ranges::fill(table, 0u);
        }
        const std::scoped_lock lock(mutex);
        out.underflow += under;
        out.overflow += over;
    });
    out.nanCount = outside - out.underflow - out.overflow;
    return out;
}

Histogram histogramOf(const at::Tensor &x, double lo, double hi, std::size_t bins)
{
    const at::Tensor value = floatContiguous(x);
    return histogramOf(floatSpan(value), lo, hi, bins);
}

Histogram histogramOf(const at::Tensor &x, std::size_t bins)
{
    const at::Tensor value = floatContiguous(x);
    const Moments m = momentsOf(value);
    return histogramOf(floatSpan(value), m.min, m.max > m.min ? m.max : m.min + 1, bins);
}

Moments momentsOf(std::span<const float> x)
{
    const std::int64_t pieces = (std::int64_t(x.size()) + kPiece - 1) / kPiece;
    std::vector<Moments> partial(std::size_t(std::max<std::int64_t>(pieces, 0)));
    parallelRanges(pieces, kGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t piece = begin; piece < end; ++piece) {
            const std::size_t start = std::size_t(piece * kPiece);
            const std::size_t length = std::min(std::size_t(kPiece), x.size() - start);
            partial[std::size_t(piece)] = toMoments(simd::sums(x.data() + start, length), length);
        }
    });
    Moments total;
    for (const Moments &m : partial)
        total.merge(m);
    return total;
}

Moments momentsOf(const at::Tensor &x)
{
    const at::Tensor value = floatContiguous(x);
    return momentsOf(floatSpan(value));
}

std::vector<Moments> channelMoments(const at::Tensor &x, int axis)
{
    const at::Tensor rows = groupRows(x, axis);
    const auto all = floatSpan(rows);
    const std::size_t length = std::size_t(rows.size(1));
    std::vector<Moments> out(std::size_t(rows.size(0)));
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = momentsOf(all.subspan(i * length, length));
    return out;
}

} // namespace bitwright
