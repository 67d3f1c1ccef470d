// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/masking.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <limits>

namespace bitwright {

namespace {

int parameterNamed(const Graph &graph, const std::string &name)
{
    for (std::size_t i = 0; i < graph.parameters.size(); ++i)
        if (graph.parameters[i].name == name)
            return int(i);
    return -1;
}

/// By output channel: whether the mask removes it. Empty where it removes none.
std::vector<bool> removedChannels(const LayerInfo &layer, const PruneSpec &spec)
{
    if (spec.mask.empty() || !removesChannels(spec))
        return {};
    const at::Tensor shape = at::empty(layer.weightShape, at::TensorOptions().device(at::kMeta));
    const at::Tensor gone = emptiedChannels(spec.mask, shape, layer.channelAxis).contiguous();
    return std::vector<bool>(gone.const_data_ptr<bool>(), gone.const_data_ptr<bool>() + gone.numel());   // braces would list two bools
}

/// The other layers that share a group with a named one, and what is wrong with the named ones.
Result<std::map<std::string, double>> withFollowers(const ModelSummary &model, const std::map<std::string, double> &shares)
{
    std::map<std::string, double> all;
    for (const auto &[name, share] : shares) {
        const auto groups = model.groupsOf(name);
        if (!groups.empty() && std::ranges::none_of(groups, &ChannelGroup::removable))
            return fail(ErrorKind::Unsupported, "layer \"" + name + "\", its output channels cannot be removed: " + groups.front()->refusal +
                                                    "; leave the layer out");
        for (const ChannelGroup *group : groups)
            for (const ChannelGroup::Part &part : group->parts)
                if (group->removable() && part.layer && part.output && !shares.contains(part.name))
                    all[part.name] = 0;
    }
    return all;
}

} // namespace

void LayerMask::apply(std::vector<at::Tensor> &bound) const
{
    const auto zero = [&](at::Tensor &tensor, const at::Tensor &stays) { tensor = at::where(stays, tensor, at::zeros({}, tensor.options())); };
    if (kept.defined())
        zero(bound[parameter], kept);
    for (const auto &[index, stays] : channels)
        zero(bound[index], stays);
}

at::Tensor LayerMask::survivors(const at::Tensor &weight) const
{
    return kept.defined() ? weight.masked_fill(kept.logical_not(), std::numeric_limits<double>::quiet_NaN()) : weight;
}

LayerMask layerMask(const Network &network, bool folded, const LayerBinding &binding, const PruneSpec &spec)
{
    const Graph &graph = network.graph(folded);
    LayerMask mask;
    const int weight = graph.parameterOf(binding.weight);
    if (spec.mask.empty() || weight < 0)
        return mask;
    mask.parameter = std::size_t(weight);
    mask.kept = maskTensor(spec.mask, graph.parameters[mask.parameter].tensor);
    if (!removesChannels(spec))
        return mask;
    const at::Tensor stays = emptiedChannels(spec.mask, mask.kept, binding.info.channelAxis).logical_not();
    std::vector<int> followers{binding.bias == kNoValue ? -1 : graph.parameterOf(binding.bias)};
    for (const char *part : {".weight", ".bias"})
        followers.push_back(binding.info.batchNorm.empty() ? -1 : parameterNamed(graph, binding.info.batchNorm + part));
    for (const int follower : followers)
        if (follower >= 0 && graph.parameters[std::size_t(follower)].tensor.sizes() == stays.sizes())
            mask.channels.emplace_back(std::size_t(follower), stays);
    return mask;
}

RemovedUnits emptiedUnits(const Network &network, const ResolvedConfig &config)
{
    const ModelSummary &model = network.summary();
    std::map<std::string, std::vector<bool>> gone;
    for (const LayerInfo &layer : model.layers)
        if (const auto found = config.find(layer.name); found != config.end())
            if (auto channels = removedChannels(layer, found->second.prune); std::ranges::count(channels, true) > 0)
                gone[layer.name] = std::move(channels);
    RemovedUnits removed;
    for (const ChannelGroup &group : model.groups) {
        std::vector<bool> units(std::size_t(group.units), group.removable() && !gone.empty());
        for (const ChannelGroup::Part &part : group.parts) {
            if (!part.layer || !part.output)
                continue;
            const auto channels = gone.find(part.name);
            for (std::size_t c = 0; c < part.unit.size(); ++c)
                if (part.unit[c] >= 0 && (channels == gone.end() || !channels->second[c]))
                    units[std::size_t(part.unit[c])] = false;
        }
        removed.push_back(std::move(units));
    }
    return removed;
}

LayerMask silencedParameters(const Network &network, bool folded, const ResolvedConfig &config)
{
    LayerMask silenced;
    if (std::ranges::none_of(config, [](const auto &layer) { return !layer.second.prune.mask.empty() && removesChannels(layer.second.prune); }))
        return silenced;
    const Graph &graph = network.graph(folded);
    const RemovedUnits removed = emptiedUnits(network, config);
    for (std::size_t g = 0; g < removed.size(); ++g) {
        if (std::ranges::count(removed[g], true) == 0)
            continue;
        for (const ChannelGroup::Part &part : network.summary().groups[g].parts) {
            const int index = part.layer ? -1 : parameterNamed(graph, part.name);
            if (index < 0 || !graph.parameters[std::size_t(index)].trainable)   // running statistics do no harm
                continue;
            const at::Tensor &tensor = graph.parameters[std::size_t(index)].tensor;
            if (part.axis >= tensor.dim() || tensor.size(part.axis) != std::int64_t(part.unit.size()))
                continue;
            std::vector<std::int64_t> along(std::size_t(tensor.dim()), 1);
            along[std::size_t(part.axis)] = -1;
            at::Tensor stays = at::ones({std::int64_t(part.unit.size())}, at::kBool);
            for (std::size_t i = 0; i < part.unit.size(); ++i)
                stays.mutable_data_ptr<bool>()[i] = part.unit[i] < 0 || !removed[g][std::size_t(part.unit[i])];
            silenced.channels.emplace_back(std::size_t(index), stays.reshape(along).expand(tensor.sizes()));
        }
    }
    return silenced;
}

PruneSite pruneSite(const Network &network, const LayerBinding &binding, const at::Tensor &weight, const WeightsState &state)
{
    PruneSite site{binding.info.name, weight.detach().to(at::kFloat), binding.info.channelAxis, {}};
    const LayerInfo *layer = network.summary().layer(binding.info.name);
    if (!layer || layer->batchNorm.empty())
        return site;
    const std::string gamma = layer->batchNorm + ".weight";
    if (const auto own = state.tensors.find(gamma); own != state.tensors.end())
        site.batchNormScale = own->second.detach().to(at::kFloat);
    else if (const Parameter *loaded = network.graph().parameter(gamma))
        site.batchNormScale = loaded->tensor.detach().to(at::kFloat);
    return site;
}

Result<std::vector<PruneTask>> pruneTasks(const Network &network, bool folded, const WeightsState &state, const std::string &method,
                                          const std::map<std::string, double> &shares, double sparsity)
{
    const PrunerRow *row = findPruner(method);
    std::map<std::string, double> followers;
    if (row && row->structured) {
        BW_ASSIGN(followers, withFollowers(network.summary(), shares));
    }
    const Executor &executor = network.executor(folded);
    const auto bound = executor.bind(network.parameters(folded, state.tensors));
    std::map<std::string, double> left = shares;
    std::vector<PruneTask> tasks;
    for (const LayerBinding &binding : executor.bindings()) {
        const auto own = shares.find(binding.info.name);
        const int parameter = executor.graph().parameterOf(binding.weight);
        const bool follows = followers.contains(binding.info.name);
        if (binding.info.status != LayerStatus::Quantizable || parameter < 0 || (!shares.empty() && own == shares.end() && !follows))
            continue;
        left.erase(binding.info.name);
        tasks.push_back({pruneSite(network, binding, bound[std::size_t(parameter)], state),
                         follows ? 0 : own == shares.end() ? sparsity : own->second, follows});
    }
    if (!left.empty())
        return fail(ErrorKind::Invalid, "layer \"" + left.begin()->first + "\", the network has no such layer that can be pruned; "
                                            "`inspect` lists its layers");
    if (tasks.empty())
        return fail(ErrorKind::Unsupported, network.summary().path + ", it has no layer that can be pruned");
    return tasks;
}

void keepRemovedChannels(PruneSpec &made, const PruneSpec &before, const LayerInfo &layer)
{
    const std::vector<bool> gone = removedChannels(layer, before);
    if (std::ranges::count(gone, true) == 0 || made.mask.size() != layer.weightCount)
        return;
    const at::Tensor shape = at::empty(layer.weightShape, at::TensorOptions().device(at::kMeta));
    at::Tensor kept = maskTensor(made.mask, shape).to(at::kByte);
    for (std::size_t c = 0; c < gone.size(); ++c)
        if (gone[c])
            kept.select(layer.channelAxis, std::int64_t(c)).zero_();
    kept = kept.contiguous();
    made.mask = Mask::fromKept({kept.const_data_ptr<std::uint8_t>(), std::size_t(kept.numel())});
    if (!removesChannels(made))
        made.options["channels"] = true;
}

Status fillMasks(ResolvedConfig &config, const Network &network, bool folded, const WeightsState &state)
{
    const Executor &executor = network.executor(folded);
    std::vector<at::Tensor> bound;
    // Layers that name the same criterion are ranked together: a structured one decides by group.
    std::vector<std::pair<const PruneSpec *, std::vector<PruneTask>>> acts;
    for (const LayerBinding &binding : executor.bindings()) {
        const auto found = config.find(binding.info.name);
        if (found == config.end() || found->second.prune.method.empty() || !found->second.prune.mask.empty())
            continue;
        const int parameter = executor.graph().parameterOf(binding.weight);
        if (parameter < 0)
            continue;
        if (bound.empty())
            bound = executor.bind(network.parameters(folded, state.tensors));
        const PruneSpec &spec = found->second.prune;
        auto act = std::ranges::find_if(acts, [&](const auto &each) { return each.first->method == spec.method && each.first->options == spec.options; });
        if (act == acts.end())
            act = acts.insert(act, {&spec, {}});
        act->second.push_back({pruneSite(network, binding, bound[std::size_t(parameter)], state), spec.sparsity});
    }
    for (const auto &[spec, tasks] : acts) {
        const std::string method = spec->method;
        BW_ASSIGN(const auto masks, pruneMasks(method, spec->options, tasks, PruneScope::Layer, network.summary().groups));
        for (std::size_t i = 0; i < tasks.size(); ++i)
            config.at(tasks[i].site.layer).prune.mask = masks[i];
    }
    return {};
}

ParameterMap maskedParameters(const Network &network, bool folded, const WeightsState &state, const ResolvedConfig &config)
{
    const c10::NoGradGuard noGrad;
    const Executor &executor = network.executor(folded);
    ParameterMap parameters = network.parameters(folded, state.tensors);
    std::vector<at::Tensor> bound = executor.bind(parameters);
    for (const LayerBinding &binding : executor.bindings())
        if (const auto found = config.find(binding.info.name); found != config.end())
            layerMask(network, folded, binding, found->second.prune).apply(bound);
    silencedParameters(network, folded, config).apply(bound);
    for (std::size_t i = 0; i < bound.size(); ++i)
        parameters[executor.graph().parameters[i].name] = bound[i];
    return parameters;
}

WeightsState maskedState(const Network &network, const WeightsState &state, const ResolvedConfig &config)
{
    if (std::ranges::all_of(config, [](const auto &entry) { return entry.second.prune.mask.empty(); }))
        return state;
    // Folding scales whole channels, so the zeros of the folded weights are those of the original ones.
    return {state.name + "|masked", maskedParameters(network, false, state, config)};
}

} // namespace bitwright
