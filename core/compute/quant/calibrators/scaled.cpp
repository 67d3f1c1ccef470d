// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"

namespace bitwright {
namespace {

Range scaled(double min, double max, const RangeRequest &r)
{
    const Range full = extremes(min, max, r.form);
    return {full.lo * r.ratio, full.hi * r.ratio};
}

Range fromValues(std::span<const float>, const Moments &m, const RangeRequest &r)
{
    return scaled(m.min, m.max, r);
}

Range fromStatistics(const SiteStatistics &s, const RangeRequest &r)
{
    return scaled(s.moments.min, s.moments.max, r);
}

} // namespace

CalibratorRow scaledCalibrator()
{
    return {"scaled", "Maximum times a ratio", fromValues, fromStatistics};
}

} // namespace bitwright
