// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "frontends/onnx_proto.h"
#include "grid/quant_grid.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace bitwright {

/// How a uniform grid is stored in ONNX's integer types.
struct OnnxEncoding {
    onnx::DataType type = onnx::DataType::Int8;
    bool clips = false;                     ///< the type reaches further than the grid
    int opset = 13;                         ///< the first operator set whose QuantizeLinear knows the type
    std::vector<float> scales;              ///< one per group
    std::vector<std::int64_t> zeroPoints;   ///< one per group
    [[nodiscard]] std::string describe() const;   ///< "int4 per channel"
};

/// The narrowest type that holds qmin...qmax and every zero point; Unsupported where the grid is not uniform or too wide.
Result<OnnxEncoding> encodingOf(const QuantGrid &grid);

/// Codes of a tensor that already lies on the grid, in row-major order; groups run over `axis` when per channel.
Result<std::vector<std::int64_t>> codesOf(const at::Tensor &quantized, const QuantGrid &grid, int axis);

/// The IR version that goes with an operator set.
int irVersionFor(int opset);

} // namespace bitwright
