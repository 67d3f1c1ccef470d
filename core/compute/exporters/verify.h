// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "config/model_config.h"
#include "session/engine_api.h"
#include "simulate/network.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bitwright {

/// One batch: a value per input of the network, in order.
using NetworkInputs = std::vector<c10::IValue>;

/// What the simulation gives for one batch.
struct SimulationTrace {
    at::Tensor output;                                              ///< the first output
    std::map<std::string, std::vector<at::Tensor>> quantizedInputs; ///< by layer, one per call; float layers are left out
};
using Simulate = std::function<Result<SimulationTrace>(const NetworkInputs &inputs)>;
/// The input of a layer's call as it is before it is quantized.
using Unquantized = std::function<Result<at::Tensor>(const std::string &layer, int call, const NetworkInputs &inputs)>;

struct VerifyInput {
    std::string path;
    std::string format = "onnx";        ///< onnx, torchscript, pt2, pack, state_dict, safetensors
    at::Tensor inputs;                  ///< all samples of a network of one input; dimension 0 counts them
    /// Of a network of several inputs: `samples` of them, given as batches of `count` from `first`.
    std::int64_t samples = 0;
    std::function<Result<NetworkInputs>(std::int64_t first, std::int64_t count)> rows = {};
    std::int64_t batch = 64;
    int threads = 1;                    ///< of the file's runtime
    bool ownReaderOnly = false;         ///< do not look for another runtime
    Simulate simulate;
    Unquantized unquantized = {};       ///< to tell a rounding from a defect; may be missing
    /// Of files of weights: the network that they belong to, how it quantizes inputs, and the simulation's weights by name.
    std::shared_ptr<const Network> network = {};
    bool foldBatchNorm = false;
    ResolvedConfig config = {};
    ParameterMap weights = {};
};

struct VerifyReport {
    std::int64_t samples = 0;           ///< 0 where a file of weights was compared and no network run
    double maxAbsDifference = 0;        ///< of the first output; of a file of weights without samples: of its tensors
    double top1Agreement = 0;           ///< share of samples whose largest score is at the same place
    std::int64_t differingLevels = 0;   ///< activation codes that differ, all layers together; of a pack or state dict: weights
    std::int64_t differingSamples = 0;  ///< samples in which a code differs
    std::string firstDifferingLayer;    ///< in the order of the file; empty when none differs
    std::string reason;                 ///< why that one differs, one sentence; empty when none does or nothing is known
    std::string runtime;                ///< "ONNX Runtime 1.32.0", "LibTorch", "Bitwright reader"
    std::vector<LayerAgreement> layers;
    std::vector<std::string> notes;     ///< why another runtime was not used
};

/// Runs a written file with its own runtime (or, where there is none, our reader) beside the simulation. Files of weights
/// are read by their own library and by our reader, compared tensor by tensor and then run in the network; without
/// samples they are only compared.
Result<VerifyReport> verifyFile(const VerifyInput &input, const JobContext &context);

} // namespace bitwright
