// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <ATen/core/Tensor.h>

namespace bitwright {

/// What criteria that need data look at, of one layer: means over calibration batches, float32. Undefined where no data was
/// run or the network has no such thing.
struct SiteEvidence {
    at::Tensor gradient = {};            ///< of the loss, shape of the weight
    at::Tensor gradientMagnitude = {};   ///< mean of |g| over the batches
    at::Tensor gradientSquare = {};      ///< mean of g² over the batches
    at::Tensor activationTaylor = {};    ///< per output channel: mean |z dL/dz| behind batch norm and activation
    at::Tensor zeroShare = {};           ///< per output channel: share of zeros behind the ReLU that the layer reaches first
    [[nodiscard]] bool defined() const { return gradient.defined(); }
};

} // namespace bitwright
