// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

PrunerRow randomRow()
{
    return {prunerTraits("random", "Random channels", "control", 2017, "Output channels go by chance: what any criterion has to beat.",
                         {seedOption()}),
            true, [](const PruneSite &site, const ParamValues &options, double) -> Result<PruneScores> {
                return PruneScores{randomScores(site.weight.size(site.channelAxis), options, site.layer), {}};
            }};
}

} // namespace bitwright
