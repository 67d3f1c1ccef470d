// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "cost/size_model.h"
#include "search/sensitivity.h"
#include "search/sweep.h"
#include "simulate/evaluator.h"
#include "trial/trial_record.h"

#include <string>

namespace bitwright {

/// What a trial says besides its numbers.
struct TrialContext {
    std::string kind = "evaluation";
    std::string data;
    std::string weights;
    std::uint64_t seed = 0;
    std::int64_t epoch = -1;
};

/// A record of one estimate under a complete assignment.
TrialRecord makeTrial(const ModelSummary &model, const ModelConfig &config, const ModelCost &cost, Metric metric,
                      const Estimate &estimate, const TrialContext &context);

/// A record of one finished point of a sweep.
TrialRecord sweepTrial(const ModelSummary &model, const SweepResult &point, Metric metric, const std::string &data,
                       std::uint64_t seed);

/// The same of a pruned layer.
TrialRecord sensitivityTrial(const ModelSummary &model, const SensitivityResult &point, Metric metric, const std::string &data,
                             std::uint64_t seed);

/// "bitwright 0.1.0, libtorch 2.13.0".
std::string versionsText();
/// Now, "2026-01-31T12:00:00Z".
std::string timeText();
/// top1 with labels, agreement without; sqnr where the network gives no score vector per sample (one sample may be run to
/// know).
Result<Metric> defaultMetric(const Network &network, const Dataset &data, const JobContext &context);

} // namespace bitwright
