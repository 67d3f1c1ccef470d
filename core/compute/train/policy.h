// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "base/result.h"
#include "graph/graph.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitwright {

class TrainingState;
struct FineTuneInput;

/// The run as a policy sees it before it begins.
struct RunPlan {
    const FineTuneInput &input;         ///< outlives the policy
    std::int64_t batch = 1, stepsPerEpoch = 0, totalSteps = 0;
};

/// One mini-batch between forward and backward.
struct StepBatch {
    at::Tensor rows;                    ///< of the training data
    std::vector<c10::IValue> inputs;    ///< as the network got them, augmented
    at::Tensor scores;                  ///< what it answered, with gradient
};

/// How training is steered beside the plain loss: hooks around the mini-batch, called in this order. A policy owns the
/// state of its schedule; whatever of it a checkpoint needs goes through save() and restore(), so that a resumed run
/// equals one that was not interrupted. One run, one object, one thread.
class TrainingPolicy {
public:
    virtual ~TrainingPolicy() = default;

    /// Once, with the weights that training starts from.
    virtual Status beginRun(TrainingState &, const RunPlan &, const JobContext &) { return {}; }
    /// `epoch` counts from 1.
    virtual Status beginEpoch(TrainingState &, int /*epoch*/) { return {}; }
    /// Before the forward pass; `step` counts from 0 over the whole run.
    virtual Status beginStep(TrainingState &, std::int64_t /*step*/) { return {}; }
    /// The share of the loss on the labels that stays; 0 where none are needed.
    [[nodiscard]] virtual double labelWeight() const { return 1; }
    /// Joins the loss, with gradient; undefined for nothing.
    virtual Result<at::Tensor> extraLoss(TrainingState &, const StepBatch &, const JobContext &) { return at::Tensor(); }
    /// After backward, before the optimizer: gradients may be changed.
    virtual Status beforeStep(TrainingState &) { return {}; }
    /// After the optimizer: weights may be changed.
    virtual Status afterStep(TrainingState &) { return {}; }
    /// Before the epoch is evaluated.
    virtual Status endEpoch(TrainingState &, int /*epoch*/) { return {}; }

    /// What it is doing now, a few words; may be empty.
    [[nodiscard]] virtual std::string doing() const { return {}; }
    /// What the epoch that just ended measured, by names that fit a key of the history.
    [[nodiscard]] virtual std::map<std::string, double> numbers() const { return {}; }

    [[nodiscard]] virtual ParameterMap save() const { return {}; }
    /// After beginRun, with weights and optimizer restored already. Errors name what is missing.
    virtual Status restore(TrainingState &, const ParameterMap &) { return {}; }
};

} // namespace bitwright
