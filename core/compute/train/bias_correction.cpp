// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/bias_correction.h"

#include "simulate/layer_outlets.h"
#include "simulate/masking.h"
#include "simulate/sample_batches.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <optional>

namespace bitwright {

namespace {

constexpr std::int64_t kBatch = 64;
constexpr std::int64_t kLiveBytes = std::int64_t(1) << 30;   // live sets held; beyond it every layer's pass starts anew

class Corrector {
public:
    Corrector(std::shared_ptr<const Network> network, bool folded, const Dataset &data, std::int64_t total, const JobContext &context)
        : m_network(std::move(network)), m_folded(folded), m_data(data), m_context(context)
    {
        const std::int64_t fixed = m_network->graph().fixedBatch, batch = fixed > 0 ? fixed : kBatch;
        for (std::int64_t first = 0; first < total; first += batch)
            m_batches.push_back({first, std::min(batch, total - first), {}});
    }

    Result<BiasCorrection> run(const ResolvedConfig &config, const WeightsState &state);

private:
    /// One layer that can be corrected: where its mean is seen and what is moved.
    struct Target {
        std::size_t binding = 0, parameter = 0;   ///< the parameter of the executor's graph
        std::string name;                         ///< of the parameter of the original graph
        Outlet outlet;
        at::Tensor alive;                         ///< 0 or 1 per channel; undefined: all are alive
        at::Tensor wanted;                        ///< mean per channel of the float network
    };
    struct Batch { std::int64_t first = 0, count = 0; std::optional<LiveSet> live; };

    const Executor &executor() const { return m_network->executor(m_folded); }
    void findTargets(const ResolvedConfig &config, BiasCorrection &result);
    std::string whyNot(const LayerBinding &binding, Target &target) const;
    Status measureFloat(const Simulation &plain);
    Result<at::Tensor> mean(const Target &target, const Simulation &simulation, std::span<const at::Tensor> parameters);
    void keepLive(Batch &batch, LiveSet live);

    std::shared_ptr<const Network> m_network;
    bool m_folded;
    const Dataset &m_data;
    const JobContext &m_context;
    std::vector<Batch> m_batches;
    std::vector<Target> m_targets;
    bool m_keepLive = true;
};

int parameterNamed(const Graph &graph, const std::string &name)
{
    const auto found = std::ranges::find(graph.parameters, name, &Parameter::name);
    return found == graph.parameters.end() ? -1 : int(found - graph.parameters.begin());
}

/// Why a layer cannot be corrected, or nothing; fills in what is moved.
std::string Corrector::whyNot(const LayerBinding &binding, Target &target) const
{
    if (binding.info.weightOnly)
        return "only its weight is quantized: " + weightOnlyReason(binding.info);
    const Graph &graph = executor().graph();
    const auto calls = outletsOf(graph, binding);
    if (calls.size() != 1)
        return "it runs " + std::to_string(calls.size()) + " times, and one bias cannot serve several means";
    target.outlet = calls.front().normalized;
    const LayerInfo *layer = m_network->summary().layer(binding.info.name);   // the folded graph no longer knows
    const std::string batchNorm = layer ? layer->batchNorm : std::string();
    if (batchNorm.empty()) {
        const int bias = binding.bias == kNoValue ? -1 : graph.parameterOf(binding.bias);
        if (bias < 0)
            return "it has neither a bias nor a batch norm behind it";
        target.parameter = std::size_t(bias);
        target.name = graph.parameters[target.parameter].name;
        return {};
    }
    target.name = batchNorm + ".bias";
    if (!m_network->graph().parameter(target.name))
        return "the batch norm behind it has no shift to put the correction into";
    // Folded, beta is a summand of the layer's bias; not folded, the batch norm has to be its only reader.
    const int parameter = m_folded ? (binding.bias == kNoValue ? -1 : graph.parameterOf(binding.bias)) : parameterNamed(graph, target.name);
    if (parameter < 0 || (!m_folded && target.outlet.value == calls.front().own.value))
        return "what it gives is read past its batch norm";
    target.parameter = std::size_t(parameter);
    return {};
}

void Corrector::findTargets(const ResolvedConfig &config, BiasCorrection &result)
{
    for (std::size_t i = 0; i < executor().bindings().size(); ++i) {
        const LayerBinding &binding = executor().bindings()[i];
        if (binding.info.status != LayerStatus::Quantizable)
            continue;
        Target target;
        target.binding = i;
        if (const std::string why = whyNot(binding, target); !why.empty()) {
            result.skipped.emplace_back(binding.info.name, why);
            continue;
        }
        if (const auto spec = config.find(binding.info.name); spec != config.end())
            for (const auto &[parameter, stays] : layerMask(*m_network, m_folded, binding, spec->second.prune).channels)
                if (parameter == target.parameter)
                    target.alive = stays.to(at::kDouble);
        m_targets.push_back(std::move(target));
    }
    std::ranges::sort(m_targets, {}, [&](const Target &target) { return executor().firstNodeOf(target.binding); });
}

at::Tensor sumOf(const std::vector<LiveSet> &captured, const Outlet &outlet, const LayerInfo &layer, std::int64_t count)
{
    for (const LiveSet &live : captured)
        if (live.node == outlet.cut)
            for (const auto &[value, held] : live.values)
                if (value == outlet.value)
                    return outletChannels(held.toTensor().narrow(0, 0, count).to(at::kDouble), layer).mean(1) * double(count);
    return {};
}

/// The wanted mean of every layer in one pass over the data.
Status Corrector::measureFloat(const Simulation &plain)
{
    std::vector<std::size_t> cuts;
    for (const Target &target : m_targets)
        cuts.push_back(target.outlet.cut);
    std::ranges::sort(cuts);
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::int64_t rows = 0;
    for (const Batch &batch : m_batches) {
        if (m_context.stopped())
            return cancelled();
        m_context.breathe();
        std::vector<LiveSet> captured;
        RunOptions run = plain.runOptions(m_context.stop);
        run.captureAt = cuts;
        run.captured = &captured;
        run.stopAfterCapture = true;
        const std::array<c10::IValue, 1> input{c10::IValue(m_data.inputs(batch.first, batch.count))};
        BW_CHECK(executor().run(input, plain.parameters(), run));
        for (Target &target : m_targets) {
            const at::Tensor sum = sumOf(captured, target.outlet, executor().bindings()[target.binding].info, batch.count);
            if (!sum.defined())
                return fail(ErrorKind::Internal, "bias correction, the result of layer " + executor().bindings()[target.binding].info.name + " was not seen");
            target.wanted = target.wanted.defined() ? target.wanted + sum : sum;
        }
        rows += batch.count;
    }
    for (Target &target : m_targets)
        target.wanted = target.wanted / double(rows);
    return {};
}

void Corrector::keepLive(Batch &batch, LiveSet live)
{
    if (live.bytes() * std::int64_t(m_batches.size()) > kLiveBytes)
        m_keepLive = false;   // too big to hold for all batches: start from the inputs instead
    if (m_keepLive)
        batch.live = std::move(live);
    else
        batch.live.reset();
}

/// The mean of one layer's channels now; what lies before the layer is remembered for the next one.
Result<at::Tensor> Corrector::mean(const Target &target, const Simulation &simulation, std::span<const at::Tensor> parameters)
{
    const std::size_t first = executor().firstNodeOf(target.binding);
    const std::array<std::size_t, 2> cuts{first, target.outlet.cut};
    at::Tensor sum;
    std::int64_t rows = 0;
    for (Batch &batch : m_batches) {
        if (m_context.stopped())
            return cancelled();
        m_context.breathe();
        std::vector<LiveSet> captured;
        RunOptions run = simulation.runOptions(m_context.stop);
        run.captureAt = cuts;
        run.captured = &captured;
        run.stopAfterCapture = true;
        std::vector<c10::IValue> input;
        if (batch.live) {
            run.begin = batch.live->node;
            run.from = &*batch.live;
        } else {
            input.emplace_back(m_data.inputs(batch.first, batch.count));
        }
        BW_CHECK(executor().run(input, parameters, run));
        const at::Tensor part = sumOf(captured, target.outlet, executor().bindings()[target.binding].info, batch.count);
        if (!part.defined())
            return fail(ErrorKind::Internal, "bias correction, the result of layer " + executor().bindings()[target.binding].info.name + " was not seen");
        sum = sum.defined() ? sum + part : part;
        rows += batch.count;
        keepLive(batch, std::move(captured.front()));
    }
    return sum / double(rows);
}

Result<BiasCorrection> Corrector::run(const ResolvedConfig &config, const WeightsState &state)
{
    const at::NoGradGuard noGrad;
    BW_ASSIGN(const auto plain, Simulation::make(m_network, {}, m_folded, state));
    BW_ASSIGN(const auto simulation, Simulation::make(m_network, config, m_folded, state));
    BiasCorrection result;
    ResolvedConfig masked = config;
    BW_CHECK(fillMasks(masked, *m_network, m_folded, state));
    findTargets(masked, result);
    BW_CHECK(measureFloat(*plain));
    std::vector<at::Tensor> parameters(simulation->parameters().begin(), simulation->parameters().end());
    const ParameterMap original = m_network->parameters(false, state.tensors);
    for (std::size_t i = 0; i < m_targets.size(); ++i) {
        const Target &target = m_targets[i];
        BW_ASSIGN(const at::Tensor now, mean(target, *simulation, parameters));
        at::Tensor shift = target.wanted - now;
        if (target.alive.defined())
            shift = shift * target.alive;
        at::Tensor &moved = parameters[target.parameter];
        if (shift.sizes() != moved.sizes())
            return fail(ErrorKind::Internal, "bias correction, " + target.name + " has another number of channels than its layer");
        moved = (moved.to(at::kDouble) + shift).to(moved.scalar_type());
        const at::Tensor &before = original.at(target.name);
        result.parameters[target.name] = (before.detach().to(at::kDouble) + shift).to(before.scalar_type());
        result.corrected.push_back(executor().bindings()[target.binding].info.name);
        m_context.progress("correcting biases", std::int64_t(i + 1), std::int64_t(m_targets.size()));
    }
    return result;
}

} // namespace

Result<BiasCorrection> correctBias(std::shared_ptr<const Network> network, const ResolvedConfig &config, bool folded,
                                   const WeightsState &state, const Dataset &data, std::int64_t samples, const JobContext &context)
{
    BW_CHECK(needsSingleInput(*network, "bias correction"));
    const std::int64_t fixed = network->graph().fixedBatch, wanted = samples > 0 ? std::min(samples, data.size()) : data.size();
    const std::int64_t total = fixed > 0 ? wanted / fixed * fixed : wanted;
    if (total == 0)
        return fail(ErrorKind::Invalid, data.spec + ", it holds too few samples for bias correction; use more data");
    return guarded("bias correction", ErrorKind::Numeric, [&] { return Corrector(network, folded, data, total, context).run(config, state); });
}

} // namespace bitwright
