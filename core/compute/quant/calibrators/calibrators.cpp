// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {
namespace {

constexpr double kSmallestStep = 1e-8;   // an all-zero group would divide by zero

/// The step as a float whose outermost levels are finite.
float roundedStep(double step, double largestCode)
{
    constexpr double kLargest = std::numeric_limits<float>::max();
    float s = float(std::clamp(step, kSmallestStep, kLargest));
    while (!std::isfinite(s * float(largestCode)))
        s = std::nextafter(s, 0.0f);
    return s;
}

/// Rounding the step to float may leave the end of the range a hair outside of the outermost level, where no gradient
/// passes; the next float up keeps it inside. Ends that the zero point moved on purpose stay where they are.
float reaching(float step, double code, double end)
{
    constexpr double kRounding = 1e-6;
    const float target = float(end);
    for (int i = 0; i < 4 && code > 0; ++i) {
        const float level = float(code) * step;
        const float up = std::nextafter(step, std::numeric_limits<float>::infinity());
        if (level >= target || double(level) < end * (1 - kRounding) || !std::isfinite(float(code) * up))
            break;
        step = up;
    }
    return step;
}

} // namespace

Step stepFor(Range range, const RangeRequest &r)
{
    const double span = double(r.qmax - r.qmin);
    if (r.form == GridForm::Unsigned) {
        const double hi = std::max(0.0, range.hi);
        return {reaching(roundedStep(hi / span, span), span, hi), 0};
    }
    if (r.form == GridForm::Symmetric) {
        // 1 bit full range is {-1, 0}: its only step goes down
        const double top = double(std::max<std::int64_t>(1, r.qmax));
        const double amax = std::max(std::abs(range.lo), std::abs(range.hi));
        return {reaching(roundedStep(amax / top, double(-r.qmin)), top, amax), 0};
    }
    const double lo = std::min(range.lo, 0.0), hi = std::max(range.hi, 0.0);
    const double step = std::max((hi - lo) / span, kSmallestStep);
    const double zero = 0.0 + std::clamp(std::rint(-lo / step), 0.0, span);   // the sum makes +0 of -0
    const float rounded = roundedStep(step, std::max(zero, span - zero));
    return {reaching(reaching(rounded, span - zero, hi), zero, -lo), float(zero)};
}

Range extremes(double min, double max, GridForm form)
{
    if (form == GridForm::Asymmetric)
        return {std::min(min, 0.0), std::max(max, 0.0)};
    if (form == GridForm::Unsigned)
        return {0, std::max(max, 0.0)};
    const double amax = std::max(std::abs(min), std::abs(max));
    return {-amax, amax};
}

Range aroundZero(double amax, double min, GridForm form)
{
    const bool oneSided = form == GridForm::Unsigned || (form == GridForm::Asymmetric && min >= 0);
    return {oneSided ? 0 : -amax, amax};
}

const std::vector<CalibratorRow> &calibratorRows()
{
    static const std::vector<CalibratorRow> rows{minMaxCalibrator(), averageCalibrator(), percentileCalibrator(),
                                                 scaledCalibrator(), mseCalibrator(), klCalibrator(), aciqCalibrator()};
    return rows;
}

const CalibratorRow *findCalibrator(const std::string &id)
{
    const auto &rows = calibratorRows();
    const auto found = std::ranges::find_if(rows, [&](const CalibratorRow &row) { return row.id == id; });
    return found == rows.end() ? nullptr : &*found;
}

std::vector<std::string> calibratorIds()
{
    std::vector<std::string> ids;
    for (const CalibratorRow &row : calibratorRows())
        ids.emplace_back(row.id);
    return ids;
}

} // namespace bitwright
