// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"

namespace bitwright {

/// Batch norms folded into the convolution or linear layer before them (methods.md A6): the graph without them, and how
/// its parameters follow, differentiably, from the original's.
struct FoldedGraph {
    struct Fold {
        std::string layer;                          ///< qualified name less ".weight"
        std::string weight, bias;                   ///< names in the folded graph; bias is made where there was none
        std::string originalBias;                   ///< "" when the layer had none
        std::string gamma, beta, mean, variance;    ///< names in the original graph; gamma, beta may be ""
        double eps = 1e-5;
        int channelAxis = 0;
        std::int64_t groups = 1;                        ///< of a transposed convolution: its axis 1 repeats per group
    };
    Graph graph;
    std::vector<Fold> folds;
    /// Parameters of the folded graph from those of the original (complete maps); keeps gradients when grad mode is on.
    [[nodiscard]] ParameterMap apply(const ParameterMap &original) const;
};

/// Where a batch norm directly follows a layer that nothing else reads and whose weight nothing else uses.
struct FoldSite {
    std::size_t layer = 0, norm = 0;   ///< node indices
};
std::vector<FoldSite> foldSites(const Graph &graph);

/// Folds every batch norm whose only input is the output of a layer that nothing else reads.
FoldedGraph foldBatchNorm(const Graph &graph);

} // namespace bitwright
