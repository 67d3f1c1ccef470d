// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/dataset.h"
#include "prune/pruner.h"
#include "simulate/network.h"

#include <map>
#include <string>
#include <vector>

namespace bitwright {

/// By layer name.
using Evidence = std::map<std::string, SiteEvidence>;

inline constexpr std::int64_t kEvidenceSamples = 512;

/// Runs the first `samples` rows (0: all) forward and backward through the float network under `state` and collects what
/// criteria with data look at, for every quantizable layer. The loss is the cross entropy against the labels or, where
/// there are none, against the class that the network itself prefers. Errors: no samples, labels that the network has no
/// class for, an output that is no [N, classes] scores.
Result<Evidence> collectEvidence(const Network &network, bool folded, const WeightsState &state, const Dataset &data,
                                 std::int64_t samples, const JobContext &context);

/// Hands every task what was seen of its layer.
void addEvidence(std::vector<PruneTask> &tasks, const Evidence &evidence);

} // namespace bitwright
