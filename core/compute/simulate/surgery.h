// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "simulate/masking.h"

#include <map>
#include <memory>
#include <string>

namespace bitwright {

/// A network without the channels that its masks had emptied, and the assignment that goes on with it.
struct CutNetwork {
    std::shared_ptr<const Network> network;
    ModelConfig config;                 ///< masks that are used up are gone, others and per-channel values are cut to size
    std::int64_t removedUnits = 0;
    double maxAbsDifference = 0;        ///< of the masked network's outputs, on one sample
};

/// Surgery (methods.md D4): takes out every unit of which all layers are emptied by masks that remove channels, so that the
/// smaller network answers what the masked one did. Other masks stay as zeros and in the assignment. The result is
/// run beside the masked network before it is handed out. Errors: nothing to remove, a network that cannot be followed.
/// `name` becomes the summary's path.
Result<CutNetwork> cutNetwork(const Network &network, const ModelConfig &config, const WeightsState &state, const std::string &name,
                              const JobContext &context = {});

} // namespace bitwright
