// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

PrunerRow l2Row()
{
    return {prunerTraits("l2", "Filter L2 norm", "He et al., IJCAI 2018", 2018, "The output channels with the least Euclidean norm go."), true,
            [](const PruneSite &site, const ParamValues &, double) -> Result<PruneScores> {
                return PruneScores{channelRows(site).square().sum(1).sqrt(), {}};
            }};
}

} // namespace bitwright
