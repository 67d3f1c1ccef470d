// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/dataset.h"
#include "quant/quantizer.h"
#include "quant/site_statistics.h"
#include "simulate/network.h"
#include "simulate/simulation.h"

#include <map>
#include <string>

namespace bitwright {

/// What was streamed over the inputs of the layers, by layer name.
using ActivationStatistics = std::map<std::string, SiteStatistics>;

inline constexpr std::int64_t kCalibrationSamples = 512;

/// Streams the inputs of all quantizable layers of the float network over the first `samples` rows (0: all).
/// Memory does not grow with the number of images.
Result<ActivationStatistics> collectActivations(const Network &network, bool folded, const WeightsState &state,
                                                const Dataset &data, std::int64_t samples, const JobContext &context);

/// True when some activation that is quantized lacks its values.
Result<bool> needsActivations(const Network &network, const ResolvedConfig &config);

/// Fills in the values of every quantized activation that lacks them.
Status fillActivations(ResolvedConfig &config, const Network &network, const ActivationStatistics &statistics);

/// Fills in the values of every quantized weight that lacks them, from the weights of `state`.
Status fillWeights(ResolvedConfig &config, std::shared_ptr<const Network> network, bool folded, const WeightsState &state);

/// `config` with the values of `resolved` written into the layers' entries (weights only where `weights` is set).
ModelConfig withValues(ModelConfig config, const ResolvedConfig &resolved, bool weights);

} // namespace bitwright
