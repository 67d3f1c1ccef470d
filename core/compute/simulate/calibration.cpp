// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/calibration.h"

#include "simulate/sample_batches.h"
#include "tensor/guarded.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace bitwright {

namespace {

constexpr std::int64_t kBatch = 64;

Result<std::unique_ptr<Quantizer>> activationQuantizer(const LayerInfo &layer, const QuantSpec &spec)
{
    return makeQuantizer(spec, {layer.name, Role::Activation, 0, layer.nonNegativeInput});
}

} // namespace

Result<ActivationStatistics> collectActivations(const Network &network, bool folded, const WeightsState &state,
                                                const Dataset &data, std::int64_t samples, const JobContext &context)
{
    at::NoGradGuard noGrad;
    const Executor &executor = network.executor(folded);
    const auto parameters = executor.bind(network.parameters(folded, state.tensors));
    std::vector<SiteCollector> collectors(executor.bindings().size());
    const Tap tap = [&](std::size_t binding, int, const at::Tensor &input, bool) {
        if (executor.bindings()[binding].info.inputQuantizable())
            collectors[binding].add(input);
        return input;
    };
    RunOptions options;
    options.tap = &tap;
    options.stop = context.stop;
    if (const std::size_t given = std::max<std::size_t>(1, data.columns.size()); given != executor.graph().inputs.size())
        return fail(ErrorKind::Unsupported, network.summary().path + ", it has " + std::to_string(executor.graph().inputs.size()) +
                                                " inputs, the data brings " + std::to_string(given) + "; open data made for it");
    const std::int64_t fixed = requiredBatch(network, data);
    const std::int64_t batch = fixed > 0 ? fixed : kBatch;
    const std::int64_t total = samples > 0 ? std::min(samples, data.size()) : data.size();
    for (std::int64_t first = 0; first < total; first += batch) {
        if (context.stopped())
            return cancelled();
        // A fixed batch has to be full, so the last slice starts earlier and sees some samples twice.
        const std::int64_t start = fixed > 0 ? std::max<std::int64_t>(0, std::min(first, data.size() - fixed)) : first;
        const std::int64_t count = fixed > 0 ? std::min(fixed, data.size()) : std::min(batch, total - first);
        BW_CHECK(executor.run(batchArguments(network, data, start, count), parameters, options));
        context.progress("calibrating", std::min(first + batch, total), total);
        context.breathe();
    }
    ActivationStatistics statistics;
    for (std::size_t i = 0; i < collectors.size(); ++i) {
        if (executor.bindings()[i].info.inputQuantizable())
            statistics[executor.bindings()[i].info.name] = collectors[i].finish();
    }
    return statistics;
}

Result<bool> needsActivations(const Network &network, const ResolvedConfig &config)
{
    for (const LayerInfo &layer : network.summary().layers) {
        auto found = config.find(layer.name);
        if (found == config.end() || found->second.activation.isFloat())
            continue;
        BW_ASSIGN(auto quantizer, activationQuantizer(layer, found->second.activation));
        if (!quantizer->calibrated())
            return true;
    }
    return false;
}

Status fillActivations(ResolvedConfig &config, const Network &network, const ActivationStatistics &statistics)
{
    for (const LayerInfo &layer : network.summary().layers) {
        auto found = config.find(layer.name);
        if (found == config.end() || found->second.activation.isFloat())
            continue;
        QuantSpec &spec = found->second.activation;
        BW_ASSIGN(auto quantizer, activationQuantizer(layer, spec));
        if (quantizer->calibrated())
            continue;
        auto seen = statistics.find(layer.name);
        if (seen == statistics.end() || seen->second.moments.count == 0)
            return fail(ErrorKind::Invalid, "layer " + layer.name + ", no finite input was seen; calibrate with other data");
        BW_CHECK(quantizer->calibrate(seen->second));
        spec.values = quantizer->values();
    }
    return {};
}

Status fillWeights(ResolvedConfig &config, std::shared_ptr<const Network> network, bool folded, const WeightsState &state)
{
    ResolvedConfig weightsOnly = config;
    for (auto &[name, layer] : weightsOnly)
        layer.activation = QuantSpec{};
    BW_ASSIGN(auto simulation, Simulation::make(std::move(network), weightsOnly, folded, state));
    for (auto &[name, layer] : simulation->configWithValues())
        config[name].weight.values = layer.weight.values;
    return {};
}

ModelConfig withValues(ModelConfig config, const ResolvedConfig &resolved, bool weights)
{
    for (const auto &[name, layer] : resolved) {
        if (!layer.activation.isFloat())
            setSpec(config, name, Role::Activation, layer.activation);
        if (weights && !layer.weight.isFloat())
            setSpec(config, name, Role::Weight, layer.weight);
        if (!layer.prune.isNone())
            setPrune(config, name, layer.prune);
    }
    return config;
}

} // namespace bitwright
