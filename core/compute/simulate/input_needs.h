// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"
#include "session/data_preview.h"

#include <vector>

namespace bitwright {

/// What each input of a network asks of data, in the order of graph.inputs: where it counts samples, which sizes only a
/// person knows (with a usual one as a guess), and from what an embedding or a table that the ids go to has rows, the range
/// of whole numbers.
std::vector<InputNeed> inputNeeds(const Graph &graph);

/// The batch size that a network with these inputs insists on, 0 where it is free. A network that knows no batch takes one
/// sample at a time: 1.
std::int64_t fixedBatch(const Graph &graph, const std::vector<InputNeed> &needs);

} // namespace bitwright
