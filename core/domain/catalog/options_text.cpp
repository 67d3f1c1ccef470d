// SPDX-License-Identifier: GPL-3.0-or-later
#include "catalog/options_text.h"

namespace bitwright {

Result<ParamValue> optionFromText(const MethodTraits &method, const std::string &name, const std::string &text)
{
    const ParamSpec *option = method.option(name);
    if (!option)
        return fail(ErrorKind::Invalid, "option " + name + ", method " + method.id + " has none of that name; see the list of methods");
    return parseParam(*option, text);
}

Result<ParamValues> optionsFromText(const MethodTraits &method, const std::map<std::string, std::string> &options)
{
    ParamValues values;
    for (const auto &[name, text] : options)
        {
            BW_ASSIGN(values[name], optionFromText(method, name, text));
        }
    return values;
}

} // namespace bitwright
