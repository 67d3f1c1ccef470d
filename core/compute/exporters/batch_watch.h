// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "graph/graph.h"

#include <cstdint>
#include <vector>

namespace bitwright {

/// A number as it changes with the batch: factor * batch + offset.
struct Linear {
    std::int64_t factor = 0, offset = 0;
    friend auto operator<=>(const Linear &, const Linear &) = default;
};

/// What one pass showed of a node. Tensors are kept as empty ones with their sizes and strides.
struct NodeRun {
    torch::jit::Stack in, out;
};

/// A graph run on zeros of several batch sizes, to see which numbers follow the batch.
struct BatchWatch {
    std::vector<std::int64_t> batches;          ///< 2, 3 and 5, or the one that the graph insists on
    std::vector<std::vector<NodeRun>> runs;     ///< by batch, by node

    /// Unsupported where the shape of an input is unknown; else the error of the run.
    static Result<BatchWatch> of(const Graph &graph);
    /// One value per batch. Unsupported where they do not lie on a line.
    [[nodiscard]] Result<Linear> linear(const std::vector<std::int64_t> &values) const;
    /// Which nodes give tensors that are read; what only leads to numbers is not needed, for numbers are written as they are.
    [[nodiscard]] std::vector<bool> neededNodes(const Graph &graph) const;
};

} // namespace bitwright
