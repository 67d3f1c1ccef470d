// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

namespace bitwright {

/// Counts over equal bins on [lo, hi]; a value equal to hi falls into the last bin. What lies outside or is not a
/// number is counted beside. A pure value: made in compute, drawn in widgets.
struct Histogram {
    double lo = 0, hi = 0;
    std::vector<std::uint64_t> counts;
    std::uint64_t underflow = 0, overflow = 0;   ///< finite or infinite values outside [lo, hi]
    std::uint64_t nanCount = 0;
    [[nodiscard]] double binWidth() const { return counts.empty() ? 0 : (hi - lo) / double(counts.size()); }
    [[nodiscard]] double edge(std::size_t i) const { return lo + (hi - lo) * double(i) / double(counts.size()); }
    [[nodiscard]] double center(std::size_t i) const { return lo + binWidth() * (double(i) + 0.5); }
    [[nodiscard]] std::uint64_t total() const;   ///< inside the range
    friend bool operator==(const Histogram &, const Histogram &) = default;
};

/// Running moments in double precision; NaN and infinities are counted, not added.
struct Moments {
    std::uint64_t count = 0;      ///< finite values
    std::uint64_t nanCount = 0, infCount = 0, zeroCount = 0;
    double min = 0, max = 0;      ///< of the finite values; 0 when there are none
    double sum = 0, sumSquares = 0, sumAbs = 0;
    [[nodiscard]] double mean() const { return count ? sum / double(count) : 0; }
    [[nodiscard]] double variance() const;       ///< population
    [[nodiscard]] double std() const;
    void merge(const Moments &other);
    friend bool operator==(const Moments &, const Moments &) = default;
};

/// The same counts in `bins` bins on [lo, hi], each old bin's mass given to the bin its centre falls in. An old
/// bin across one of the new ends counts as inside, so that the extremes of the values may be the ends.
Histogram rebin(const Histogram &histogram, double lo, double hi, std::size_t bins);

/// How many bins show a distribution of `values` values rather than its single values: four times the root of their
/// number, at least 64, at most `most` (which wins).
std::size_t shownBins(std::uint64_t values, std::size_t most);

} // namespace bitwright
