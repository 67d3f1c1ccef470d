// SPDX-License-Identifier: GPL-3.0-or-later
#include "report/measured_trial.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

namespace bitwright {

namespace {

/// A mask that one side has not drawn yet follows from the criterion that both name.
bool samePruning(const PruneSpec &a, const PruneSpec &b)
{
    return a.method == b.method && a.sparsity == b.sparsity && a.options == b.options && (a.mask == b.mask || a.mask.empty() || b.mask.empty());
}

bool sameAssignment(const ResolvedConfig &a, const ResolvedConfig &b)
{
    return std::ranges::equal(a, b, [](const auto &left, const auto &right) {
        return left.first == right.first && left.second.weight == right.second.weight && left.second.activation == right.second.activation &&
               samePruning(left.second.prune, right.second.prune);
    });
}

std::size_t rankOf(const std::string &metric)
{
    static constexpr std::array kOrder{"top1", "agreement", "top5", "sqnr"};
    return std::size_t(std::ranges::find(kOrder, metric) - kOrder.begin());
}

bool sameValues(const std::vector<double> &a, const std::vector<double> &b)
{
    return std::ranges::equal(a, b, [](double x, double y) { return std::abs(x - y) <= 1e-6 * std::max(std::abs(x), std::abs(y)); });
}

} // namespace

const TrialRecord *measuredTrial(const std::vector<TrialRecord> &trials, const ModelSummary &model, const ModelConfig &config,
                                 const std::string &weights, const Catalog &catalog)
{
    const auto wanted = resolve(config, model, catalog);
    if (!wanted)
        return nullptr;
    const TrialRecord *best = nullptr;
    const auto worth = [](const TrialRecord &trial) { return std::tuple(-std::int64_t(rankOf(trial.metric)), trial.samples, trial.id); };
    for (const TrialRecord &trial : trials) {
        if (trial.modelSha != model.sha256 || trial.weights != weights || (best && worth(trial) < worth(*best)))
            continue;
        const auto measured = configFromText(trial.assignment, "trial", catalog);
        if (!measured || measured->foldBatchNorm != config.foldBatchNorm)
            continue;
        const auto resolved = resolve(*measured, model, catalog);
        if (resolved && sameAssignment(*resolved, *wanted))
            best = &trial;
    }
    return best;
}

ModelConfig withoutRanges(ModelConfig config)
{
    config.defaults.activation.values.clear();
    for (auto &[name, patch] : config.layers)
        patch.activation.values.clear();
    return config;
}

std::ptrdiff_t rangeCount(const ResolvedConfig &config)
{
    return std::ranges::count_if(config, [](const auto &entry) { return !entry.second.activation.isFloat() && !entry.second.activation.values.empty(); });
}

std::ptrdiff_t sharedRanges(const ResolvedConfig &a, const ResolvedConfig &b)
{
    return std::ranges::count_if(a, [&](const auto &entry) {
        const QuantSpec &spec = entry.second.activation;
        const auto other = b.find(entry.first);
        return !spec.isFloat() && !spec.values.empty() && other != b.end() && other->second.activation.method == spec.method &&
               std::ranges::equal(spec.values, other->second.activation.values, [](const auto &left, const auto &right) {
                   return left.first == right.first && sameValues(left.second, right.second);
               });
    });
}

} // namespace bitwright
