// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/policies/mask_schedule.h"

#include "prune/pruner.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

constexpr const char *kMask = "mask/", *kShare = "share/";

double prunedShare(const Mask &mask)
{
    return mask.empty() ? 0 : 1 - double(mask.keptCount()) / double(mask.size());
}

/// What both keep. Held weights are zero and rank last by any criterion that looks at their size; one that does not
/// (the distance to others, chance) may name them again, but they stay pruned.
Mask common(const Mask &a, const Mask &b)
{
    if (a.empty() || b.empty())
        return a.empty() ? b : a;
    std::vector<std::uint8_t> kept = a.kept();
    const std::vector<std::uint8_t> other = b.kept();
    for (std::size_t i = 0; i < kept.size(); ++i)
        kept[i] = kept[i] && other[i];
    return Mask::fromKept(kept);
}

std::string percent(double share)
{
    return std::to_string(std::lround(100 * share)) + " %";
}

} // namespace

MaskSchedule::MaskSchedule(const ParamValues &options)
    : m_criterion(textParam(options, "criterion")), m_final(realParam(options, "final")),
      m_global(textParam(options, "scope") == "global"), m_maskedOnly(textParam(options, "layers") == "masked"),
      m_hasInitial(hasParam(options, "initial")), m_initial(realParam(options, "initial"))
{
}

Status MaskSchedule::begin(TrainingState &state)
{
    const PrunerRow *row = findPruner(m_criterion);
    if (!row)
        return fail(ErrorKind::Invalid, "criterion " + m_criterion + ", there is no such pruner; `methods` lists them");
    BW_ASSIGN(m_criterionOptions, completeParams(row->traits.options, {}, m_criterion));
    BW_ASSIGN(const auto tasks, pruneTasks(state.network(), state.folded(), state.weights(), m_criterion, {}, m_final));
    for (const PruneTask &task : tasks) {
        const Mask mask = state.pruning(task.site.layer).mask;
        m_sizes[task.site.layer] = task.site.weight.numel();
        // Channels that the network answers with, or that no rule can follow, stay; `prune` skips them as well.
        const auto groups = state.network().summary().groupsOf(task.site.layer);
        const bool fixed = row->structured && !groups.empty() && std::ranges::none_of(groups, &ChannelGroup::removable);
        if (!task.follows && !fixed && (!m_maskedOnly || !mask.empty()))
            m_start[task.site.layer] = m_hasInitial ? m_initial : prunedShare(mask);
    }
    if (m_start.empty()) {
        return m_maskedOnly ? fail(ErrorKind::Invalid, "option \"layers\", it is masked but the assignment prunes no layer that can be "
                                                       "pruned by " + m_criterion + "; prune one first or choose all")
                            : fail(ErrorKind::Unsupported, "criterion " + m_criterion + ", the network has no layer that it can prune; choose magnitude");
    }
    measure(state);
    return {};
}

PruneSpec MaskSchedule::spec(double sparsity, Mask mask) const
{
    return {m_criterion, sparsity, m_criterionOptions, std::move(mask)};
}

Status MaskSchedule::update(TrainingState &state, const std::function<double(double, double)> &share, bool regrow)
{
    std::map<std::string, double> shares;
    for (const auto &[layer, start] : m_start)
        shares[layer] = share(start, std::max(start, m_final));
    BW_ASSIGN(const auto tasks, pruneTasks(state.network(), state.folded(), state.weights(), m_criterion, shares, 0));
    BW_ASSIGN(const auto masks, pruneMasks(m_criterion, m_criterionOptions, tasks,
                                           m_global ? PruneScope::Global : PruneScope::Layer, state.network().summary().groups));
    std::map<std::string, PruneSpec> specs;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        const std::string &layer = tasks[i].site.layer;
        const Mask mask = regrow ? masks[i] : common(state.pruning(layer).mask, masks[i]);
        const auto own = shares.find(layer);
        if (mask.empty() || mask.keptCount() == mask.size())
            specs[layer] = PruneSpec{};   // a method without a mask would be asked for one
        else
            specs[layer] = spec(own == shares.end() ? prunedShare(mask) : own->second, mask);
        keepRemovedChannels(specs[layer], state.pruning(layer), *state.network().summary().layer(layer));
    }
    BW_CHECK(state.setPruning(specs));
    measure(state);
    return {};
}

void MaskSchedule::measure(const TrainingState &state)
{
    double pruned = 0, total = 0;
    for (const auto &[layer, start] : m_start) {
        pruned += prunedShare(state.pruning(layer).mask) * double(m_sizes.at(layer));
        total += double(m_sizes.at(layer));
    }
    m_sparsity = pruned / total;
}

double MaskSchedule::goal() const
{
    double pruned = 0, total = 0;
    for (const auto &[layer, start] : m_start) {
        pruned += std::max(start, m_final) * double(m_sizes.at(layer));
        total += double(m_sizes.at(layer));
    }
    return pruned / total;
}

std::string MaskSchedule::doing() const
{
    return "pruned " + percent(m_sparsity) + ", goal " + percent(goal());
}

ParameterMap MaskSchedule::save(const TrainingState &state) const
{
    ParameterMap saved;
    for (const auto &[layer, size] : m_sizes) {
        const PruneSpec prune = state.pruning(layer);
        if (prune.mask.empty() || prune.method != m_criterion)
            continue;
        saved[kMask + layer] = at::tensor(prune.mask.kept(), at::kByte);
        saved[kShare + layer] = at::tensor(prune.sparsity, at::kDouble);
    }
    return saved;
}

Status MaskSchedule::restore(TrainingState &state, const ParameterMap &saved)
{
    std::map<std::string, PruneSpec> specs;
    for (const auto &[layer, size] : m_sizes) {
        const auto mask = saved.find(kMask + layer), share = saved.find(kShare + layer);
        if (mask == saved.end() || share == saved.end())
            continue;
        const at::Tensor kept = mask->second.to(at::kByte).contiguous();
        if (kept.numel() != size || share->second.numel() != 1)
            return fail(ErrorKind::Invalid, "mask of " + layer + ", it is of another network; leave out resume");
        specs[layer] = spec(share->second.item<double>(),
                            Mask::fromKept({kept.const_data_ptr<std::uint8_t>(), std::size_t(kept.numel())}));
    }
    BW_CHECK(state.setPruning(specs));
    measure(state);
    return {};
}

} // namespace bitwright
