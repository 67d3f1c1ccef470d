// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

namespace bitwright {

PrunerRow magnitudeRow()
{
    return {prunerTraits("magnitude", "Magnitude", "Han et al., NeurIPS 2015", 2015, "The weights closest to zero go.", {patternOption()}),
            false,
            [](const PruneSite &site, const ParamValues &, double) -> Result<PruneScores> { return PruneScores{site.weight.abs(), {}}; }};
}

} // namespace bitwright
