// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

namespace bitwright {

/// The entries joined by ", ".
std::string joinNames(const std::vector<std::string> &names);
/// The candidate closest to a misspelt name, or empty when none is near.
std::string closestName(const std::string &name, const std::vector<std::string> &candidates);

} // namespace bitwright
