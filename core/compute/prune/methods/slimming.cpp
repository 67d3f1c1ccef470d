// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

PrunerRow slimmingRow()
{
    return {prunerTraits("slimming", "Batch-norm scale", "Liu et al., ICCV 2017", 2017,
                         "The output channels whose batch norm scales them least go."),
            true, [](const PruneSite &site, const ParamValues &, double) -> Result<PruneScores> {
                if (!site.batchNormScale.defined())
                    return fail(ErrorKind::Unsupported, site.layer + ", no batch norm with a scale follows it, which slimming ranks by; "
                                                                     "prune it with l1 or leave it out");
                return PruneScores{site.batchNormScale.abs(), {}};
            }};
}

} // namespace bitwright
