// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"

namespace bitwright {

/// Replaces in-place operators by their functional twins: later readers of the changed value, of what it is a view of
/// and of other views of that read the new state. Unsupported where a view cannot be written back.
Status functionalize(Graph &graph);

} // namespace bitwright
