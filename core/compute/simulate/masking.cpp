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

bool isStructured(const PruneSpec &spec)
{
    const PrunerRow *row = findPruner(spec.method);
    return row && row->structured;
}

} // namespace

void LayerMask::apply(std::vector<at::Tensor> &bound) const
{
    if (!kept.defined())
        return;
    const auto zero = [&](at::Tensor &tensor, const at::Tensor &stays) { tensor = at::where(stays, tensor, at::zeros({}, tensor.options())); };
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
    if (!isStructured(spec))
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

PruneSite pruneSite(const Network &network, const LayerBinding &binding, const at::Tensor &weight, const WeightsState &state)
{
    PruneSite site{binding.info.name, weight.detach().to(at::kFloat), binding.info.channelAxis, {}};
    const LayerInfo *layer = network.summary().layer(binding.info.name);
    if (layer && !layer->batchNorm.empty()) {
        const ParameterMap all = network.parameters(false, state.tensors);
        if (const auto gamma = all.find(layer->batchNorm + ".weight"); gamma != all.end())
            site.batchNormScale = gamma->second.detach().to(at::kFloat);
    }
    return site;
}

Result<std::vector<PruneTask>> pruneTasks(const Network &network, bool folded, const WeightsState &state,
                                          const std::map<std::string, double> &shares, double sparsity)
{
    const Executor &executor = network.executor(folded);
    const auto bound = executor.bind(network.parameters(folded, state.tensors));
    std::map<std::string, double> left = shares;
    std::vector<PruneTask> tasks;
    for (const LayerBinding &binding : executor.bindings()) {
        const auto own = shares.find(binding.info.name);
        const int parameter = executor.graph().parameterOf(binding.weight);
        if (binding.info.status != LayerStatus::Quantizable || parameter < 0 || (!shares.empty() && own == shares.end()))
            continue;
        left.erase(binding.info.name);
        tasks.push_back({pruneSite(network, binding, bound[std::size_t(parameter)], state), own == shares.end() ? sparsity : own->second});
    }
    if (!left.empty())
        return fail(ErrorKind::Invalid, "layer \"" + left.begin()->first + "\", the network has no such layer that can be pruned; "
                                            "`inspect` lists its layers");
    if (tasks.empty())
        return fail(ErrorKind::Unsupported, network.summary().path + ", it has no layer that can be pruned");
    return tasks;
}

Status fillMasks(ResolvedConfig &config, const Network &network, bool folded, const WeightsState &state)
{
    const Executor &executor = network.executor(folded);
    std::vector<at::Tensor> bound;
    for (const LayerBinding &binding : executor.bindings()) {
        const auto found = config.find(binding.info.name);
        if (found == config.end() || found->second.prune.method.empty() || !found->second.prune.mask.empty())
            continue;
        const int parameter = executor.graph().parameterOf(binding.weight);
        if (parameter < 0)
            continue;
        if (bound.empty())
            bound = executor.bind(network.parameters(folded, state.tensors));
        BW_ASSIGN(found->second.prune.mask,
                  maskOf(found->second.prune, pruneSite(network, binding, bound[std::size_t(parameter)], state)));
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
