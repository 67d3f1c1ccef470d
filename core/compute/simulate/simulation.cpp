// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/simulation.h"

#include "base/sha256.h"
#include "simulate/masking.h"
#include "tensor/guarded.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include <ATen/core/grad_mode.h>

namespace bitwright {

std::string specKey(const QuantSpec &spec)
{
    if (spec.isFloat())
        return "float";
    nlohmann::json key{{"m", spec.method}, {"b", spec.bits}, {"v", spec.values}};
    for (const auto &[name, value] : spec.options)
        key["o"][name] = paramToJson(value);
    return key.dump();
}

/// Short enough for a key; two masks of one network that share it are as unlikely as two files of one sum.
std::string maskKey(const Mask &mask)
{
    if (mask.empty())
        return {};
    Sha256 sum;
    sum.update(mask.bitmap());
    return sum.hex();
}

std::optional<WeightCache::Entry> WeightCache::find(const std::string &key)
{
    std::lock_guard lock(m_mutex);
    auto found = m_index.find(key);
    if (found == m_index.end())
        return std::nullopt;
    m_items.splice(m_items.begin(), m_items, found->second);
    return found->second->second;
}

void WeightCache::insert(const std::string &key, Entry entry)
{
    std::lock_guard lock(m_mutex);
    if (m_index.contains(key))
        return;
    m_bytes += std::int64_t(entry.tensor.nbytes());
    m_items.emplace_front(key, std::move(entry));
    m_index[key] = m_items.begin();
    while (m_bytes > m_limit && m_items.size() > 1) {
        m_bytes -= std::int64_t(m_items.back().second.tensor.nbytes());
        m_index.erase(m_items.back().first);
        m_items.pop_back();
    }
}

void WeightCache::clear()
{
    std::lock_guard lock(m_mutex);
    m_items.clear();
    m_index.clear();
    m_bytes = 0;
}

Result<std::unique_ptr<Simulation>> Simulation::make(std::shared_ptr<const Network> network, const ResolvedConfig &config,
                                                     bool folded, const WeightsState &state, WeightCache *cache)
{
    at::NoGradGuard noGrad;
    std::unique_ptr<Simulation> simulation(new Simulation);
    simulation->m_network = std::move(network);
    simulation->m_folded = folded;
    simulation->m_stateName = state.name;
    const Executor &executor = simulation->executor();
    const auto &bindings = executor.bindings();
    simulation->m_weight.resize(bindings.size());
    simulation->m_activation.resize(bindings.size());
    simulation->m_rectifying.resize(bindings.size());
    simulation->m_parameters = executor.bind(folded || !state.tensors.empty()
                                                 ? simulation->m_network->parameters(folded, state.tensors)
                                                 : ParameterMap{});
    ResolvedConfig complete = config;
    BW_CHECK(fillMasks(complete, *simulation->m_network, folded, state));
    silencedParameters(*simulation->m_network, folded, complete).apply(simulation->m_parameters);
    for (std::size_t i = 0; i < bindings.size(); ++i) {
        auto found = complete.find(bindings[i].info.name);
        if (found == complete.end() || bindings[i].info.status != LayerStatus::Quantizable)
            continue;
        simulation->m_config[found->first] = found->second;
        BW_CHECK(simulation->setUpLayer(i, found->second, state, cache));
    }
    auto *self = simulation.get();
    simulation->m_tap = [self](std::size_t binding, int call, const at::Tensor &input, bool mayOverwrite) {
        Quantizer *quantizer = self->m_activation[binding].get();
        if (!quantizer)
            return input;
        at::Tensor quantized = quantizer->apply(input, mayOverwrite);
        if (self->observer)
            self->observer(binding, call, quantized);
        return quantized;
    };
    return simulation;
}

Status Simulation::setUpWeight(std::size_t index, const LayerConfig &layer, const WeightsState &state, WeightCache *cache)
{
    const LayerBinding &binding = executor().bindings()[index];
    const LayerMask mask = layerMask(*m_network, m_folded, binding, layer.prune);
    mask.apply(m_parameters);
    if (layer.weight.isFloat())
        return {};
    const Site site{binding.info.name, Role::Weight, binding.info.channelAxis, false};
    BW_ASSIGN(m_weight[index], makeQuantizer(layer.weight, site));
    at::Tensor &weight = m_parameters[std::size_t(executor().graph().parameterOf(binding.weight))];
    const std::string key = state.name + (m_folded ? "|folded|" : "|plain|") + binding.info.name + '|' + specKey(layer.weight);
    // Masked weights are not kept: a mask changes as a whole, and its key would be as long as itself.
    auto hit = cache && !mask.kept.defined() ? cache->find(key) : std::nullopt;
    if (hit) {
        QuantSpec complete = layer.weight;
        complete.values = hit->values;
        BW_ASSIGN(m_weight[index], makeQuantizer(complete, site));
        // Some methods keep no values: what they are is seen from the weight.
        if (!m_weight[index]->calibrated())
            BW_CHECK(m_weight[index]->calibrate(mask.survivors(weight)));
        weight = hit->tensor;
        return {};
    }
    if (!m_weight[index]->calibrated())
        BW_CHECK(m_weight[index]->calibrate(mask.survivors(weight)));
    BW_CHECK(guarded("layer " + binding.info.name + ", weight", ErrorKind::Invalid,
                     [&] { weight = m_weight[index]->apply(weight, false); }));
    mask.apply(m_parameters);   // whatever the method, zero stays zero
    if (cache && !mask.kept.defined())
        cache->insert(key, {weight, m_weight[index]->values()});
    return {};
}

Status Simulation::setUpLayer(std::size_t index, const LayerConfig &layer, const WeightsState &state, WeightCache *cache)
{
    const LayerBinding &binding = executor().bindings()[index];
    BW_CHECK(setUpWeight(index, layer, state, cache));
    if (!layer.activation.isFloat()) {
        const Site input{binding.info.name, Role::Activation, 0, binding.info.nonNegativeInput};
        BW_ASSIGN(m_activation[index], makeQuantizer(layer.activation, input));
        if (!m_activation[index]->calibrated()) {
            return fail(ErrorKind::Invalid, "layer " + binding.info.name + ", its activation quantizer has no values yet; "
                                                "run `calibrate` on this assignment first");
        }
        const QuantGrid grid = m_activation[index]->grid();
        m_rectifying[index] = grid.uniform && std::ranges::all_of(grid.groups, [&](const QuantGrid::Group &group) {
            return group.zeroPoint == grid.qmin;
        });
    }
    return {};
}

RunOptions Simulation::runOptions(std::stop_token stop) const
{
    RunOptions options;
    options.tap = &m_tap;
    options.rectifying = &m_rectifying;
    options.stop = std::move(stop);
    return options;
}

Result<at::Tensor> Simulation::run(const at::Tensor &input, std::stop_token stop) const
{
    at::NoGradGuard noGrad;
    return executor().runBatch(input, m_parameters, runOptions(std::move(stop)));
}

Result<std::vector<c10::IValue>> Simulation::runAll(std::span<const c10::IValue> inputs, std::stop_token stop) const
{
    at::NoGradGuard noGrad;
    return executor().run(inputs, m_parameters, runOptions(std::move(stop)));
}

Quantizer *Simulation::quantizer(std::size_t binding, Role role) const
{
    return (role == Role::Weight ? m_weight : m_activation)[binding].get();
}

ResolvedConfig Simulation::configWithValues() const
{
    ResolvedConfig complete = m_config;
    const auto &bindings = executor().bindings();
    for (std::size_t i = 0; i < bindings.size(); ++i) {
        if (m_weight[i])
            complete[bindings[i].info.name].weight.values = m_weight[i]->values();
        if (m_activation[i])
            complete[bindings[i].info.name].activation.values = m_activation[i]->values();
    }
    return complete;
}

std::string Simulation::prefixKey(std::size_t node) const
{
    std::string key = m_stateName + (m_folded ? "|folded" : "|plain");
    const auto &bindings = executor().bindings();
    for (std::size_t i = 0; i < bindings.size(); ++i) {
        auto found = m_config.find(bindings[i].info.name);
        if (found == m_config.end() || executor().firstNodeOf(i) >= node)
            continue;
        const LayerConfig &layer = found->second;
        if (!layer.weight.isFloat() || !layer.activation.isFloat() || !layer.prune.isNone())
            key += '|' + found->first + '=' + specKey(layer.weight) + '/' + specKey(layer.activation) + '/' + maskKey(layer.prune.mask);
    }
    return key;
}

} // namespace bitwright
