// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

namespace {

/// |w| in units of the layer's own spread: one factor for all layers cuts each where its distribution says (methods.md
/// D1). A given factor decides; without one it follows from the target.
Result<PruneScores> score(const PruneSite &site, const ParamValues &options, double)
{
    const double spread = site.weight.numel() > 1 ? site.weight.std(false).item<double>() : 0;
    PruneScores found{site.weight.abs() / (spread > 0 ? spread : 1), {}};
    if (hasParam(options, "quality"))
        found.decided = found.scores < realParam(options, "quality");
    return found;
}

} // namespace

PrunerRow qualityRow()
{
    constexpr double kMost = 10;
    return {prunerTraits("quality", "Quality factor", "Han et al., NeurIPS 2015", 2015,
                         "The weights closer to zero than a factor times the layer's standard deviation go.",
                         {{"quality", ParamType::Real, ParamValue(0.0), 0, kMost, {}, {},
                           "The factor. Not given: it follows from the sparsity.", true}, patternOption()}),
            false, score};
}

} // namespace bitwright
