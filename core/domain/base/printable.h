// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bitwright {

/// Text that came out of a file as one line for people: control characters and bytes that are no UTF-8 become "\x1b",
/// what passes `most` bytes is cut and ends with "…". Terminals obey such characters, and names of tensors may hold any.
std::string printable(std::string_view text, std::size_t most = 1000);
/// The same for text of several lines, uncut.
std::string printableLines(std::string_view text);

} // namespace bitwright
