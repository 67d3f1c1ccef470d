// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model_session.h"

#include "graph/stored_layers.h"
#include "simulate/masking.h"

namespace bitwright {

void ModelSession::setData(std::shared_ptr<const Dataset> evaluation, std::shared_ptr<const Dataset> calibration,
                           std::shared_ptr<const Dataset> training)
{
    std::lock_guard lock(m_mutex);
    m_evaluator.reset();
    m_evaluation = std::move(evaluation);
    m_calibration = std::move(calibration);
    m_training = std::move(training);
    m_statistics.clear();
    m_previews.clear();
    floatValues.clear();
    lastConfig.clear();
}

void ModelSession::takeDataOf(const ModelSession &other)
{
    std::shared_ptr<const Dataset> evaluation, calibration, training;
    {
        std::lock_guard lock(other.m_mutex);
        evaluation = other.m_evaluation;
        calibration = other.m_calibration;
        training = other.m_training;
    }
    setData(std::move(evaluation), std::move(calibration), std::move(training));
}

Result<Evaluator *> ModelSession::evaluator()
{
    if (!m_evaluation)
        return fail(ErrorKind::Invalid, "evaluation, no data is open; open evaluation data first");
    if (!m_evaluator)
        m_evaluator = std::make_unique<Evaluator>(network, m_evaluation, m_cacheBytes, m_original);
    return m_evaluator.get();
}

Result<std::shared_ptr<const Dataset>> ModelSession::calibrationData() const
{
    std::lock_guard lock(m_mutex);
    if (auto data = m_calibration ? m_calibration : m_training ? m_training : m_evaluation)
        return data;
    return fail(ErrorKind::Invalid, "calibration, no data is open; open calibration data first");
}

Result<std::shared_ptr<const Dataset>> ModelSession::trainingData() const
{
    std::lock_guard lock(m_mutex);
    if (m_training)
        return m_training;
    return fail(ErrorKind::Invalid, "fine-tuning, no training data is open; open training data first");
}

Result<std::shared_ptr<const ActivationStatistics>> ModelSession::statistics(const WeightsState &state, bool folded,
                                                                             std::int64_t samples, const JobContext &context)
{
    if (auto known = knownStatistics(state.name, folded))
        return known;
    BW_ASSIGN(auto data, calibrationData());
    BW_ASSIGN(auto collected, collectActivations(*network, folded, state, *data, samples, context));
    auto shared = std::make_shared<const ActivationStatistics>(std::move(collected));
    std::lock_guard lock(m_mutex);
    std::erase_if(m_statistics, [&](const auto &entry) { return !entry.first.first.empty() && entry.first.first != state.name; });
    m_statistics[{state.name, folded}] = shared;
    // What was drawn from the stand-ins is drawn again.
    std::erase_if(m_previews, [](const auto &entry) { return entry.first.starts_with(roleName(Role::Activation)); });
    return shared;
}

std::shared_ptr<const ActivationStatistics> ModelSession::knownStatistics(const std::string &state, bool folded) const
{
    std::lock_guard lock(m_mutex);
    for (const bool twin : {folded, !folded})
        if (auto found = m_statistics.find({state, twin}); found != m_statistics.end())
            return found->second;
    return nullptr;
}

Result<std::shared_ptr<const PreviewSource>> ModelSession::previewSource(const std::string &layer, Role role, bool folded,
                                                                         const WeightsState &state, const Mask &mask)
{
    const std::string key = std::string(roleName(role)) + '/' + layer + (folded ? "/folded" : "");
    {
        std::lock_guard lock(m_mutex);
        if (m_previewState != state.name)
            m_previews.clear();
        m_previewState = state.name;
        if (auto found = m_previews.find(key); found != m_previews.end() && found->second.mask == mask)
            return found->second.source;
    }
    const auto index = network->binding(layer, folded);
    if (!index)
        return fail(ErrorKind::Invalid, "layer " + layer + ", the network has no such layer; choose one of the table");
    const Executor &executor = network->executor(folded);
    const LayerBinding &binding = executor.bindings()[*index];
    std::shared_ptr<const PreviewSource> source;
    if (role == Role::Weight) {
        const int parameter = executor.graph().parameterOf(binding.weight);
        if (parameter < 0)
            return fail(ErrorKind::Unsupported, "layer " + layer + ", its weight is computed by the network; choose another layer");
        const auto bound = executor.bind(network->parameters(folded, state.tensors));
        const LayerMask pruned = layerMask(*network, folded, binding, {{}, 0, {}, mask});
        BW_ASSIGN(PreviewSource made, bitwright::previewSource(pruned.survivors(realWeight(binding, bound[std::size_t(parameter)])),
                                                               {layer, Role::Weight, binding.info.channelAxis, false}));
        if (!mask.empty())   // what is pruned is missing on purpose: no news to warn of
            made.statistics.moments.nanCount = 0;
        source = std::make_shared<const PreviewSource>(std::move(made));
    } else {
        auto statistics = knownStatistics(state.name, folded);
        if (!statistics) {   // those of other weights stand in until these are counted
            std::lock_guard lock(m_mutex);
            statistics = m_statistics.empty() ? nullptr : m_statistics.begin()->second;
        }
        if (!statistics || !statistics->contains(layer))
            return fail(ErrorKind::Invalid, "layer " + layer + ", its input has not been seen yet; open data first");
        source = std::make_shared<const PreviewSource>(bitwright::previewSource(
            statistics->at(layer), {layer, Role::Activation, 0, binding.info.nonNegativeInput}));
    }
    std::lock_guard lock(m_mutex);
    if (m_previewState == state.name)
        m_previews[key] = {source, mask};
    return source;
}

Result<std::shared_ptr<const WeightsState>> ModelSession::state(const std::string &name) const
{
    if (name.empty())
        return std::make_shared<const WeightsState>();
    std::lock_guard lock(m_mutex);
    if (auto found = m_states.find(name); found != m_states.end())
        return found->second;
    return fail(ErrorKind::Invalid, "weights " + name + ", they are not in this session; fine-tune again or choose the float weights");
}

void ModelSession::addState(std::shared_ptr<const WeightsState> state)
{
    std::lock_guard lock(m_mutex);
    m_states[state->name] = std::move(state);
}

bool ModelSession::hasState(const std::string &name) const
{
    std::lock_guard lock(m_mutex);
    return name.empty() || m_states.contains(name);
}

Result<ResolvedConfig> ModelSession::resolveCalibrated(const ModelConfig &config, const WeightsState &state,
                                                       const JobContext &context, std::int64_t samples)
{
    BW_ASSIGN(ResolvedConfig resolved, resolve(config, network->summary(), methodCatalog()));
    BW_CHECK(fillMasks(resolved, *network, config.foldBatchNorm, state));
    BW_ASSIGN(const bool lacks, needsActivations(*network, resolved));
    const WeightsState masked = lacks ? maskedState(*network, state, resolved) : WeightsState{};
    if (lacks && masked.name != state.name) {   // masks come and go: their statistics are not kept
        BW_ASSIGN(auto data, calibrationData());
        BW_ASSIGN(const auto seen, collectActivations(*network, config.foldBatchNorm, masked, *data, samples, context));
        BW_CHECK(fillActivations(resolved, *network, seen));
    } else if (lacks) {
        BW_ASSIGN(auto known, statistics(state, config.foldBatchNorm, samples, context));
        BW_CHECK(fillActivations(resolved, *network, *known));
    }
    return resolved;
}

} // namespace bitwright
