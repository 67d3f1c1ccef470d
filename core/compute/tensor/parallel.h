// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>

namespace bitwright {

/// Runs `body(begin, end)` over [0, count) on LibTorch's threads; ranges shorter than `grain` stay on one thread.
/// The split depends on the thread count, so results must not depend on the split.
void parallelRanges(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)> &body);

} // namespace bitwright
