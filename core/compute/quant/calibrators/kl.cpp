// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"

#include "stats/divergence.h"
#include "tensor/kernels.h"

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

constexpr std::size_t kBins = 2048;

/// Threshold T of |x| (methods.md A3.7). Half of the levels are for |x| where the grid has two sides.
Range threshold(std::span<const double> mass, double amax, double min, const RangeRequest &r)
{
    const bool oneSided = r.form == GridForm::Unsigned || (r.form == GridForm::Asymmetric && min >= 0);
    const std::size_t levels = std::size_t(1) << (oneSided ? r.bits : r.bits - 1);
    // more levels than bins: nothing to choose
    if (!(amax > 0) || levels > kBins)
        return aroundZero(amax, min, r.form);
    const KlThreshold best = klThreshold(mass, levels);
    return aroundZero((double(best.bins) + 0.5) * amax / double(kBins), min, r.form);
}

double largest(const Moments &m, GridForm form)
{
    return form == GridForm::Unsigned ? std::max(0.0, m.max) : std::max(std::abs(m.min), std::abs(m.max));
}

Range fromValues(std::span<const float> x, const Moments &m, const RangeRequest &r)
{
    const double amax = largest(m, r.form);
    std::vector<float> magnitudes(x.begin(), x.end());
    // an unsigned grid clips what is below zero: it counts as the zeros that it becomes
    for (float &v : magnitudes)
        v = r.form == GridForm::Unsigned && v < 0 ? 0 : std::abs(v);
    const Histogram h = histogramOf(std::span<const float>(magnitudes), 0, amax > 0 ? amax : 1, kBins);
    return threshold(std::vector<double>(h.counts.begin(), h.counts.end()), amax, m.min, r);
}

Range fromStatistics(const SiteStatistics &s, const RangeRequest &r)
{
    const double amax = largest(s.moments, r.form);
    Histogram h = s.histogram;
    if (r.form == GridForm::Unsigned)
        for (std::size_t i = 0; i < h.counts.size() && h.edge(i) < 0; ++i)
            h.counts[i] = 0;
    return threshold(foldedMass(h, amax > 0 ? amax : 1, kBins), amax, s.moments.min, r);
}

} // namespace

CalibratorRow klCalibrator()
{
    return {"kl", "Entropy (KL divergence)", fromValues, fromStatistics};
}

} // namespace bitwright
