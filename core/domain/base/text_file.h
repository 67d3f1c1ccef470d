// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bitwright {

/// Reads a whole file of at most `limit` bytes; the error names the file.
Result<std::string> readTextFile(const std::string &path, std::uint64_t limit);
/// Writes beside the target and renames, so that a full disk or a crash leaves the old file as it was.
Status writeTextFile(const std::string &path, std::string_view text);

} // namespace bitwright
