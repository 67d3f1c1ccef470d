// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

PrunerRow randomWeightRow()
{
    return {prunerTraits("random_weight", "Random weights", "control", 2015, "Weights go by chance: what any criterion has to beat.",
                         {seedOption(), patternOption()}),
            false, [](const PruneSite &site, const ParamValues &options, double) -> Result<PruneScores> {
                return PruneScores{randomScores(site.weight.numel(), options, site.layer), {}};
            }};
}

} // namespace bitwright
