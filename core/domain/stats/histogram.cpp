// SPDX-License-Identifier: GPL-3.0-or-later
#include "stats/histogram.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitwright {

std::uint64_t Histogram::total() const
{
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t(0));
}

double Moments::variance() const
{
    if (count == 0)
        return 0;
    const double m = mean();
    return std::max(0.0, sumSquares / double(count) - m * m);
}

double Moments::std() const
{
    return std::sqrt(variance());
}

void Moments::merge(const Moments &other)
{
    if (other.count > 0) {
        min = count ? std::min(min, other.min) : other.min;
        max = count ? std::max(max, other.max) : other.max;
    }
    count += other.count;
    nanCount += other.nanCount;
    infCount += other.infCount;
    zeroCount += other.zeroCount;
    sum += other.sum;
    sumSquares += other.sumSquares;
    sumAbs += other.sumAbs;
}

std::size_t shownBins(std::uint64_t values, std::size_t most)
{
    return std::min(most, std::max<std::size_t>(64, std::size_t(4 * std::sqrt(double(values)))));
}

Histogram rebin(const Histogram &histogram, double lo, double hi, std::size_t bins)
{
    Histogram out;
    out.lo = lo;
    out.hi = hi;
    out.counts.assign(bins, 0);
    out.underflow = histogram.underflow;
    out.overflow = histogram.overflow;
    out.nanCount = histogram.nanCount;
    const double width = bins ? (hi - lo) / double(bins) : 0;
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        const std::uint64_t n = histogram.counts[i];
        if (n == 0)
            continue;
        const double x = std::clamp(histogram.center(i), lo, hi);
        if (bins == 0 || histogram.edge(i + 1) <= lo)
            out.underflow += n;
        else if (histogram.edge(i) > hi || (histogram.edge(i) == hi && hi > lo))
            out.overflow += n;
        else
            out.counts[width > 0 ? std::min(bins - 1, std::size_t((x - lo) / width)) : 0] += n;
    }
    return out;
}

} // namespace bitwright
