// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "network/model_summary.h"

#include <ATen/core/Tensor.h>

#include <string>

namespace bitwright {

/// "28×28×1", sizes that are free as "?".
std::string shapeText(const Shape &shape);

/// Brings raw samples to what the network reads: (N,H,W) becomes N×1×H×W, (N,H,W,C) with C of 1, 3 or 4 becomes
/// N×C×H×W where the network wants that. `wanted` is the network's input shape with the batch first, empty when unknown.
/// A shape that does not fit is an error that gives both.
Result<at::Tensor> fitShape(const at::Tensor &images, const Shape &wanted, const std::string &spec);

/// Labels as int64 [N]: whole numbers from 0, as many as there are images.
Result<at::Tensor> fitLabels(const at::Tensor &labels, std::int64_t images, const std::string &spec);

} // namespace bitwright
