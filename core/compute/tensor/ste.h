// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tensor/kernels.h"

namespace bitwright {

/// Fake quantization with the straight-through rule: the gradient passes between the outermost levels, ends included.
at::Tensor affineStraightThrough(const at::Tensor &x, const AffineGrid &grid);

/// LSQ (methods.md B13): `scale` is a float32 tensor with one entry per group, `grid` has the same numbers; its
/// gradient is multiplied by `gradientScale`.
at::Tensor learnedStep(const at::Tensor &x, const at::Tensor &scale, const AffineGrid &grid, double gradientScale);

} // namespace bitwright
