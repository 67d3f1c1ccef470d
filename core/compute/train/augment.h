// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/dataset.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <random>
#include <vector>

namespace bitwright {

/// A permutation of 0…count-1, the same for the same seed and epoch on every machine.
std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed, std::int64_t epoch);

/// Moves each image of a [N, C, H, W] batch by up to `pixels` in both directions and flips half of them. What moves in
/// is a raw zero after preprocessing. Other shapes are returned as they are.
at::Tensor shiftAndFlip(const at::Tensor &batch, const Preprocessing &preprocessing, int pixels, bool flip,
                        std::mt19937_64 &random);

} // namespace bitwright
