// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/channel_plan.h"

#include <vector>

namespace bitwright {

/// Which units of a plan's groups go, parallel to them.
using RemovedUnits = std::vector<std::vector<bool>>;

/// Indices that stay along one axis of one parameter.
struct KeptIndices {
    ValueId parameter = kNoValue;
    int axis = 0;
    std::vector<std::int64_t> kept;
};
/// Of every parameter that loses something.
std::vector<KeptIndices> keptIndices(const ChannelPlan &plan, const RemovedUnits &removed);

/// A smaller network without these channels: parameters sliced, sizes and group numbers among the nodes' constants counted
/// again, splits given their new sizes (methods.md D4). Parameters come from `tensors` by name where they stand there.
/// Errors: a group that cannot be cut, units that do not fit the plan, all units of a group at once.
Result<Graph> removeChannels(const Graph &graph, const ChannelPlan &plan, const RemovedUnits &removed, const ParameterMap &tensors);

} // namespace bitwright
