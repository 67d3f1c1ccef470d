// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"

#include "tensor/kernels.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bitwright {
namespace {

// Clips in units of sigma and of E|x - mean| for 2 to 9 bits; values behind a ReLU use one bit more (methods.md A3.6).
constexpr std::array kGaussian{1.71064, 2.15159, 2.55914, 2.93620, 3.28691, 3.61511, 3.92404, 4.2};
constexpr std::array kLaplace{2.83068, 3.89723, 5.02864, 6.20477, 7.41313, 8.64562, 9.89676, 11.1627};

/// The formulas know the spread alone: a tensor without any is its own range.
constexpr double kNoSpread = 1e-6;

Range analytic(double spread, const Moments &m, const RangeRequest &r)
{
    if (!(spread > kNoSpread * std::max(std::abs(m.min), std::abs(m.max))))
        return extremes(m.min, m.max, r.form);
    const double min = m.min;
    const bool oneSided = r.form == GridForm::Unsigned || (r.form == GridForm::Asymmetric && min >= 0);
    const int row = std::clamp(r.bits + (oneSided ? 1 : 0) - 2, 0, int(kGaussian.size()) - 1);
    const double clip = r.distribution == "laplace" ? kLaplace[std::size_t(row)] : kGaussian[std::size_t(row)];
    return aroundZero(clip * spread, min, r.form);
}

Range fromValues(std::span<const float> x, const Moments &m, const RangeRequest &r)
{
    if (r.distribution != "laplace")
        return analytic(m.std(), m, r);
    double sum = 0;
    for (const float v : x)
        if (std::isfinite(v))
            sum += std::abs(double(v) - m.mean());
    return analytic(m.count ? sum / double(m.count) : 0, m, r);
}

Range fromStatistics(const SiteStatistics &s, const RangeRequest &r)
{
    if (r.distribution != "laplace")
        return analytic(s.moments.std(), s.moments, r);
    double sum = 0;
    for (std::size_t i = 0; i < s.histogram.counts.size(); ++i)
        sum += double(s.histogram.counts[i]) * std::abs(s.histogram.center(i) - s.moments.mean());
    const double total = double(s.histogram.total());
    return analytic(total > 0 ? sum / total : 0, s.moments, r);
}

} // namespace

CalibratorRow aciqCalibrator()
{
    return {"aciq", "Analytic clip (ACIQ)", fromValues, fromStatistics};
}

} // namespace bitwright
