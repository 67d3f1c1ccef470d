// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/target.h"

#include "cost/size_model.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bitwright {

namespace {

constexpr std::array<const char *, 3> kNames{"share", "size", "bops"};
constexpr double kMost = 0.9999, kNear = 0.0005;
constexpr int kSteps = 20;   // 2^-20 of the share: below one part of any layer up to a million

class Search {
public:
    Search(const PruneOrder &order, std::vector<PruneTask> tasks, const ModelSummary &model, const ResolvedConfig &base, bool folded)
        : m_order(order), m_tasks(std::move(tasks)), m_model(model), m_config(base), m_folded(folded)
    {
        for (const PruneTask &task : m_tasks) {
            m_proportions.push_back(task.sparsity);
            m_config[task.site.layer].prune = {};
        }
        const double greatest = m_proportions.empty() ? 0 : std::ranges::max(m_proportions);
        for (std::size_t i = 0; i < m_proportions.size(); ++i)
            m_proportions[i] = greatest > 0 ? m_proportions[i] / greatest : m_tasks[i].follows ? 0 : 1;
        m_before = measure();
    }

    /// Masks at one scale, or under Share at the tasks' own sparsities (scale < 0).
    Result<TargetedMasks> at(double scale);
    Result<TargetedMasks> find(const JobContext &context);

private:
    double measure() const
    {
        const ModelCost cost = modelCost(m_model, m_config, m_folded);
        return m_order.target == PruneTarget::Bops ? cost.bops : cost.sizeBits;
    }

    const PruneOrder &m_order;
    std::vector<PruneTask> m_tasks;
    std::vector<double> m_proportions;
    const ModelSummary &m_model;
    ResolvedConfig m_config;
    bool m_folded;
    double m_before = 0;
};

Result<TargetedMasks> Search::at(double scale)
{
    TargetedMasks found;
    for (std::size_t i = 0; i < m_tasks.size(); ++i) {
        if (scale >= 0)
            m_tasks[i].sparsity = std::min(kMost, scale * m_proportions[i]);
        found.sparsities.push_back(m_tasks[i].sparsity);
    }
    BW_ASSIGN(found.masks, pruneMasks(m_order.method, m_order.options, m_tasks, m_order.scope, m_model.groups));
    if (m_order.target == PruneTarget::Share) {
        std::int64_t kept = 0, total = 0;
        for (const Mask &mask : found.masks) {
            kept += mask.keptCount();
            total += mask.size();
        }
        found.achieved = total > 0 ? 1 - double(kept) / double(total) : 0;
        return found;
    }
    for (std::size_t i = 0; i < m_tasks.size(); ++i)
        m_config[m_tasks[i].site.layer].prune = {m_order.method, found.sparsities[i], m_order.options, found.masks[i]};
    found.achieved = m_before > 0 ? 1 - measure() / m_before : 0;
    return found;
}

Result<TargetedMasks> Search::find(const JobContext &context)
{
    const char *what = m_order.target == PruneTarget::Bops ? "BOPs" : "bytes";
    if (!(m_order.amount >= 0 && m_order.amount < 1))
        return fail(ErrorKind::Invalid, std::string("target, a share of ") + std::to_string(m_order.amount) + " of the " + what +
                                            " cannot go; give a share from 0 to below 1");
    BW_ASSIGN(TargetedMasks best, at(kMost));
    if (best.achieved < m_order.amount)
        return fail(ErrorKind::Invalid, std::string("target, ") + m_order.method + " can take at most " +
                                            std::to_string(int(std::floor(100 * best.achieved))) + " % of the " + what +
                                            " from these layers; ask for less, name more layers or choose another criterion");
    double low = 0, high = kMost;
    for (int step = 0; step < kSteps && best.achieved - m_order.amount > kNear; ++step) {
        if (context.stopped())
            return cancelled();
        const double middle = (low + high) / 2;
        BW_ASSIGN(TargetedMasks tried, at(middle));
        if (tried.achieved >= m_order.amount) {
            high = middle;
            best = std::move(tried);
        } else {
            low = middle;
        }
        context.progress("looking for the sparsity", step + 1, kSteps);
    }
    return best;
}

} // namespace

Result<PruneTarget> pruneTargetFromName(const std::string &name)
{
    for (std::size_t i = 0; i < kNames.size(); ++i)
        if (name == kNames[i])
            return PruneTarget(i);
    return fail(ErrorKind::Invalid, "target " + name + ", there is no such target; choose share, size or bops");
}

const char *pruneTargetName(PruneTarget target)
{
    return kNames[std::size_t(target)];
}

Result<TargetedMasks> masksForTarget(const PruneOrder &order, std::vector<PruneTask> tasks, const ModelSummary &model,
                                     const ResolvedConfig &base, bool foldBatchNorm, const JobContext &context)
{
    const PrunerRow *row = findPruner(order.method);
    if (!row)
        return fail(ErrorKind::Unsupported, "method " + order.method + ", there is no such pruner; see the list of methods");
    PruneOrder complete = order;   // the size model asks the options whether whole channels go
    BW_ASSIGN(complete.options, completeParams(row->traits.options, order.options, order.method));
    Search search(complete, std::move(tasks), model, base, foldBatchNorm);
    return order.target == PruneTarget::Share ? search.at(-1) : search.find(context);
}

} // namespace bitwright
