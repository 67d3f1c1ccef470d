// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// What the Python dictionary at the start of a .npy file says.
struct NpyHeader {
    char byteOrder = '|';           ///< '<', '>', '|' or '='
    char kind = 'f';                ///< 'b', 'i', 'u', 'f'
    int itemBytes = 4;
    bool fortranOrder = false;
    std::vector<std::int64_t> shape;
    [[nodiscard]] bool swapped() const { return byteOrder == '>' && itemBytes > 1; }
};

/// Parses the dictionary's text; `file` opens the message.
Result<NpyHeader> parseNpyHeader(std::string_view text, const std::string &file);

/// Product of the sizes times `itemBytes`, or an error where that does not fit or a size is negative.
Result<std::int64_t> checkedBytes(const std::vector<std::int64_t> &shape, std::int64_t itemBytes, const std::string &file);

} // namespace bitwright
