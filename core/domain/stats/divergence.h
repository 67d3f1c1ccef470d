// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "stats/histogram.h"

#include <cstddef>
#include <span>
#include <vector>

namespace bitwright {

/// 10 log10(signal / noise) of two sums (or means) of squares; NaN where either is 0 (there is no such number).
double signalToNoiseDb(double signal, double noise);

struct KlThreshold {
    std::size_t bins = 0;     ///< m: the number of bins kept; the threshold is (m + 0.5) bin widths
    double divergence = 0;
};
/// The entropy calibration of methods.md A3.7 over the counts of |x|, bin by bin as its reference loop. `levels` is
/// 2^(b-1) for a signed and 2^b for an unsigned grid. `neutralizeFirst` copies bin 1 into bin 0. With at most `levels`
/// bins, or with nothing counted, all bins are kept.
KlThreshold klThreshold(std::span<const double> counts, std::size_t levels, bool neutralizeFirst = true);

/// Mass of |x| on [0, top] in `bins` bins; the mass of a bin is spread evenly over its width, so that two grids of bins
/// do not beat against each other.
std::vector<double> foldedMass(const Histogram &histogram, double top, std::size_t bins);

} // namespace bitwright
