// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"

namespace bitwright {
namespace {

Range fromValues(std::span<const float>, const Moments &m, const RangeRequest &r)
{
    return extremes(m.min, m.max, r.form);
}

Range fromStatistics(const SiteStatistics &s, const RangeRequest &r)
{
    return extremes(s.moments.min, s.moments.max, r.form);
}

} // namespace

CalibratorRow minMaxCalibrator()
{
    return {"minmax", "Minimum and maximum", fromValues, fromStatistics};
}

} // namespace bitwright
