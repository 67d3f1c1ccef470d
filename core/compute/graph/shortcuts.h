// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"

#include <cstddef>
#include <set>

namespace bitwright {

/// The nodes that are the 1x1 convolution on the skip path of a residual block: the result reaches, through nothing but
/// batch norm or an identity, an addition whose other operand comes from another convolution path that starts at the same
/// tensor. A pooling before the convolution belongs to the skip path.
std::set<std::size_t> shortcutConvolutions(const Graph &graph);

} // namespace bitwright
