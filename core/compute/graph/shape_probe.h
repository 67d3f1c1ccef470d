// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"

namespace bitwright {

/// Shapes met in one run on zeros of the example shape: batch 1, or the fixed batch.
struct ShapeProbe {
    struct OfNode {
        Shape input, output;            ///< of the first argument and the first result, where those are tensors
    };
    bool ok = false;                    ///< false where the run failed; the rest is then empty
    std::int64_t batch = 1;
    std::vector<OfNode> nodes;
    std::vector<TensorInfo> outputs;    ///< with the batch given back as -1 where it is free
};

/// `sample`: sizes of the first input less the batch where they are known better than the file says.
ShapeProbe probeShapes(const Graph &graph, const Shape &sample = {});

/// Zeros for every input of a graph, or nothing where a shape is unknown or too large to try. Free sizes beside the batch become `freeSize`.
std::vector<c10::IValue> zeroInputs(const Graph &graph, const Shape &sample, std::int64_t batch, std::int64_t freeSize);

/// "float32", "int64", … as files and summaries spell it.
std::string dtypeName(at::ScalarType type);

} // namespace bitwright
