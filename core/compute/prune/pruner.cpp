// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/pruner.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

namespace bitwright {

namespace {

constexpr double kLeastShare = 0.01, kLeastChannels = 0.1;

/// What one layer brings to the ranking, and what is decided of it.
struct Ranked {
    std::vector<float> scores;
    std::vector<std::uint8_t> keep;
    bool decided = false;
};

std::int64_t partsToKeep(double sparsity, std::size_t parts)
{
    return std::max<std::int64_t>(1, std::llround((1 - sparsity) * double(parts)));
}

/// Clears all but `wanted` entries of `keep`: the least scores first, the lower index first among equals.
void keepBest(const std::vector<float> &scores, std::vector<std::uint8_t> &keep, std::int64_t wanted)
{
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < keep.size(); ++i)
        if (keep[i])
            order.push_back(i);
    const std::int64_t dropped = std::int64_t(order.size()) - wanted;
    if (dropped <= 0)
        return;
    const auto goesFirst = [&](std::size_t a, std::size_t b) {
        return scores[a] != scores[b] ? scores[a] < scores[b] : a < b;
    };
    std::ranges::nth_element(order, order.begin() + (dropped - 1), goesFirst);
    for (std::int64_t i = 0; i < dropped; ++i)
        keep[order[std::size_t(i)]] = 0;
}

/// One ranking over all layers, each of which keeps its best few for certain.
void keepBestOfAll(std::vector<Ranked> &layers, double sparsity, bool structured)
{
    std::vector<float> all;
    std::vector<std::uint8_t> keep;
    std::int64_t wanted = 0;
    for (Ranked &layer : layers) {
        const double mean = std::accumulate(layer.scores.begin(), layer.scores.end(), 0.0) / double(layer.scores.size());
        std::vector<std::uint8_t> certain(layer.scores.size(), 1);
        const double least = std::ceil((structured ? kLeastChannels : kLeastShare) * double(layer.scores.size()));
        keepBest(layer.scores, certain, std::max<std::int64_t>(1, std::int64_t(least)));
        for (std::size_t i = 0; i < layer.scores.size(); ++i) {
            const float score = structured && mean > 0 ? float(layer.scores[i] / mean) : layer.scores[i];
            all.push_back(certain[i] ? std::numeric_limits<float>::infinity() : score);
        }
        wanted += std::llround((1 - sparsity) * double(layer.scores.size()));
    }
    keep.assign(all.size(), 1);
    keepBest(all, keep, std::max<std::int64_t>(wanted, std::ranges::count(all, std::numeric_limits<float>::infinity())));
    std::size_t at = 0;
    for (Ranked &layer : layers)
        for (std::uint8_t &entry : layer.keep)
            entry = keep[at++];
}

/// The parts that a pattern cuts a weight into: a tensor over elements as [parts before, kernel height, width].
enum class Pattern { Element, Kernel, Row, Column };

/// Only maps have kernels: linear weights are cut into single elements whatever the pattern.
Pattern patternOf(const ParamValues &options, const at::Tensor &weight)
{
    const std::string name = textParam(options, "pattern", "element");
    if (name == "element" || weight.dim() < 3)
        return Pattern::Element;
    return name == "kernel" ? Pattern::Kernel : name == "row" ? Pattern::Row : Pattern::Column;
}

at::Tensor asKernels(const at::Tensor &elements, const at::Tensor &weight)
{
    return elements.reshape({-1, weight.dim() > 3 ? weight.size(-2) : 1, weight.size(-1)});
}

/// The mean score of each part, in storage order. The mean and not the sum: kernels of several sizes meet in one ranking.
at::Tensor partScores(const at::Tensor &scores, const at::Tensor &weight, Pattern pattern)
{
    const at::Tensor kernels = asKernels(scores, weight);
    return pattern == Pattern::Kernel ? kernels.flatten(1).mean(1) : kernels.mean(pattern == Pattern::Row ? 2 : 1);
}

at::Tensor elementsOf(const at::Tensor &parts, const at::Tensor &weight, Pattern pattern)
{
    const at::Tensor kernels = asKernels(at::empty(weight.sizes(), at::TensorOptions().device(at::kMeta)), weight);
    const std::int64_t count = kernels.size(0), height = kernels.size(1), width = kernels.size(2);
    const at::Tensor shaped = pattern == Pattern::Kernel ? parts.reshape({count, 1, 1})
                              : pattern == Pattern::Row  ? parts.reshape({count, height, 1})
                                                         : parts.reshape({count, 1, width});
    return shaped.expand({count, height, width}).contiguous();
}

Result<Ranked> rank(const PrunerRow &row, const PruneTask &task, const ParamValues &options)
{
    const at::Tensor &weight = task.site.weight;
    if (!(task.sparsity >= 0 && task.sparsity < 1))
        return fail(ErrorKind::Invalid, task.site.layer + ", sparsity " + std::to_string(task.sparsity) +
                                            " is not possible; give a share from 0 to below 1");
    if (!weight.isfinite().all().item<bool>())
        return fail(ErrorKind::Numeric, task.site.layer + ", its weight holds NaN or infinity and cannot be ranked; mend the network");
    BW_ASSIGN(const PruneScores found, row.score(task.site, options, task.sparsity));
    at::Tensor scores = found.scores.to(at::kFloat);
    if (const Pattern pattern = patternOf(options, weight); !row.structured && pattern != Pattern::Element) {
        if (found.decided.defined())
            return fail(ErrorKind::Invalid, task.site.layer + ", " + row.traits.id + " decides weight by weight under these options, which leaves no "
                                                "pattern to choose; leave out the pattern, or the option that decides");
        scores = partScores(scores, weight, pattern);
    }
    scores = scores.contiguous().reshape({-1});
    Ranked ranked;
    ranked.scores.assign(scores.const_data_ptr<float>(), scores.const_data_ptr<float>() + scores.numel());
    ranked.keep.assign(ranked.scores.size(), 1);
    ranked.decided = found.decided.defined();
    if (ranked.decided) {
        const at::Tensor goes = found.decided.to(at::kBool).contiguous().reshape({-1});
        for (std::size_t i = 0; i < ranked.keep.size(); ++i)
            ranked.keep[i] = !goes.const_data_ptr<bool>()[i];
    }
    return ranked;
}

Mask maskFrom(const Ranked &ranked, const PruneSite &site, bool structured, const ParamValues &options)
{
    if (!structured) {
        const Pattern pattern = patternOf(options, site.weight);
        if (pattern == Pattern::Element)
            return Mask::fromKept(ranked.keep);
        const at::Tensor elements = elementsOf(at::tensor(ranked.keep, at::kByte), site.weight, pattern);
        return Mask::fromKept({elements.const_data_ptr<std::uint8_t>(), std::size_t(elements.numel())});
    }
    std::vector<std::int64_t> shape(std::size_t(site.weight.dim()), 1);
    shape[std::size_t(site.channelAxis)] = -1;
    const at::Tensor channels = at::tensor(ranked.keep, at::kByte).reshape(shape);
    const at::Tensor elements = channels.expand(site.weight.sizes()).contiguous();
    return Mask::fromKept({elements.const_data_ptr<std::uint8_t>(), std::size_t(elements.numel())});
}

/// The units of one group as they are ranked, and which channels of which layers they are.
struct RankedGroup {
    const ChannelGroup *group = nullptr;
    Ranked units;
    double sparsity = 0;
};

/// What a layer's channels say of its units: the mean over a unit's channels, in shares of the layer's own mean.
void addScores(std::vector<double> &sums, std::vector<int> &counts, const Ranked &layer, const ChannelGroup::Part &part, bool alone)
{
    const double mean = std::accumulate(layer.scores.begin(), layer.scores.end(), 0.0) / double(std::max<std::size_t>(1, layer.scores.size()));
    const double scale = alone || mean <= 0 ? 1 : 1 / mean;
    std::vector<double> own(sums.size());
    std::vector<int> channels(sums.size());
    for (std::size_t c = 0; c < part.unit.size() && c < layer.scores.size(); ++c)
        if (part.unit[c] >= 0) {
            own[std::size_t(part.unit[c])] += layer.scores[c];
            ++channels[std::size_t(part.unit[c])];
        }
    for (std::size_t u = 0; u < sums.size(); ++u)
        if (channels[u] > 0) {
            sums[u] += scale * own[u] / channels[u];
            ++counts[u];
        }
}

std::vector<RankedGroup> rankGroups(const std::vector<Ranked> &layers, const std::vector<PruneTask> &tasks, std::span<const ChannelGroup> groups)
{
    std::vector<RankedGroup> ranked;
    for (const ChannelGroup &group : groups) {
        if (!group.removable())
            continue;
        std::vector<std::pair<const Ranked *, const ChannelGroup::Part *>> members;
        double sparsity = 0;
        int asked = 0;
        for (std::size_t i = 0; i < tasks.size(); ++i)
            if (const ChannelGroup::Part *part = group.part(tasks[i].site.layer, true)) {
                members.emplace_back(&layers[i], part);
                sparsity += tasks[i].follows ? 0 : tasks[i].sparsity;
                asked += tasks[i].follows ? 0 : 1;
            }
        const bool heard = std::ranges::any_of(members, [](const auto &member) { return !member.first->scores.empty(); });
        if (asked == 0 || !heard)
            continue;
        std::vector<double> sums(std::size_t(group.units), 0.0);
        std::vector<int> counts(sums.size(), 0);
        for (const auto &[layer, part] : members)
            addScores(sums, counts, *layer, *part, members.size() == 1);
        RankedGroup made{&group, {}, sparsity / asked};
        for (std::size_t u = 0; u < sums.size(); ++u)
            made.units.scores.push_back(counts[u] > 0 ? float(sums[u] / counts[u]) : std::numeric_limits<float>::infinity());
        made.units.keep.assign(sums.size(), 1);
        ranked.push_back(std::move(made));
    }
    return ranked;
}

/// False where there was no group to rank.
bool keepUnits(std::vector<Ranked> &layers, const std::vector<PruneTask> &tasks, PruneScope scope, std::span<const ChannelGroup> groups)
{
    std::vector<RankedGroup> ranked = rankGroups(layers, tasks, groups);
    if (scope == PruneScope::Global && !ranked.empty()) {
        std::vector<Ranked> units;
        double mean = 0;
        for (RankedGroup &each : ranked) {
            mean += each.sparsity / double(ranked.size());
            units.push_back(std::move(each.units));
        }
        keepBestOfAll(units, mean, true);
        for (std::size_t i = 0; i < ranked.size(); ++i)
            ranked[i].units = std::move(units[i]);
    } else {
        for (RankedGroup &each : ranked)
            keepBest(each.units.scores, each.units.keep, partsToKeep(each.sparsity, each.units.keep.size()));
    }
    for (const RankedGroup &each : ranked)
        for (std::size_t i = 0; i < tasks.size(); ++i)
            if (const ChannelGroup::Part *part = each.group->part(tasks[i].site.layer, true))
                for (std::size_t c = 0; c < part->unit.size() && c < layers[i].keep.size(); ++c)
                    if (part->unit[c] >= 0)
                        layers[i].keep[c] = each.units.keep[std::size_t(part->unit[c])];
    return !ranked.empty();
}

bool canBeCut(const std::string &layer, std::span<const ChannelGroup> groups)
{
    return std::ranges::any_of(groups, [&](const ChannelGroup &group) { return group.removable() && group.part(layer, true); });
}

} // namespace

const PrunerRow *findPruner(const std::string &id)
{
    const auto &rows = prunerRows();
    const auto found = std::ranges::find(rows, id, [](const PrunerRow &row) -> const std::string & { return row.traits.id; });
    return found == rows.end() ? nullptr : &*found;
}

Result<std::vector<Mask>> pruneMasks(const std::string &method, const ParamValues &options, const std::vector<PruneTask> &tasks,
                                     PruneScope scope, std::span<const ChannelGroup> groups)
{
    const PrunerRow *row = findPruner(method);
    if (!row)
        return fail(ErrorKind::Unsupported, "method " + method + ", there is no such pruner; see the list of methods");
    BW_ASSIGN(const ParamValues complete, completeParams(row->traits.options, options, method));
    return guarded(method, ErrorKind::Numeric, [&]() -> Result<std::vector<Mask>> {
        const c10::NoGradGuard noGrad;
        std::vector<Ranked> layers;
        double mean = 0;
        bool decided = false;
        const bool inGroups = row->structured && !groups.empty();
        std::optional<Error> nothingToSay;
        const auto whole = [](const PruneSite &site) { return Ranked{{}, std::vector<std::uint8_t>(std::size_t(site.weight.size(site.channelAxis)), 1), false}; };
        for (const PruneTask &task : tasks) {
            if (inGroups && !canBeCut(task.site.layer, groups)) {
                layers.push_back(whole(task.site));
                continue;
            }
            auto judged = rank(*row, task, complete);
            if (!judged && inGroups && judged.error().kind == ErrorKind::Unsupported) {   // the rest of its group may say it
                nothingToSay = judged.error();
                layers.push_back(whole(task.site));
                continue;
            }
            BW_ASSIGN(Ranked ranked, std::move(judged));
            decided = decided || ranked.decided;
            mean += task.sparsity / double(tasks.size());
            layers.push_back(std::move(ranked));
        }
        if (inGroups) {
            if (!keepUnits(layers, tasks, scope, groups) && nothingToSay)
                return std::unexpected(*nothingToSay);
        } else if (scope == PruneScope::Global && !decided && !layers.empty()) {
            keepBestOfAll(layers, mean, row->structured);
        }
        std::vector<Mask> masks;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            if (!inGroups && scope == PruneScope::Layer && !layers[i].decided)
                keepBest(layers[i].scores, layers[i].keep, partsToKeep(tasks[i].sparsity, layers[i].keep.size()));
            masks.push_back(maskFrom(layers[i], tasks[i].site, row->structured, complete));
        }
        return masks;
    });
}

bool removesChannels(const PruneSpec &spec)
{
    const PrunerRow *row = findPruner(spec.method);
    return row && (row->structured || boolParam(spec.options, "channels"));
}

at::Tensor maskTensor(const Mask &mask, const at::Tensor &weight)
{
    return at::tensor(mask.kept(), at::kByte).to(at::kBool).reshape(weight.sizes());
}

at::Tensor emptiedChannels(const Mask &mask, const at::Tensor &weight, int channelAxis)
{
    return maskTensor(mask, weight).movedim(channelAxis, 0).flatten(1).any(1).logical_not();
}

} // namespace bitwright
