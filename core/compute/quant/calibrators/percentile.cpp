// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"

#include "stats/divergence.h"

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

/// Linear interpolation between the neighbouring order statistics; reorders `values`.
double percentileOf(std::vector<float> &values, double percent)
{
    if (values.empty())
        return 0;
    const double place = percent / 100 * double(values.size() - 1);
    const std::size_t below = std::min(values.size() - 1, std::size_t(std::floor(place)));
    const auto at = values.begin() + std::ptrdiff_t(below);
    std::ranges::nth_element(values, at);
    const double lower = *at;
    if (below + 1 == values.size())
        return lower;
    return lower + (place - double(below)) * (double(*std::min_element(at + 1, values.end())) - lower);
}

Range fromValues(std::span<const float> x, const Moments &, const RangeRequest &r)
{
    std::vector<float> values;
    values.reserve(x.size());
    std::ranges::copy_if(x, std::back_inserter(values), [](float v) { return std::isfinite(v); });
    if (r.form == GridForm::Symmetric) {
        for (float &v : values)
            v = std::abs(v);
        const double amax = percentileOf(values, r.percentile);
        return {-amax, amax};
    }
    const double hi = std::max(0.0, percentileOf(values, r.percentile));
    if (r.form == GridForm::Unsigned)
        return {0, hi};
    return {std::min(0.0, percentileOf(values, 100 - r.percentile)), hi};
}

/// Left edge of the first bin at which the share of the mass so far reaches the percentage.
double edgeAt(std::span<const double> mass, double lo, double width, double percent)
{
    double total = 0, soFar = 0;
    for (const double m : mass)
        total += m;
    for (std::size_t i = 0; i < mass.size(); ++i) {
        soFar += mass[i];
        if (mass[i] > 0 && soFar >= percent / 100 * total)
            return lo + width * double(i);
    }
    return lo + width * double(mass.size());
}

Range fromStatistics(const SiteStatistics &s, const RangeRequest &r)
{
    const Histogram &h = s.histogram;
    if (h.total() == 0)
        return {};
    if (r.form == GridForm::Symmetric) {
        const double top = std::max(std::abs(h.lo), std::abs(h.hi));
        const std::size_t bins = std::max<std::size_t>(1, std::size_t(std::ceil(top / h.binWidth())));
        const double amax = edgeAt(foldedMass(h, top, bins), 0, top / double(bins), r.percentile);
        return {-amax, amax};
    }
    const std::vector<double> mass(h.counts.begin(), h.counts.end());
    const double hi = std::max(0.0, edgeAt(mass, h.lo, h.binWidth(), r.percentile));
    if (r.form == GridForm::Unsigned)
        return {0, hi};
    return {std::min(0.0, edgeAt(mass, h.lo, h.binWidth(), 100 - r.percentile)), hi};
}

} // namespace

CalibratorRow percentileCalibrator()
{
    return {"percentile", "Percentile", fromValues, fromStatistics};
}

} // namespace bitwright
