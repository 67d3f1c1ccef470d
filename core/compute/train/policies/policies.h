// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/params.h"
#include "train/policy.h"
#include "train/trainer.h"

#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// How a recipe of the catalog is made. Its options are complete; errors name recipe and option.
struct PolicyRow {
    std::string id;
    Result<std::unique_ptr<TrainingPolicy>> (*make)(const ParamValues &options, const FineTuneInput &input) = nullptr;
};

/// One row for each recipe of recipeTraits(), in its order.
const std::vector<PolicyRow> &policyRows();

// One function per recipe, each in a file of its name.
PolicyRow distillRow();
PolicyRow gradualRow();
PolicyRow alternateRow();
PolicyRow slimmingTermRow();

/// The policies of a run in the order of its recipes. Errors: an unknown recipe or option, two that clash.
Result<std::vector<std::unique_ptr<TrainingPolicy>>> makePolicies(const FineTuneInput &input);

/// What teacher and temperature make of scores [N, C, …], mean over all but the classes:
/// T² KL(softmax(z_t / T) || softmax(z_s / T)) (Hinton 2015). Of one number a sample, half the mean square of the difference.
at::Tensor distillationLoss(const at::Tensor &scores, const at::Tensor &teacher, double temperature);

/// Zhu and Gupta's curve: from `initial` to `final` while `progress` goes from 0 to 1, constant outside.
double cubicSparsity(double initial, double final, double progress);

/// The share after round `round` (from 1) of `rounds`, each of which prunes the same part of what is left.
double roundSparsity(double initial, double final, std::int64_t round, std::int64_t rounds);

/// gradient += strength sign(scale) (Liu 2017); nothing where there is no gradient.
void addScalePenalty(const at::Tensor &scale, double strength);

} // namespace bitwright
