// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "catalog/method_traits.h"

#include <string>

namespace bitwright {

/// The quantizers as a Markdown table, one row each; the id is a link to its page `ID.md` in the same folder.
std::string methodTable(const Catalog &catalog);
/// The same in short, one row a family; `folder` goes before the pages' names ("docs/methods/").
std::string familyTable(const Catalog &catalog, const std::string &folder);

/// What stands between the lines `<!-- methods:begin -->` and `<!-- methods:end -->` of a text, and the text with something
/// else there. An error where the text, named by `source`, does not hold both in this order.
Result<std::string> markedTable(const std::string &text, const std::string &source);
Result<std::string> withMarkedTable(const std::string &text, const std::string &table, const std::string &source);

} // namespace bitwright
