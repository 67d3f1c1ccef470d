// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/surgery.h"

#include "graph/shape_probe.h"
#include "quant/quantizer.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace bitwright {

namespace {

/// Beyond this the graph was not understood, and what was cut is not handed out.
constexpr double kTolerance = 1e-4;

/// What stays of a mask over a weight of which some indices go; empty where nothing of it is left to say.
Mask cutMask(const Mask &mask, const LayerInfo &layer, const std::vector<KeptIndices> &kept, ValueId weight)
{
    if (mask.empty())
        return mask;
    at::Tensor stays = at::tensor(mask.kept(), at::kByte).reshape(layer.weightShape);
    for (const KeptIndices &each : kept)
        if (each.parameter == weight)
            stays = stays.index_select(each.axis, at::tensor(each.kept, at::kLong));
    stays = stays.contiguous();
    Mask left = Mask::fromKept({stays.const_data_ptr<std::uint8_t>(), std::size_t(stays.numel())});
    return left.keptCount() == left.size() ? Mask() : left;
}

/// Values with one entry per output channel lose those of the channels that go.
void cutValues(std::map<std::string, std::vector<double>> &values, const LayerInfo &layer, const KeptIndices &kept)
{
    for (auto &[name, numbers] : values) {
        if (std::int64_t(numbers.size()) != layer.channels() || layer.channels() < 2)
            continue;
        std::vector<double> left;
        for (const std::int64_t channel : kept.kept)
            left.push_back(numbers[std::size_t(channel)]);
        numbers = std::move(left);
    }
}

ModelConfig cutConfig(ModelConfig config, const ResolvedConfig &resolved, const Network &network, const std::vector<KeptIndices> &kept)
{
    config.defaults.prune = {};
    config.modelSha.clear();
    for (const LayerBinding &binding : network.executor().bindings()) {
        const auto found = resolved.find(binding.info.name);
        if (found == resolved.end())
            continue;
        LayerPatch &patch = config.layers[binding.info.name];
        const Mask left = cutMask(found->second.prune.mask, binding.info, kept, binding.weight);
        patch.prune = {};
        if (!left.empty())
            setPrune(config, binding.info.name, {found->second.prune.method, found->second.prune.sparsity, found->second.prune.options, left});
        for (const KeptIndices &each : kept)
            if (each.parameter == binding.weight && each.axis == binding.info.channelAxis)
                cutValues(patch.weight.values, binding.info, each);
        if (patch.empty())
            config.layers.erase(binding.info.name);
    }
    return config;
}

/// The largest difference of the outputs on one sample, relative to what comes out where that is large.
Result<double> difference(const Network &before, const ParameterMap &masked, const Network &after)
{
    return guarded("the smaller network", ErrorKind::Unsupported, [&]() -> Result<double> {
        const c10::NoGradGuard noGrad;
        auto inputs = zeroInputs(before.graph(), {}, std::max<std::int64_t>(before.graph().fixedBatch, 2), 32);
        for (c10::IValue &input : inputs)
            if (input.isTensor() && input.toTensor().is_floating_point())
                input = at::linspace(-1, 1, input.toTensor().numel(), input.toTensor().options()).sin_().reshape(input.toTensor().sizes());
        BW_ASSIGN(const auto wanted, before.executor().run(inputs, before.executor().bind(masked)));
        BW_ASSIGN(const auto found, after.executor().run(inputs, after.executor().bind()));
        double worst = 0;
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            if (!wanted[i].isTensor() || wanted[i].toTensor().numel() == 0)
                continue;
            const at::Tensor a = wanted[i].toTensor().to(at::kDouble), b = found.at(i).toTensor().to(at::kDouble);
            if (a.sizes() != b.sizes())
                return fail(ErrorKind::Unsupported, "the smaller network, its outputs have another shape; keep the masks instead");
            worst = std::max(worst, (a - b).abs().max().item<double>() / std::max(1.0, a.abs().max().item<double>()));
        }
        return worst;
    });
}

} // namespace

Result<CutNetwork> cutNetwork(const Network &network, const ModelConfig &config, const WeightsState &state, const std::string &name,
                              const JobContext &context)
{
    BW_ASSIGN(ResolvedConfig resolved, resolve(config, network.summary(), methodCatalog()));
    BW_CHECK(fillMasks(resolved, network, config.foldBatchNorm, state));
    const RemovedUnits removed = emptiedUnits(network, resolved);
    CutNetwork cut;
    for (const std::vector<bool> &group : removed)
        cut.removedUnits += std::ranges::count(group, true);
    if (network.summary().groups.empty())
        return fail(ErrorKind::Unsupported, network.summary().path + ", its channels cannot be followed from layer to layer; keep the masks instead");
    if (cut.removedUnits == 0)
        return fail(ErrorKind::Invalid, "surgery, there is nothing to remove: no channel is pruned in every layer that it belongs to; prune by a "
                                        "structured criterion first");
    if (context.stopped())
        return cancelled();
    const ChannelPlan plan = planChannels(network.graph(), network.executor().bindings());
    const ParameterMap masked = maskedParameters(network, false, state, resolved);
    BW_ASSIGN(Graph graph, removeChannels(network.graph(), plan, removed, masked));
    cut.network = Network::make(std::move(graph), name);
    cut.config = cutConfig(config, resolved, network, keptIndices(plan, removed));
    BW_ASSIGN(cut.maxAbsDifference, difference(network, masked, *cut.network));
    if (!(cut.maxAbsDifference <= kTolerance))
        return fail(ErrorKind::Unsupported, "surgery, the smaller network answers differently by " + std::to_string(cut.maxAbsDifference) +
                                                "; keep the masks instead");
    return cut;
}

} // namespace bitwright
