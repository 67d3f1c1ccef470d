// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"

namespace bitwright {
namespace {

/// A tensor in hand is one batch, and the first batch initialises the average.
Range fromValues(std::span<const float>, const Moments &m, const RangeRequest &r)
{
    return extremes(m.min, m.max, r.form);
}

Range fromStatistics(const SiteStatistics &s, const RangeRequest &r)
{
    return extremes(s.averageMin, s.averageMax, r.form);
}

} // namespace

CalibratorRow averageCalibrator()
{
    return {"average", "Moving average of batch extremes", fromValues, fromStatistics};
}

} // namespace bitwright
