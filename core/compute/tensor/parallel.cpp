// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/parallel.h"

#include <ATen/Parallel.h>

namespace bitwright {

void parallelRanges(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)> &body)
{
    at::parallel_for(0, count, grain, [&](std::int64_t begin, std::int64_t end) { body(begin, end); });
}

} // namespace bitwright
