// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <vector>

namespace bitwright {

/// One point of the trade-off: what it costs and what it brings.
struct SizeValue {
    double size = 0;
    double value = 0;
    friend bool operator==(const SizeValue &, const SizeValue &) = default;
};

/// Indices of the points that no other beats (smaller or equal, and better or equal, and not the same), by growing
/// size. Of equal points the first counts; points that are not finite never do.
std::vector<std::size_t> paretoFront(const std::vector<SizeValue> &points, bool higherIsBetter = true);

} // namespace bitwright
