// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/dataset.h"
#include "simulate/simulation.h"

#include <string>
#include <vector>

namespace bitwright {

struct BiasCorrection {
    ParameterMap parameters;            ///< the corrected biases and betas, by name
    std::vector<std::string> corrected; ///< layers
    /// Layers that were left alone, each with the reason as a sentence.
    std::vector<std::pair<std::string, std::string>> skipped;
};

/// Empirical bias correction (methods.md C1): layer after layer in execution order, each behind the already corrected ones,
/// the mean of every output channel over `samples` rows (0: all) is brought to what the float network has under the same
/// `state`. The correction goes into beta where a batch norm follows, else into the bias. Channels that a structured mask
/// silenced stay silent. Nothing is changed in place. Errors: no samples, a network with several inputs.
Result<BiasCorrection> correctBias(std::shared_ptr<const Network> network, const ResolvedConfig &config, bool folded,
                                   const WeightsState &state, const Dataset &data, std::int64_t samples, const JobContext &context);

} // namespace bitwright
