// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/weights_name.h"

namespace bitwright {

namespace {
constexpr const char *kOf = " of ";
}

std::string networkOf(const std::string &weights)
{
    if (weights.starts_with(kCutPrefix))
        return weights;
    const auto at = weights.rfind(std::string(kOf) + kCutPrefix);
    return at == std::string::npos ? std::string() : weights.substr(at + std::string(kOf).size());
}

std::string stateOfNetwork(const std::string &what, const std::string &network)
{
    return network.empty() ? what : what + kOf + network;
}

} // namespace bitwright
