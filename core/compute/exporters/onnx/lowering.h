// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/onnx/onnx_writer.h"

#include <span>

namespace bitwright {

/// Writes the node that `writer` has entered. Unsupported where this use of the operator has no counterpart.
using Lowering = Status (*)(OnnxWriter &writer);

/// One operator, by its name without "aten::" and overload.
struct LoweringRow {
    const char *op;
    Lowering lower;
};

// One table per subject, each in a file of its own.
std::span<const LoweringRow> layerLowerings();         ///< convolutions, linear maps, products, normalizations
std::span<const LoweringRow> recurrentLowerings();     ///< LSTM, GRU, RNN and their cells
std::span<const LoweringRow> elementwiseLowerings();   ///< activations, arithmetic, comparisons
std::span<const LoweringRow> poolingLowerings();       ///< pooling, reductions, resizing, padding
std::span<const LoweringRow> shapeLowerings();         ///< views, joins, cuts, lists, copies

/// The row of an operator, or null.
Lowering findLowering(const std::string &qualifiedOp);

} // namespace bitwright
