// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <functional>
#include <string>
#include <string_view>

namespace bitwright {

/// Writes `bytes` to a temporary file beside `path`, lets `check` read it back, then renames it over `path`. Whatever
/// fails, `path` is as it was and nothing is left lying; that a file which is open has changed is a failure too.
Status writeChecked(const std::string &path, std::string_view bytes, const std::function<Status(const std::string &)> &check);

} // namespace bitwright
