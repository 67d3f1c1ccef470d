// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

PrunerRow l1Row()
{
    return {prunerTraits("l1", "Filter L1 norm", "Li et al., ICLR 2017", 2017, "The output channels with the least sum of magnitudes go."), true,
            [](const PruneSite &site, const ParamValues &, double) -> Result<PruneScores> {
                return PruneScores{channelRows(site).abs().sum(1), {}};
            }};
}

} // namespace bitwright
