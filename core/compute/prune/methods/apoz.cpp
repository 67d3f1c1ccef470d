// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

PrunerRow apozRow()
{
    return {dataTraits(prunerTraits("apoz", "Share of zero activations (APoZ)", "Hu et al., 2016", 2016,
                                    "The output channels go that are zero most often behind their ReLU.")),
            true, [](const PruneSite &site, const ParamValues &, double) -> Result<PruneScores> {
                BW_CHECK(needsEvidence(site, "apoz"));
                if (!site.evidence.zeroShare.defined())
                    return fail(ErrorKind::Unsupported, site.layer + ", no ReLU follows it, whose zeros apoz counts; prune it with l1 or leave it out");
                return PruneScores{1 - site.evidence.zeroShare, {}};
            }};
}

} // namespace bitwright
