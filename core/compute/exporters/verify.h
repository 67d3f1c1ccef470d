// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "session/engine_api.h"
#include "simulate/network.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bitwright {

/// What the simulation gives for one batch.
struct SimulationTrace {
    at::Tensor output;                                              ///< the first output
    std::map<std::string, std::vector<at::Tensor>> quantizedInputs; ///< by layer, one per call; float layers are left out
};
using Simulate = std::function<Result<SimulationTrace>(const at::Tensor &input)>;

struct VerifyInput {
    std::string path;
    std::string format = "onnx";        ///< onnx, torchscript, pt2, pack
    at::Tensor inputs;                  ///< all samples; dimension 0 counts them
    std::int64_t batch = 64;
    int threads = 1;                    ///< of the file's runtime
    bool ownReaderOnly = false;         ///< do not look for another runtime
    Simulate simulate;
    /// Of a pack: the network that it belongs to, and the simulation's weights by name.
    std::shared_ptr<const Network> network = {};
    ParameterMap weights = {};
};

struct VerifyReport {
    std::int64_t samples = 0;
    double maxAbsDifference = 0;        ///< of the first output
    double top1Agreement = 0;           ///< share of samples whose largest score is at the same place
    std::int64_t differingLevels = 0;   ///< activation codes that differ, all layers together; of a pack: weights
    std::string firstDifferingLayer;    ///< in the order of the file; empty when none differs
    std::string runtime;                ///< "ONNX Runtime 1.32.0", "LibTorch", "Bitwright reader"
    std::vector<LayerAgreement> layers;
    std::vector<std::string> notes;     ///< why another runtime was not used
};

/// Runs a written file with its own runtime (or, where there is none, our reader) beside the simulation.
Result<VerifyReport> verifyFile(const VerifyInput &input, const JobContext &context);

} // namespace bitwright
