// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright {

/// Free levels for the kernels: at most 256, ascending, with the first float that belongs to each level but the lowest.
struct LevelTable {
    std::vector<float> levels;
    std::vector<float> firsts;   ///< levels.size() - 1, ascending
};
/// Nearest level, a value on a midpoint takes the lower one (methods.md B1). `levels` ascending, 1 to 256 of them.
LevelTable nearestLevels(std::span<const float> levels);

// CPU tensors of any floating type and strides, several threads where it pays, the same bits on any number of threads.

/// The level of each element, uint8, contiguous; NaN gives 0.
at::Tensor levelCodes(const at::Tensor &x, const LevelTable &table);
/// Each element by its level, in x's own floating type; NaN stays. In place when `mayOverwrite`, x is float32 and dense.
at::Tensor toLevels(const at::Tensor &x, const LevelTable &table, bool mayOverwrite = false);
/// codebook[codes], float32, of the shape of `codes`.
at::Tensor lookUp(const at::Tensor &codes, const at::Tensor &codebook);
/// The same, differentiable: the codebook gets the sum of the gradients of each code's members (methods.md B1). `x` is
/// where the weights come from and gets a zero gradient, because only the codebook is learned.
at::Tensor sharedValues(const at::Tensor &x, const at::Tensor &codebook, const at::Tensor &codes);

} // namespace bitwright
