// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright {

/// A step function for the kernels: at most 256 levels, ascending where they are a codebook, with the first float that
/// belongs to each level but the lowest.
struct LevelTable {
    std::vector<float> levels;
    std::vector<float> firsts;   ///< levels.size() - 1, ascending
};
/// A step function for each group; axis -1 is one group, else groups run over that dimension. What a step answers need not
/// ascend (sums of binary bases, methods.md B6b and B6f).
struct StepTables {
    std::vector<LevelTable> groups;
    int axis = -1;
};
/// Nearest level, a value on a midpoint takes the lower one (methods.md B1). `levels` ascending, 1 to 256 of them.
LevelTable nearestLevels(std::span<const float> levels);

/// The smallest float at or above t, and the smallest above it: thresholds that a value on them passes, or does not.
float firstFrom(double t);
float firstAbove(double t);

// CPU tensors of any floating type and strides, several threads where it pays, the same bits on any number of threads.

/// The level of each element, uint8, contiguous; NaN gives 0.
at::Tensor levelCodes(const at::Tensor &x, const LevelTable &table);
/// Each element by its level, in x's own floating type; NaN stays. In place when `mayOverwrite`, x is float32 and dense.
at::Tensor toLevels(const at::Tensor &x, const LevelTable &table, bool mayOverwrite = false);
/// The same by group; a tensor with another number of groups throws c10::Error.
at::Tensor toLevels(const at::Tensor &x, const StepTables &tables, bool mayOverwrite = false);
/// codebook[codes], float32, of the shape of `codes`.
at::Tensor lookUp(const at::Tensor &codes, const at::Tensor &codebook);
/// The same, differentiable: the codebook gets the sum of the gradients of each code's members (methods.md B1). `x` is
/// where the weights come from and gets a zero gradient, because only the codebook is learned.
at::Tensor sharedValues(const at::Tensor &x, const at::Tensor &codebook, const at::Tensor &codes);

} // namespace bitwright
