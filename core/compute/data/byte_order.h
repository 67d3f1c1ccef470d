// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>

namespace bitwright {

/// Turns the byte order of `count` numbers of `itemBytes` bytes each.
inline void swapBytes(void *data, std::int64_t count, std::int64_t itemBytes)
{
    auto *bytes = static_cast<unsigned char *>(data);
    for (std::int64_t i = 0; i < count; ++i, bytes += itemBytes)
        std::reverse(bytes, bytes + itemBytes);
}

} // namespace bitwright
