// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"
#include "trial/trial_record.h"

#include <cstddef>
#include <string>
#include <vector>

namespace bitwright {

/// The trial that measured exactly this assignment on this network with these weights: every method, width, option,
/// value and mask the same. Of several the one on the most samples, then the newest, of the first metric of top1,
/// agreement, top5, sqnr that there is. Null where there is none.
const TrialRecord *measuredTrial(const std::vector<TrialRecord> &trials, const ModelSummary &model, const ModelConfig &config,
                                 const std::string &weights, const Catalog &catalog);

/// The assignment without the values of its inputs, as if it had never been calibrated.
ModelConfig withoutRanges(ModelConfig config);
/// How many layers' inputs have values at all.
std::ptrdiff_t rangeCount(const ResolvedConfig &config);
/// How many of them have the same in both, to float rounding. A few agree by chance (pixels end at 0 and 1 everywhere):
/// only most of them together say that the same data made both.
std::ptrdiff_t sharedRanges(const ResolvedConfig &a, const ResolvedConfig &b);

} // namespace bitwright
