// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// A tensor in training and how it is treated.
struct TrainedTensor {
    std::string name;
    at::Tensor tensor;        ///< leaf with gradient
    bool decay = true;        ///< false for batch norm, biases, scales and clips (methods.md A4)
    double rateFactor = 1;    ///< times the run's learning rate
};

/// SGD with momentum or Adam over named tensors; its state can be saved and restored.
class Optimizer {
public:
    virtual ~Optimizer() = default;
    /// One step with the gradients that stand in the tensors; clears them.
    virtual void step(double learningRate) = 0;
    /// Forgets what it remembers of the entries of a tensor that do not stay, and their gradient.
    virtual void hold(const std::string &name, const at::Tensor &stays) = 0;
    [[nodiscard]] virtual std::map<std::string, at::Tensor> state() const = 0;
    virtual void restore(const std::map<std::string, at::Tensor> &state) = 0;
};

/// "sgd" or "adam"; an unknown name or a senseless setting is an error.
Result<std::unique_ptr<Optimizer>> makeOptimizer(const FineTuneOptions &options, std::vector<TrainedTensor> tensors);

/// The rate at a step: constant; step (a tenth after half, a hundredth after three quarters); cosine to zero.
double learningRate(const FineTuneOptions &options, std::int64_t step, std::int64_t totalSteps);

/// Checks the options that makeOptimizer does not see.
Status checkOptions(const FineTuneOptions &options);

} // namespace bitwright
