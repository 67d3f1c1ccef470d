// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "graph/graph.h"

#include <optional>
#include <vector>

namespace bitwright {

/// What is known of one value after the graph ran on small batches of two sizes.
struct TracedValue {
    bool known = false;
    bool constant = false;              ///< depends on parameters only: `value` is what it is
    bool batchDependent = false;        ///< a number that changes with the batch
    c10::IValue value;                  ///< kept for constants and for numbers; empty for other tensors
    bool tensor = false;
    c10::ScalarType type = c10::ScalarType::Float;
    std::vector<std::int64_t> shape;    ///< -1 where it changes with the batch
    std::vector<std::vector<std::int64_t>> listShapes;   ///< of a list of tensors
    [[nodiscard]] std::int64_t rank() const { return std::int64_t(shape.size()); }
};

struct ShapeTrace {
    std::vector<TracedValue> values;    ///< by ValueId
    bool freeBatch = false;             ///< dimension 0 of the inputs may change
    std::vector<std::string> notes;
};

/// Runs the graph to learn the shape of every value. `example` gives the sizes that the graph's inputs leave open.
Result<ShapeTrace> traceShapes(const Graph &graph, const ParameterMap &parameters, const std::vector<at::Tensor> &example);

} // namespace bitwright
