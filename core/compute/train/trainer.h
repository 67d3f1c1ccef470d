// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"
#include "simulate/evaluator.h"
#include "train/optimizer.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitwright {

struct FineTuneInput {
    std::shared_ptr<const Network> network;
    WeightsState start;
    /// Activations hold their values. Weight values that are missing follow the weights at each step; those that are there
    /// stay, unless the method learns them.
    ResolvedConfig config;
    bool foldBatchNorm = false;
    FineTuneOptions options;
    std::shared_ptr<const Dataset> training;
    /// What distillation learns from, as its file has it; null for the network itself. One that was cut has its uncut one.
    std::shared_ptr<const Network> teacher = {};
    Evaluator *evaluation = nullptr;    ///< may be null: then epochs report the loss alone
    Metric metric = Metric::Top1;
    std::int64_t evaluationLimit = 0;
    std::string checkpoint;             ///< written after each epoch; "" for none
    bool resume = false;                ///< go on from the checkpoint where it is there and fits
};

struct StepReport {
    std::int64_t step = 0, totalSteps = 0;
    int epoch = 0;                      ///< from 1
    double loss = 0, accuracy = 0, learningRate = 0;   ///< accuracy: NaN without labels
    std::string recipes = {};           ///< what the recipes are doing; may be empty
};

struct EpochReport {
    int epoch = 0;                      ///< from 1
    double loss = 0;                    ///< mean over the epoch
    Estimate estimate;                  ///< of the evaluation after it
    bool evaluated = false;
    ResolvedConfig config;              ///< with all values, weights included
    std::shared_ptr<const WeightsState> state;
    std::int64_t sizeBytes = 0;         ///< under the masks of this epoch
    std::map<std::string, double> numbers = {};   ///< what recipes measured
    std::map<std::string, WeightTrace> traces = {};   ///< by layer, quantized weights only; empty where it was resumed
    bool resumed = false;               ///< read from the checkpoint, not trained now
};

struct FineTuneCallbacks {
    std::function<void(const StepReport &)> step;
    std::function<void(const EpochReport &)> epoch;
};

struct FineTuneResult {
    std::vector<EpochReport> history;
    std::shared_ptr<const WeightsState> state;
    ResolvedConfig config;              ///< complete: evaluating `state` under it gives what the last epoch reported
};

/// Quantization-aware training (straight-through, or learned step where the spec says so): forward through the quantized
/// weights and activations, backward by each method's rule, the float weights of the start untouched. With folded batch
/// norm the folded weight is what is quantized and the running statistics are frozen. All randomness comes from the seed,
/// epoch and step, so a resumed run equals one that was not interrupted. The recipes of the options join in their order;
/// data without labels needs one that does without (distillation).
Result<FineTuneResult> fineTune(const FineTuneInput &input, const JobContext &context, const FineTuneCallbacks &callbacks);

} // namespace bitwright
