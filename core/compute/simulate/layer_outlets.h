// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"

#include <vector>

namespace bitwright {

/// A place where something that a layer gave can be seen: the value, and the first node before which it is complete.
struct Outlet {
    ValueId value = kNoValue;
    std::size_t cut = 0;
    [[nodiscard]] bool exists() const { return value != kNoValue; }
};

/// What one call of a layer gives: its own result, the same behind its batch norm (itself where none follows), and behind
/// the ReLU that it reaches first, through batch norm, additions and poolings (none where it reaches no ReLU).
struct LayerOutlets { Outlet own, normalized, rectified; };

/// One entry per call.
std::vector<LayerOutlets> outletsOf(const Graph &graph, const LayerBinding &binding);

/// Every outlet's `value` as [channels, everything else]: dimension 1 of a convolution's maps, the last of a linear layer's.
at::Tensor outletChannels(const at::Tensor &value, const LayerInfo &layer);

} // namespace bitwright
