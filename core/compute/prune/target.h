// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "network/model_summary.h"
#include "prune/pruner.h"

#include <string>
#include <vector>

namespace bitwright {

/// What a wanted reduction is counted in.
enum class PruneTarget { Share, Size, Bops };
Result<PruneTarget> pruneTargetFromName(const std::string &name);   ///< share, size, bops
const char *pruneTargetName(PruneTarget target);

/// One act of pruning, whatever the criterion.
struct PruneOrder {
    std::string method;
    ParamValues options;
    PruneScope scope = PruneScope::Layer;
    PruneTarget target = PruneTarget::Share;
    double amount = 0;                  ///< of Size and Bops: the share of them that shall go, 0 to below 1
};

struct TargetedMasks {
    std::vector<Mask> masks;            ///< parallel to the tasks
    std::vector<double> sparsities;     ///< with which they were made
    double achieved = 0;                ///< the share of what the target counts that is gone
};

/// Masks that take away the wanted part. Under Share each task's own sparsity holds. Under Size and Bops the sparsities of
/// the tasks are proportions: they are scaled together, and bisection finds the smallest scale that takes `amount` of the
/// bytes (BOPs) that the network has under `base` without masks on these layers; `achieved` is at least that, and as close
/// as parts of the masks allow. Errors: those of pruneMasks(), an amount that this criterion cannot reach.
Result<TargetedMasks> masksForTarget(const PruneOrder &order, std::vector<PruneTask> tasks, const ModelSummary &model,
                                     const ResolvedConfig &base, bool foldBatchNorm, const JobContext &context);

} // namespace bitwright
