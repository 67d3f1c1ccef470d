// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/training_state.h"

#include "simulate/sample_batches.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <array>
#include <cmath>
#include <set>

namespace bitwright {
namespace {

constexpr std::size_t kGradientBins = 128;
constexpr double kSecondMoment = 0.999;   // Adam's beta 2, which loss-aware methods were published with

} // namespace

Result<std::unique_ptr<TrainingState>> TrainingState::make(const FineTuneInput &input)
{
    std::unique_ptr<TrainingState> state(new TrainingState);
    state->m_input = &input;
    BW_CHECK(state->makeQuantizers());
    BW_CHECK(state->makeVariables());
    auto *self = state.get();
    state->m_tap = [self](std::size_t binding, int, const at::Tensor &x, bool mayOverwrite) {
        if (self->m_watch.contains(binding))
            self->m_watched[binding] = x;
        Quantizer *quantizer = self->m_slots[binding].activation.get();
        if (!quantizer)
            return x;
        if (!at::GradMode::is_enabled())
            return quantizer->apply(x, mayOverwrite);
        quantizer->observe(x.detach());
        return quantizer->forward(x);
    };
    return state;
}

Status TrainingState::makeQuantizers()
{
    const Executor &executor = m_input->network->executor(m_input->foldBatchNorm);
    const auto start = executor.bind(m_input->network->parameters(m_input->foldBatchNorm, m_input->start.tensors));
    m_config = m_input->config;
    BW_CHECK(fillMasks(m_config, *m_input->network, m_input->foldBatchNorm, m_input->start));
    m_slots.resize(executor.bindings().size());
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        const LayerBinding &binding = executor.bindings()[i];
        auto found = m_config.find(binding.info.name);
        if (found == m_config.end() || binding.info.status != LayerStatus::Quantizable)
            continue;
        Slot &slot = m_slots[i];
        slot.mask = layerMask(*m_input->network, m_input->foldBatchNorm, binding, found->second.prune);
        if (const QuantSpec &spec = found->second.weight; !spec.isFloat()) {
            BW_ASSIGN(slot.weight, makeQuantizer(spec, {binding.info.name, Role::Weight, binding.info.channelAxis, false}));
            const bool given = slot.weight->calibrated();
            if (!given)
                BW_CHECK(slot.weight->calibrate(
                    slot.mask.survivors(start[std::size_t(executor.graph().parameterOf(binding.weight))].detach())));
            for (const Learnable &learnable : slot.weight->learnables())
                slot.learnables.push_back({"weight/" + learnable.name, learnable.tensor, learnable.rateFactor, learnable.decay});
            slot.weightFollows = !given && slot.learnables.empty() && !slot.weight->keepsValues();
            if (slot.weight->wantsCurvature()) {
                slot.secondMoment = at::zeros(binding.info.weightShape, at::kFloat);
                slot.momentSteps = at::zeros({}, at::kLong);
            }
            slot.weight->freeze(start[std::size_t(executor.graph().parameterOf(binding.weight))].detach());
        }
        if (const QuantSpec &spec = found->second.activation; !spec.isFloat()) {
            BW_ASSIGN(slot.activation,
                      makeQuantizer(spec, {binding.info.name, Role::Activation, 0, binding.info.nonNegativeInput}));
            if (!slot.activation->calibrated()) {
                return fail(ErrorKind::Invalid, "layer " + binding.info.name + ", its activation quantizer has no values yet; "
                                                    "run `calibrate` on this assignment first");
            }
            for (const Learnable &learnable : slot.activation->learnables())
                slot.learnables.push_back({"activation/" + learnable.name, learnable.tensor, learnable.rateFactor, learnable.decay});
        }
    }
    return {};
}

Status TrainingState::makeVariables()
{
    const Graph &graph = m_input->network->graph();
    std::vector<TrainedTensor> trained;
    const ParameterMap start = m_input->network->parameters(false, m_input->start.tensors);
    for (const Parameter &parameter : graph.parameters) {
        at::Tensor variable = start.at(parameter.name).detach().clone();
        if (parameter.trainable && variable.is_floating_point()) {
            variable.set_requires_grad(true);
            // One-dimensional tensors are biases and batch norm: no decay (methods.md A4).
            trained.push_back({parameter.name, variable, variable.dim() > 1});
        }
        m_variables[parameter.name] = variable;
    }
    const Executor &executor = m_input->network->executor(m_input->foldBatchNorm);
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        for (const Learnable &learnable : m_slots[i].learnables)
            trained.push_back({executor.bindings()[i].info.name + '/' + learnable.name, learnable.tensor, learnable.decay, learnable.rateFactor});
    }
    m_silenced = silencedParameters(*m_input->network, m_input->foldBatchNorm, m_config);
    if (trained.empty())
        return fail(ErrorKind::Invalid, "network, it has no trainable parameters; fine-tuning has nothing to change");
    BW_ASSIGN(m_optimizer, makeOptimizer(m_input->options, std::move(trained)));
    return {};
}

/// The variables that a layer's mask touches. Under folded batch norm bias and gamma are no variables of the graph; the
/// forward pass masks them.
void TrainingState::eachMasked(const LayerMask &mask, const Masked &visit) const
{
    const Graph &graph = m_input->network->executor(m_input->foldBatchNorm).graph();
    const auto one = [&](std::size_t parameter, const at::Tensor &stays) {
        const std::string &name = graph.parameters[parameter].name;
        const auto found = m_variables.find(name);
        if (found != m_variables.end() && found->second.sizes() == stays.sizes())
            visit(name, stays);
    };
    if (mask.kept.defined())
        one(mask.parameter, mask.kept);
    for (const auto &[parameter, stays] : mask.channels)
        one(parameter, stays);
}

/// Pruned entries are put to zero. They get no gradient, so neither momentum nor weight decay ever moves them.
void TrainingState::holdMask(const LayerMask &mask)
{
    const at::NoGradGuard noGrad;
    eachMasked(mask, [&](const std::string &name, const at::Tensor &stays) {
        m_variables.at(name).mul_(stays);
        m_optimizer->hold(name, stays);
    });
}

void TrainingState::holdMasks()
{
    if (m_regrow)
        return;
    holdMask(m_silenced);
    for (const Slot &slot : m_slots)
        holdMask(slot.mask);
}

/// With regrowth the value is zero and the gradient that of the dense weight: w - w is 0, its second half has no gradient.
void TrainingState::applyMask(const LayerMask &mask, std::vector<at::Tensor> &bound) const
{
    if (!m_regrow) {
        mask.apply(bound);
        return;
    }
    const auto soft = [&](std::size_t parameter, const at::Tensor &stays) {
        at::Tensor &tensor = bound[parameter];
        tensor = at::where(stays, tensor, tensor - tensor.detach());
    };
    if (mask.kept.defined())
        soft(mask.parameter, mask.kept);
    for (const auto &[parameter, stays] : mask.channels)
        soft(parameter, stays);
}

at::Tensor TrainingState::variable(const std::string &name) const
{
    const auto found = m_variables.find(name);
    return found == m_variables.end() ? at::Tensor() : found->second;
}

WeightsState TrainingState::weights() const
{
    WeightsState now{"in training", {}};
    for (const auto &[name, tensor] : m_variables)
        now.tensors[name] = tensor.detach();
    return now;
}

PruneSpec TrainingState::pruning(const std::string &layer) const
{
    const auto found = m_config.find(layer);
    return found == m_config.end() ? PruneSpec{} : found->second.prune;
}

Status TrainingState::setPruning(const std::map<std::string, PruneSpec> &masks)
{
    const auto &bindings = m_input->network->executor(m_input->foldBatchNorm).bindings();
    std::size_t found = 0;
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        const auto mask = masks.find(bindings[i].info.name);
        if (mask == masks.end() || bindings[i].info.status != LayerStatus::Quantizable)
            continue;
        ++found;
        m_config[mask->first].prune = mask->second;
        m_slots[i].mask = layerMask(*m_input->network, m_input->foldBatchNorm, bindings[i], mask->second);
        if (!m_regrow)
            holdMask(m_slots[i].mask);
    }
    if (found != masks.size())
        return fail(ErrorKind::Internal, "masks, they name a layer that cannot be pruned; report it");
    m_silenced = silencedParameters(*m_input->network, m_input->foldBatchNorm, m_config);
    if (!m_regrow)
        holdMask(m_silenced);
    return {};
}

void TrainingState::watchInputs(const std::vector<std::size_t> &bindings)
{
    m_watch.insert(bindings.begin(), bindings.end());
}

std::vector<Learnable> TrainingState::Slot::running() const
{
    std::vector<Learnable> all;
    for (const auto &[prefix, quantizer] : {std::pair{"weight/", weight.get()}, std::pair{"activation/", activation.get()}})
        for (const Learnable &each : quantizer ? quantizer->running() : std::vector<Learnable>{})
            all.push_back({prefix + each.name, each.tensor});
    if (secondMoment.defined()) {
        all.push_back({"curvature", secondMoment});
        all.push_back({"curvature steps", momentSteps});
    }
    return all;
}

void TrainingState::beginStep(TrainingClock clock)
{
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        clock.site = 2 * i;
        if (m_slots[i].weight)
            m_slots[i].weight->beginStep(clock);
        clock.site = 2 * i + 1;
        if (m_slots[i].activation)
            m_slots[i].activation->beginStep(clock);
    }
}

/// With the hooks of a training step around the forward pass (methods.md A8).
at::Tensor TrainingState::quantizedWeight(Slot &slot, const at::Tensor &weight) const
{
    const std::int64_t seen = slot.momentSteps.defined() ? slot.momentSteps.item<std::int64_t>() : 0;
    if (seen > 0)
        slot.weight->setCurvature(slot.secondMoment / (1 - std::pow(kSecondMoment, double(seen))));
    if (!slot.weightFollows)
        slot.weight->observe(slot.mask.survivors(weight.detach()));
    const at::Tensor quantized = slot.weight->forward(weight);
    if (slot.momentSteps.defined() && quantized.requires_grad()) {
        // at the quantized weight, before any backward rule changes it (methods.md B19)
        quantized.register_hook([moment = slot.secondMoment, steps = slot.momentSteps](const at::Tensor &g) {
            const at::NoGradGuard noGrad;
            at::Tensor(moment).mul_(kSecondMoment).addcmul_(g, g, 1 - kSecondMoment);
            at::Tensor(steps).add_(1);
        });
    }
    return quantized;
}

/// The weight as a tensor of its own, whose gradient is what comes out of the quantizer's backward rule.
at::Tensor TrainingState::traced(const at::Tensor &weight, const std::string &layer)
{
    if (!weight.requires_grad())
        return weight;
    const at::Tensor seen = weight.view_as(weight);
    seen.register_hook([this, layer](const at::Tensor &g) { m_gradients[layer] = histogramOf(g, kGradientBins); });
    return seen;
}

Status TrainingState::quantizeWeights(std::vector<at::Tensor> &bound)
{
    const Executor &executor = m_input->network->executor(m_input->foldBatchNorm);
    applyMask(m_silenced, bound);
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        const LayerMask &mask = m_slots[i].mask;
        applyMask(mask, bound);
        if (!m_slots[i].weight)
            continue;
        at::Tensor &weight = bound[std::size_t(executor.graph().parameterOf(executor.bindings()[i].weight))];
        if (m_slots[i].weightFollows)
            BW_CHECK(m_slots[i].weight->calibrate(mask.survivors(weight.detach())));
        weight = quantizedWeight(m_slots[i], m_traceGradients ? traced(weight, executor.bindings()[i].info.name) : weight);
        applyMask(mask, bound);
    }
    return {};
}

Result<at::Tensor> TrainingState::forward(const at::Tensor &batch, std::stop_token stop)
{
    return forward(std::vector<c10::IValue>{batch}, batch.size(0), std::move(stop));
}

Result<at::Tensor> TrainingState::forward(const std::vector<c10::IValue> &inputs, std::int64_t samples, std::stop_token stop)
{
    const bool folded = m_input->foldBatchNorm;
    const Executor &executor = m_input->network->executor(folded);
    std::vector<at::Tensor> bound = executor.bind(folded ? m_input->network->parameters(true, m_variables) : m_variables);
    BW_CHECK(quantizeWeights(bound));
    RunOptions run;
    run.training = true;
    run.mutateBuffers = true;
    run.tap = &m_tap;
    run.stop = std::move(stop);
    if (m_input->training->columns.empty())
        return executor.runBatch(inputs.front().toTensor(), bound, run);
    BW_ASSIGN(const auto outputs, executor.run(inputs, bound, run));
    return outputBySample(*m_input->network, *m_input->training, outputs, samples);
}

void TrainingState::step(double learningRate)
{
    m_optimizer->step(learningRate);
    const at::NoGradGuard noGrad;
    const Executor &executor = m_input->network->executor(m_input->foldBatchNorm);
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        Slot &slot = m_slots[i];
        if (slot.activation)
            slot.activation->endStep();
        if (!slot.weight)
            continue;
        slot.weight->endStep();
        // A folded weight is made anew from the variables: there is nothing to keep in range.
        if (m_input->foldBatchNorm)
            continue;
        const std::string &name = executor.graph().parameters[std::size_t(executor.graph().parameterOf(executor.bindings()[i].weight))].name;
        slot.weight->constrain(m_variables.at(name));
    }
}

/// A layer whose codes are frozen is its shared values by now; what lies in the variable is only where they came from.
void TrainingState::holdShared(ParameterMap &copy) const
{
    const at::NoGradGuard noGrad;
    const Executor &executor = m_input->network->executor(m_input->foldBatchNorm);
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        at::Tensor shared = m_slots[i].weight ? m_slots[i].weight->frozen() : at::Tensor();
        const int parameter = executor.graph().parameterOf(executor.bindings()[i].weight);
        const auto held = parameter < 0 ? copy.end() : copy.find(executor.graph().parameters[std::size_t(parameter)].name);
        if (!shared.defined() || held == copy.end())
            continue;
        if (m_slots[i].mask.kept.defined())
            shared = at::where(m_slots[i].mask.kept, shared, at::zeros({}));
        if (m_input->foldBatchNorm) {   // folding multiplies each channel: take that factor out again
            ParameterMap ones = m_variables;
            ones[held->first] = at::ones_like(held->second);
            const at::Tensor factor = m_input->network->parameters(true, ones).at(held->first).detach();
            shared = at::where(factor == 0, shared, shared / factor);
        }
        held->second = shared.to(held->second.scalar_type());
    }
}

ParameterMap TrainingState::snapshot() const
{
    ParameterMap copy;
    for (const auto &[name, tensor] : m_variables)
        copy[name] = tensor.detach().clone();
    const auto zero = [&](const std::string &name, const at::Tensor &stays) { copy.at(name).mul_(stays); };
    eachMasked(m_silenced, zero);
    for (const Slot &slot : m_slots)
        eachMasked(slot.mask, zero);
    holdShared(copy);
    return copy;
}

void TrainingState::setBuffers(const ParameterMap &buffers)
{
    at::NoGradGuard noGrad;
    for (const auto &[name, tensor] : buffers) {
        if (auto found = m_variables.find(name); found != m_variables.end())
            found->second.copy_(tensor);
    }
}

ResolvedConfig TrainingState::evaluationConfig() const
{
    ResolvedConfig config = m_config;
    const Executor &executor = m_input->network->executor(m_input->foldBatchNorm);
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        const Slot &slot = m_slots[i];
        if (slot.weight && !slot.weightFollows)
            config[executor.bindings()[i].info.name].weight.values = slot.weight->values();
        if (slot.activation)
            config[executor.bindings()[i].info.name].activation.values = slot.activation->values();
    }
    return config;
}

TensorArchive TrainingState::save() const
{
    TensorArchive archive;
    for (const auto &[name, tensor] : m_variables)
        archive.tensors["parameter/" + name] = tensor;
    for (const auto &[name, tensor] : m_optimizer->state())
        archive.tensors["optimizer/" + name] = tensor;
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        for (const Learnable &learnable : m_slots[i].learnables)
            archive.tensors["learned/" + std::to_string(i) + '/' + learnable.name] = learnable.tensor;
        for (const Learnable &each : m_slots[i].running())
            archive.tensors["running/" + std::to_string(i) + '/' + each.name] = each.tensor;
    }
    return archive;
}

Status TrainingState::restore(const TensorArchive &archive, const std::string &path)
{
    at::NoGradGuard noGrad;
    auto copy = [&](const std::string &key, at::Tensor &target) -> Status {
        auto found = archive.tensors.find(key);
        if (found == archive.tensors.end() || found->second.sizes() != target.sizes())
            return fail(ErrorKind::Invalid, path + ", it is a checkpoint of another network or assignment; give the right one or leave out resume");
        target.copy_(found->second);
        return {};
    };
    for (auto &[name, tensor] : m_variables)
        BW_CHECK(copy("parameter/" + name, tensor));
    for (std::size_t i = 0; i < m_slots.size(); ++i) {
        for (Learnable &learnable : m_slots[i].learnables)
            BW_CHECK(copy("learned/" + std::to_string(i) + '/' + learnable.name, learnable.tensor));
        for (Learnable &each : m_slots[i].running())
            BW_CHECK(copy("running/" + std::to_string(i) + '/' + each.name, each.tensor));
    }
    std::map<std::string, at::Tensor> optimizer;
    constexpr std::string_view kPrefix = "optimizer/";
    for (const auto &[name, tensor] : archive.tensors) {
        if (name.starts_with(kPrefix))
            optimizer[name.substr(kPrefix.size())] = tensor;
    }
    m_optimizer->restore(optimizer);
    return {};
}

} // namespace bitwright
