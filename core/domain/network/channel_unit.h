// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "network/model_summary.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bitwright {

/// An output channel with everything that can only go together with it: one unit of a ChannelGroup, spelled out.
struct ChannelUnit {
    struct Member {
        std::string layer;
        std::vector<std::int64_t> channels;   ///< output channels, ascending
        friend bool operator==(const Member &, const Member &) = default;
    };
    /// Layers whose output channels go, the asked one first, the others in the group's order.
    std::vector<Member> outputs;
    std::vector<std::string> readers;         ///< layers that read them as input channels, in the group's order
    std::string refusal;                      ///< why the unit cannot be removed; empty where it can
    bool known = false;                       ///< the network has a group of this channel; else it stands for itself
    [[nodiscard]] bool removable() const { return refusal.empty(); }
};

/// The unit of one output channel. A channel that no group names is a unit of its own.
[[nodiscard]] ChannelUnit channelUnit(const ModelSummary &model, const std::string &layer, std::int64_t channel);

} // namespace bitwright
