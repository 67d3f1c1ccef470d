// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace bitwright {

/// Weights states are named by the engine. One that belongs to a network made by surgery ends in that network's name, which
/// begins with this; so a name alone says which network it fits, in a trial and in a session file too.
inline constexpr const char *kCutPrefix = "cut ";

/// The network of a weights state: "" for the one that was opened.
std::string networkOf(const std::string &weights);
/// `what` as the name of a state of this network.
std::string stateOfNetwork(const std::string &what, const std::string &network);

} // namespace bitwright
