// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitwright {

/// Channels that can only be removed together (methods.md D4): residual adds, concatenations, depthwise convolutions,
/// flattening and batch norms tie what one layer writes to what others read. A unit is the smallest thing that can go.
struct ChannelGroup {
    /// One axis of one parameter, and which unit each of its indices belongs to.
    struct Part {
        std::string name;                ///< the layer's name; for any other parameter its qualified name
        bool layer = false;              ///< the weight of a quantizable layer
        bool output = false;             ///< of a layer: the axis counts its output channels, else its inputs
        int axis = 0;
        std::vector<std::int32_t> unit;  ///< by index along the axis: 0 to units - 1, or -1 (not of this group)
        friend bool operator==(const Part &, const Part &) = default;
    };
    std::vector<Part> parts;
    std::int32_t units = 0;
    std::string refusal;                 ///< why nothing of it can be removed, one sentence; empty where it can
    [[nodiscard]] bool removable() const { return refusal.empty(); }
    /// The part that counts a layer's output (input) channels, or null.
    [[nodiscard]] const Part *part(const std::string &layer, bool output) const;
    friend bool operator==(const ChannelGroup &, const ChannelGroup &) = default;
};

} // namespace bitwright
