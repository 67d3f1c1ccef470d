// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"
#include "network/channel_group.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bitwright {

/// A channel as the plan knows it; group -1 is one that never goes.
struct ChannelUnit {
    std::int32_t group = -1, unit = -1;
};

/// Constants of nodes that say how many channels there are, and what they count.
struct ChannelCount {
    std::size_t node = 0;
    int argument = 0;
    int element = -1;                   ///< of a list, or -1
    std::vector<ChannelUnit> channels;  ///< the new constant is how many of these stay
};
/// A split into equal pieces that need not stay equal.
struct ChannelSplit {
    std::size_t node = 0;
    std::vector<std::vector<ChannelUnit>> pieces;
};
/// An attention whose scale follows from a size that changes: it keeps the old one.
struct FixedScale {
    std::size_t node = 0;
    double scale = 1;
};

/// Which channels of a network belong together, and what has to change in its graph when some of them go.
struct ChannelPlan {
    std::vector<ChannelGroup> groups;
    std::vector<std::vector<ValueId>> parameters;   ///< parallel to groups and their parts
    std::vector<ChannelCount> counts;
    std::vector<ChannelSplit> splits;
    std::vector<FixedScale> scales;
};

/// Follows every channel through the graph in one run on zeros of the example shape (methods.md D4). Each index of a
/// channel axis carries a label; operators that tie two indices together join their labels, those that only move
/// values (view, permute, slice, concatenation, pixel shuffle, …) are run on the labels themselves. Channels that meet an
/// input, an output or an operator that is not known here are kept, with the reason. Empty where the run fails.
ChannelPlan planChannels(const Graph &graph, const std::vector<LayerBinding> &bindings);

} // namespace bitwright
