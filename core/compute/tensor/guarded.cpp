// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/guarded.h"

namespace bitwright {

std::string firstLine(const char *what)
{
    std::string text(what);
    if (auto end = text.find('\n'); end != std::string::npos)
        text.resize(end);
    constexpr std::size_t kLongest = 300;
    if (text.size() > kLongest)
        text = text.substr(0, kLongest) + "…";
    return text;
}

} // namespace bitwright
