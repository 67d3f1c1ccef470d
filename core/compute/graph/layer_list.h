// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"
#include "graph/shape_probe.h"

namespace bitwright {

/// Finds the layers of a graph: every convolution, transposed convolution and linear map with a constant weight is
/// quantizable; other nodes that own parameters are listed as float with the reason. Runs the graph once on zeros of
/// the example shape to learn shapes and MACs (skipped, MACs 0, where that fails).
/// `sample`: sizes of the first input less the batch, for MACs on data of that size; else the file's, or a guess.
/// `shapes` receives what the run met, for summarize().
std::vector<LayerBinding> listLayers(const Graph &graph, const Shape &sample = {}, ShapeProbe *shapes = nullptr);

/// The summary that the rest of the program sees; layers parallel to `bindings`.
ModelSummary summarize(const Graph &graph, const std::vector<LayerBinding> &bindings, const std::string &path, const ShapeProbe &shapes);

} // namespace bitwright
