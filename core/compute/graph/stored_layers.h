// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Networks that other tools have quantized: what Graph::stored says of their values reaches the layers, and operators that
// multiply integer codes (ONNX's QLinearConv and the like) are layers too. Their arithmetic stays what the specification
// says; a quantizer cannot be put over them.

#include "graph/graph.h"
#include "graph/shape_probe.h"

namespace bitwright {

/// Codes, scale and zero point as StoredQuantization; none where the scales are neither one nor one for each index of `axis`.
/// An undefined scale is one that only the run finds, an undefined zero is zero.
std::optional<StoredQuantization> storedOf(int bits, bool isSigned, const at::Tensor &scale, const at::Tensor &zero, int axis);

/// Fills Graph::stored for the weights of operators over integer codes. The front end calls it when the graph is whole.
void noteIntegerWeights(Graph &graph);

/// Adds the operators over integer codes to `bindings`, in the order of the network, and fills in storedWeight and
/// storedInput of all.
void noteStored(const Graph &graph, const ShapeProbe &shapes, std::vector<LayerBinding> &bindings);

/// Whether the layer multiplies codes: its parameter holds them, not values.
[[nodiscard]] bool hasCodes(const LayerBinding &binding, const at::Tensor &weight);
/// What a layer's weight is worth: `weight` itself, or the values that its codes stand for.
at::Tensor realWeight(const LayerBinding &binding, const at::Tensor &weight);

} // namespace bitwright
