// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tensor/sorted_values.h"

#include <span>
#include <vector>

namespace bitwright {

/// The `count` levels of least squared error for weighted points in ascending order: in one dimension k-means is solved
/// exactly by dynamic programming over stretches (methods.md B1). Fewer distinct points than levels: the last repeats.
/// O(count n log n) time, 4 count n bytes.
std::vector<float> optimalLevels(std::span<const double> points, std::span<const double> weights, std::size_t count);

/// The same for a tensor: exact up to some ten thousand distinct values (fewer for many levels); beyond that on as many
/// means of neighbours, then Lloyd's rounds on all values, within 0.5 % of the least error.
std::vector<float> optimalLevels(const SortedValues &x, std::size_t count);

} // namespace bitwright
