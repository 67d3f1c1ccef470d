// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <functional>
#include <string>

namespace bitwright {

/// Lets `write` make a file of another name beside `path`, brings it to the disk and renames it over `path`. Whatever
/// fails or is killed, `path` is as it was; on failure nothing is left lying. A link is followed, so that what it names
/// is replaced and not the link; folders, devices and pipes are refused.
Status replaceFile(const std::string &path, const std::function<Status(const std::string &temporary)> &write);

/// Whether replaceFile could write there; for work whose result would be lost if it could not.
Status canReplace(const std::string &path);
/// An error where `target` is the file `source` itself, under whatever name: what is open is never written over.
Status notOver(const std::string &source, const std::string &target);

} // namespace bitwright
