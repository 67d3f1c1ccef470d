// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

namespace {

/// What the loss changes by to first order when a channel goes (methods.md D3): of its weights, or of what it gives.
Result<PruneScores> score(const PruneSite &site, const ParamValues &options, double)
{
    BW_CHECK(needsEvidence(site, "taylor"));
    const std::string form = textParam(options, "form", "signed");
    if (form == "activation") {
        if (!site.evidence.activationTaylor.defined())
            return fail(ErrorKind::Unsupported, site.layer + ", what it gives does not reach the scores, so that taylor cannot rank it; "
                                                             "choose another form or leave it out");
        return PruneScores{site.evidence.activationTaylor, {}};
    }
    const at::Tensor change = (site.weight * site.evidence.gradient).movedim(site.channelAxis, 0).flatten(1);
    return PruneScores{form == "abs" ? change.abs().sum(1) : change.sum(1).abs(), {}};
}

} // namespace

PrunerRow taylorRow()
{
    return {dataTraits(prunerTraits("taylor", "Taylor expansion", "Molchanov et al., ICLR 2017; CVPR 2019", 2019,
                                    "The output channels go whose loss moves least without them, by a first-order expansion on data.",
                                    {{"form", ParamType::Choice, ParamValue(std::string("signed")), 0, 0, {"signed", "abs", "activation"}, {},
                                      "signed: |sum of w g| over a channel's weights; abs: sum of |w g|; activation: mean |z dL/dz| of what it gives.", false}})),
            true, score};
}

} // namespace bitwright
