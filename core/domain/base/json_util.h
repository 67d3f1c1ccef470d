// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bitwright {

/// Parses one JSON document. Duplicate keys, numbers out of range, nesting beyond 64 levels and anything after the
/// document are errors; `source` (a file's name, "the assignment", …) opens the message.
Result<nlohmann::json> parseJson(std::string_view text, const std::string &source);

/// Indented text with a stable key order: `firstKeys` in their order, then the others by alphabet. Lists of plain
/// values stand on one line. Text that is not UTF-8 is replaced, never thrown on.
std::string prettyJson(const nlohmann::json &value, const std::vector<std::string> &firstKeys = {});

/// A number that is finite.
Result<double> jsonNumber(const nlohmann::json &value);
/// An integer that fits 64 bits; 4.0 is one, 4.5 and 1e30 are not.
Result<std::int64_t> jsonInteger(const nlohmann::json &value);
/// The value as one would name it in a message: its own text, cut after 40 characters.
std::string jsonExcerpt(const nlohmann::json &value);

} // namespace bitwright
