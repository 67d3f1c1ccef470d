// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "simulate/masking.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/trainer.h"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace bitwright {

/// Everything that a training run changes: variables, buffers, quantizers with their learned values, optimizer.
class TrainingState {
public:
    static Result<std::unique_ptr<TrainingState>> make(const FineTuneInput &input);

    /// Before the forward pass of a training step; `clock.site` is ours to set.
    void beginStep(TrainingClock clock);
    /// One pass over a batch; scores with gradients when grad mode is on.
    Result<at::Tensor> forward(const at::Tensor &batch, std::stop_token stop);
    /// The same for all inputs of a network; the scores have their samples in dimension 0.
    Result<at::Tensor> forward(const std::vector<c10::IValue> &inputs, std::int64_t samples, std::stop_token stop);
    void step(double learningRate);
    /// A copy of the variables and buffers by the original names; what is pruned is zero in it.
    [[nodiscard]] ParameterMap snapshot() const;
    void setBuffers(const ParameterMap &buffers);
    /// The assignment to evaluate with: learned and given values; weights that follow have none.
    [[nodiscard]] ResolvedConfig evaluationConfig() const;

    /// The next passes note what each weight's quantizer passes back.
    void traceGradients(bool on) { m_traceGradients = on; }
    /// What the last such pass noted, by layer; a quantizer that passes nothing back is left out.
    [[nodiscard]] const std::map<std::string, Histogram> &tracedGradients() const { return m_gradients; }

    [[nodiscard]] TensorArchive save() const;
    Status restore(const TensorArchive &archive, const std::string &path);

    // ---- what policies work with ----

    [[nodiscard]] const Network &network() const { return *m_input->network; }
    [[nodiscard]] bool folded() const { return m_input->foldBatchNorm; }
    /// A variable by its name in the original graph, or undefined. It shares its storage and gradient with the training.
    [[nodiscard]] at::Tensor variable(const std::string &name) const;
    /// The weights as they are now; the tensors are shared, not copied.
    [[nodiscard]] WeightsState weights() const;
    /// How a layer is pruned now; none for a layer without a mask.
    [[nodiscard]] PruneSpec pruning(const std::string &layer) const;
    /// Other masks for these layers, used from the next forward pass on; they stand in evaluationConfig(). Held masks zero
    /// weight, gradient and the optimizer's state of what they prune.
    Status setPruning(const std::map<std::string, PruneSpec> &masks);
    /// True: what is pruned is zero for the network but goes on learning behind it (straight-through), so that a later mask
    /// may bring it back. False, as at the start: it is held at zero. To be set before holdMasks().
    void letRegrow(bool regrow) { m_regrow = regrow; }
    /// Puts pruned weights to zero where masks are held; once, after policies said what they want.
    void holdMasks();
    /// Keep the inputs of these layers (before they are quantized) of each training pass.
    void watchInputs(const std::vector<std::size_t> &bindings);
    /// What the last pass saw, by binding, with gradient.
    [[nodiscard]] const std::map<std::size_t, at::Tensor> &watched() const { return m_watched; }

private:
    TrainingState() = default;
    void holdShared(ParameterMap &copy) const;
    Status makeQuantizers();
    Status makeVariables();
    Status quantizeWeights(std::vector<at::Tensor> &bound);
    void applyMask(const LayerMask &mask, std::vector<at::Tensor> &bound) const;
    void holdMask(const LayerMask &mask);
    using Masked = std::function<void(const std::string &name, const at::Tensor &stays)>;
    void eachMasked(const LayerMask &mask, const Masked &visit) const;

    struct Slot {
        std::unique_ptr<Quantizer> weight, activation;
        LayerMask mask;
        bool weightFollows = false;     ///< values are taken from the weight at each step
        std::vector<Learnable> learnables;
        at::Tensor secondMoment;        ///< running mean of the squared gradient at the quantized weight, where it is wanted
        at::Tensor momentSteps;         ///< how many gradients it has seen, int64
        [[nodiscard]] std::vector<Learnable> running() const;
    };
    at::Tensor quantizedWeight(Slot &slot, const at::Tensor &weight) const;
    at::Tensor traced(const at::Tensor &weight, const std::string &layer);
    const FineTuneInput *m_input = nullptr;
    ResolvedConfig m_config;            ///< the input's with every mask made
    ParameterMap m_variables;           ///< every parameter and buffer of the original graph, ours to change
    std::vector<Slot> m_slots;          ///< by binding
    LayerMask m_silenced;               ///< what removed channels silence beyond their layers
    std::unique_ptr<Optimizer> m_optimizer;
    Tap m_tap;
    bool m_regrow = false;
    bool m_traceGradients = false;
    std::map<std::string, Histogram> m_gradients;
    std::set<std::size_t> m_watch;
    std::map<std::size_t, at::Tensor> m_watched;
};

} // namespace bitwright
