// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/dataset.h"
#include "simulate/simulation.h"

#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// What a closed-form repair works on: a network under a complete assignment (activations hold their values).
struct CorrectInput {
    std::shared_ptr<const Network> network;
    ResolvedConfig config;
    bool foldBatchNorm = false;
    WeightsState start;
    std::shared_ptr<const Dataset> data;
    std::int64_t samples = 2048;        ///< 0: all
};

struct Correction {
    ParameterMap parameters;            ///< the tensors of `start` with the repaired ones in their place
    std::vector<std::string> changed;   ///< names of what was repaired
    std::vector<std::string> notes;     ///< sentences for people: what was left alone and why
};

/// Batch-norm statistics re-estimated (methods.md A6). Error where the network has none, or they are folded.
Result<Correction> batchNormStep(const CorrectInput &input, const JobContext &context);

/// Biases corrected layer by layer (methods.md C1). Error where no layer can be corrected.
Result<Correction> biasStep(const CorrectInput &input, const JobContext &context);

} // namespace bitwright
