// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "prune/pruner.h"

namespace bitwright {

// One function per criterion, each in a file of its name.
PrunerRow magnitudeRow();
PrunerRow qualityRow();
PrunerRow nmRow();
PrunerRow randomWeightRow();
PrunerRow l1Row();
PrunerRow l2Row();
PrunerRow slimmingRow();
PrunerRow medianRow();
PrunerRow randomRow();
PrunerRow taylorWeightRow();
PrunerRow taylorRow();
PrunerRow apozRow();

/// The traits of a criterion, without roles and bits, which are of quantizers.
inline MethodTraits prunerTraits(std::string id, std::string title, std::string paper, int year, std::string summary,
                                 std::vector<ParamSpec> options = {})
{
    MethodTraits traits;
    traits.id = std::move(id);
    traits.title = std::move(title);
    traits.paper = std::move(paper);
    traits.year = year;
    traits.kind = MethodKind::Pruner;
    traits.summary = std::move(summary);
    traits.options = std::move(options);
    return traits;
}

/// The traits of a criterion that looks at gradients or activations.
MethodTraits dataTraits(MethodTraits traits);
/// An error that asks for data where none was run.
Status needsEvidence(const PruneSite &site, const std::string &method);

/// "pattern" of the criteria that score single weights.
ParamSpec patternOption();
/// "seed" of the random criteria.
ParamSpec seedOption();
/// One uniform number per part, the same for the same seed and layer on every machine.
at::Tensor randomScores(std::int64_t parts, const ParamValues &options, const std::string &layer);
/// The weight as [output channels, everything else].
at::Tensor channelRows(const PruneSite &site);

} // namespace bitwright
