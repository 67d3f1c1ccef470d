// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

PrunerRow medianRow()
{
    return {prunerTraits("median", "Geometric median (FPGM)", "He et al., CVPR 2019", 2019,
                         "The output channels nearest to all others go: the rest can stand in for them."),
            true, [](const PruneSite &site, const ParamValues &, double) -> Result<PruneScores> {
                const at::Tensor rows = channelRows(site);
                return PruneScores{at::cdist(rows, rows, 2, 2).sum(1), {}};   // 2: exact differences, no expanded squares
            }};
}

} // namespace bitwright
