// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

PrunerRow taylorWeightRow()
{
    return {dataTraits(prunerTraits("taylor_weight", "Taylor, single weights", "Molchanov et al., CVPR 2019; Lee et al., ICLR 2019", 2019,
                                    "The weights go whose loss moves least without them, by a first-order expansion on data.",
                                    {{"form", ParamType::Choice, ParamValue(std::string("abs")), 0, 0, {"abs", "square"}, {},
                                      "abs: mean of |w g| over the batches; square: mean of (w g)².", false}, patternOption()})),
            false, [](const PruneSite &site, const ParamValues &options, double) -> Result<PruneScores> {
                BW_CHECK(needsEvidence(site, "taylor_weight"));
                if (textParam(options, "form", "abs") == "square")
                    return PruneScores{site.weight.square() * site.evidence.gradientSquare, {}};
                return PruneScores{site.weight.abs() * site.evidence.gradientMagnitude, {}};
            }};
}

} // namespace bitwright
