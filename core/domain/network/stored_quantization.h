// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

namespace bitwright {

/// The uniform quantization that a file already holds for a tensor (ONNX DequantizeLinear and the QLinear operators):
/// value = (code - zeroPoint) * scale.
struct StoredQuantization {
    int bits = 8;
    bool isSigned = true;
    int axis = -1;                          ///< dimension that scale and zeroPoint run along; -1: one for the tensor
    std::int64_t block = 0;                 ///< elements along axis that share one scale; 0: one scale for each index
    std::vector<double> scale;              ///< in row-major order of the blocks; empty where only the running network finds it
    std::vector<std::int64_t> zeroPoint;    ///< as many as scale
    friend bool operator==(const StoredQuantization &, const StoredQuantization &) = default;
};

} // namespace bitwright
