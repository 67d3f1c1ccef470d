// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "catalog/method_traits.h"

#include <map>
#include <string>

namespace bitwright {

/// An option of a method from text, as on the command line. Errors: the method has none of that name, what parseParam() says.
Result<ParamValue> optionFromText(const MethodTraits &method, const std::string &name, const std::string &text);

/// All of them; those missing stay missing.
Result<ParamValues> optionsFromText(const MethodTraits &method, const std::map<std::string, std::string> &options);

} // namespace bitwright
