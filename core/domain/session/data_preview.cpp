// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/data_preview.h"

#include <set>

namespace bitwright {

bool InputNeed::isWhole() const
{
    return info.dtype.starts_with("int") || info.dtype.starts_with("uint");
}

bool InputNeed::isFlag() const
{
    return info.dtype == "bool";
}

std::string dataNameOf(const std::string &input, std::size_t index)
{
    static const std::set<std::string> kOptions{"count", "seed", "low", "high", "mean", "std", "limit", "first"};
    const bool reads = !input.empty() && input.find_first_of(",= \t\n") == std::string::npos && !kOptions.contains(input);
    return reads ? input : "in" + std::to_string(index);
}

bool isRandomData(const std::string &spec)
{
    return spec == "random" || spec.starts_with("random:");
}

std::string dataLabel(const std::string &spec)
{
    return isRandomData(spec) ? "random data (" + spec + ")" : spec;
}

} // namespace bitwright
