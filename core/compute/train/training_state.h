// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "simulate/masking.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/trainer.h"

#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// Everything that a training run changes: variables, buffers, quantizers with their learned values, optimizer.
class TrainingState {
public:
    static Result<std::unique_ptr<TrainingState>> make(const FineTuneInput &input);

    /// One pass over a batch; scores with gradients when grad mode is on.
    Result<at::Tensor> forward(const at::Tensor &batch, std::stop_token stop);
    void step(double learningRate);
    /// A copy of the variables and buffers by the original names.
    [[nodiscard]] ParameterMap snapshot() const;
    void setBuffers(const ParameterMap &buffers);
    /// The assignment to evaluate with: learned and given values; weights that follow have none.
    [[nodiscard]] ResolvedConfig evaluationConfig() const;

    [[nodiscard]] TensorArchive save() const;
    Status restore(const TensorArchive &archive, const std::string &path);

private:
    TrainingState() = default;
    Status makeQuantizers();
    Status makeVariables();
    Status quantizeWeights(std::vector<at::Tensor> &bound);
    void holdMasks();

    struct Slot {
        std::unique_ptr<Quantizer> weight, activation;
        LayerMask mask;
        bool weightFollows = false;     ///< values are taken from the weight at each step
        std::vector<Learnable> learnables;
    };
    const FineTuneInput *m_input = nullptr;
    ResolvedConfig m_config;            ///< the input's with every mask made
    ParameterMap m_variables;           ///< every parameter and buffer of the original graph, ours to change
    std::vector<Slot> m_slots;          ///< by binding
    std::unique_ptr<Optimizer> m_optimizer;
    Tap m_tap;
};

} // namespace bitwright
