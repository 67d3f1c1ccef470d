// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/dataset.h"
#include "simulate/simulation.h"

namespace bitwright {

/// Re-estimates the running statistics of every batch norm under an assignment (methods.md A6): the network in evaluation
/// mode except its batch norms, the statistics set to the arithmetic mean of the per-batch values over up to `batches`
/// batches. Returns the new buffers by name; nothing is changed in place. Empty where there is none (or it is folded).
Result<ParameterMap> reestimateBatchNorm(const Network &network, const Simulation &simulation, const Dataset &data,
                                         std::int64_t batch, std::int64_t batches, const JobContext &context);

} // namespace bitwright
