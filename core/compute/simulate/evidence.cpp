// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/evidence.h"

#include "simulate/layer_outlets.h"
#include "simulate/sample_batches.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <set>

namespace bitwright {

namespace {

constexpr std::int64_t kBatch = 64;

class Collector {
public:
    Collector(const Network &network, bool folded, const WeightsState &state, const Dataset &data)
        : m_executor(network.executor(folded)), m_data(data), m_bound(m_executor.bind(network.parameters(folded, state.tensors)))
    {
    }

    Status prepare(const Network &network);
    Status addBatch(std::int64_t first, std::int64_t count, const JobContext &context);
    Evidence finish(std::int64_t batches);

private:
    struct Watched {
        std::size_t binding = 0, parameter = 0;
        std::vector<LayerOutlets> calls;
        SiteEvidence sum;
    };
    Result<at::Tensor> lossOf(const at::Tensor &scores, std::int64_t first, std::int64_t count) const;
    void addGradients();
    void addActivations(const std::map<ValueId, at::Tensor> &seen);

    const Executor &m_executor;
    const Dataset &m_data;
    std::vector<at::Tensor> m_bound;
    std::vector<Watched> m_watched;
    std::vector<std::size_t> m_cuts;
    std::set<ValueId> m_values;
};

void add(at::Tensor &sum, const at::Tensor &value)
{
    sum = sum.defined() ? sum + value : value;
}

/// Weights become leaves of a graph of their own; everything else stays as it is.
Status Collector::prepare(const Network &network)
{
    const Graph &graph = m_executor.graph();
    BW_CHECK(needsSingleInput(network, "pruning by criteria with data"));
    for (at::Tensor &tensor : m_bound)
        tensor = tensor.detach();
    std::set<std::size_t> cuts;
    for (std::size_t i = 0; i < m_executor.bindings().size(); ++i) {
        const LayerBinding &binding = m_executor.bindings()[i];
        const int parameter = graph.parameterOf(binding.weight);
        if (binding.info.status != LayerStatus::Quantizable || parameter < 0)
            continue;
        m_bound[std::size_t(parameter)].set_requires_grad(true);
        Watched watched{i, std::size_t(parameter), outletsOf(graph, binding), {}};
        for (const LayerOutlets &call : watched.calls)
            for (const Outlet &outlet : {call.normalized, call.rectified})
                if (outlet.exists()) {
                    cuts.insert(outlet.cut);
                    m_values.insert(outlet.value);
                }
        m_watched.push_back(std::move(watched));
    }
    m_cuts.assign(cuts.begin(), cuts.end());
    return {};
}

Result<at::Tensor> Collector::lossOf(const at::Tensor &scores, std::int64_t first, std::int64_t count) const
{
    if (scores.dim() != 2)
        return fail(ErrorKind::Unsupported, m_data.spec + ", the network's first output is no list of scores a sample, which criteria with "
                                                          "data need; choose one that looks at weights alone");
    const at::Tensor target = m_data.labelled() ? m_data.labels.narrow(0, first, count) : scores.detach().argmax(1);
    if (target.min().item<std::int64_t>() < 0 || target.max().item<std::int64_t>() >= scores.size(1))
        return fail(ErrorKind::Invalid, m_data.spec + ", its labels go up to " + std::to_string(target.max().item<std::int64_t>()) +
                                            " but the network has " + std::to_string(scores.size(1)) + " classes; use data of this task");
    return at::cross_entropy_loss(scores, target);
}

void Collector::addGradients()
{
    std::set<std::size_t> done;   // two layers may share a weight
    for (Watched &watched : m_watched) {
        at::Tensor gradient = m_bound[watched.parameter].grad();
        if (!gradient.defined())   // the layer is not on the way to the scores
            gradient = at::zeros_like(m_bound[watched.parameter]);
        gradient = gradient.detach().to(at::kFloat).clone();
        add(watched.sum.gradient, gradient);
        add(watched.sum.gradientMagnitude, gradient.abs());
        add(watched.sum.gradientSquare, gradient.square());
        done.insert(watched.parameter);
    }
    for (const std::size_t parameter : done)
        m_bound[parameter].mutable_grad() = at::Tensor();
}

void Collector::addActivations(const std::map<ValueId, at::Tensor> &seen)
{
    const auto find = [&](const Outlet &outlet) {
        const auto found = seen.find(outlet.value);
        return found == seen.end() ? at::Tensor() : found->second;
    };
    for (Watched &watched : m_watched) {
        const LayerInfo &layer = m_executor.bindings()[watched.binding].info;
        for (const LayerOutlets &call : watched.calls) {
            const double calls = double(watched.calls.size());
            if (const at::Tensor z = find(call.normalized); z.defined() && z.grad().defined())
                add(watched.sum.activationTaylor, outletChannels(z.detach() * z.grad(), layer).abs().mean(1) / calls);
            if (const at::Tensor z = find(call.rectified); z.defined())
                add(watched.sum.zeroShare, outletChannels(z.detach() == 0, layer).to(at::kFloat).mean(1) / calls);
        }
    }
}

Status Collector::addBatch(std::int64_t first, std::int64_t count, const JobContext &context)
{
    std::vector<LiveSet> captured;
    RunOptions run;
    run.stop = context.stop;
    run.captureAt = m_cuts;
    run.captured = &captured;
    const std::array<c10::IValue, 1> input{c10::IValue(m_data.inputs(first, count))};
    BW_ASSIGN(const auto outputs, m_executor.run(input, m_bound, run));
    if (outputs.empty() || !outputs.front().isTensor())
        return fail(ErrorKind::Unsupported, m_data.spec + ", the network's first output is not a tensor; criteria with data need scores there");
    std::map<ValueId, at::Tensor> seen;
    for (const LiveSet &live : captured)
        for (const auto &[value, held] : live.values)
            if (m_values.contains(value) && held.isTensor() && seen.emplace(value, held.toTensor()).second && held.toTensor().requires_grad())
                held.toTensor().retain_grad();
    BW_ASSIGN(const at::Tensor loss, lossOf(outputs.front().toTensor(), first, count));
    if (context.stopped())
        return cancelled();
    loss.backward();
    const at::NoGradGuard noGrad;
    addGradients();
    addActivations(seen);
    return {};
}

Evidence Collector::finish(std::int64_t batches)
{
    Evidence evidence;
    for (Watched &watched : m_watched) {
        for (at::Tensor *sum : {&watched.sum.gradient, &watched.sum.gradientMagnitude, &watched.sum.gradientSquare,
                                &watched.sum.activationTaylor, &watched.sum.zeroShare})
            if (sum->defined())
                *sum = *sum / double(batches);
        evidence[m_executor.bindings()[watched.binding].info.name] = std::move(watched.sum);
    }
    return evidence;
}

} // namespace

Result<Evidence> collectEvidence(const Network &network, bool folded, const WeightsState &state, const Dataset &data,
                                 std::int64_t samples, const JobContext &context)
{
    return guarded("criteria with data", ErrorKind::Numeric, [&]() -> Result<Evidence> {
        const at::AutoGradMode withGrad(true);
        const std::int64_t fixed = network.graph().fixedBatch, batch = fixed > 0 ? fixed : kBatch;
        const std::int64_t wanted = samples > 0 ? std::min(samples, data.size()) : data.size();
        const std::int64_t total = fixed > 0 ? wanted / fixed * fixed : wanted;   // padding would count samples twice
        if (total == 0)
            return fail(ErrorKind::Invalid, data.spec + ", it holds " + std::to_string(data.size()) + " samples, fewer than criteria with data "
                                                "need; use more data");
        Collector collector(network, folded, state, data);
        BW_CHECK(collector.prepare(network));
        std::int64_t batches = 0;
        for (std::int64_t first = 0; first < total; first += batch, ++batches) {
            if (context.stopped())
                return cancelled();
            context.breathe();
            BW_CHECK(collector.addBatch(first, std::min(batch, total - first), context));
            context.progress("looking at gradients and activations", std::min(first + batch, total), total);
        }
        return collector.finish(batches);
    });
}

void addEvidence(std::vector<PruneTask> &tasks, const Evidence &evidence)
{
    for (PruneTask &task : tasks)
        if (const auto found = evidence.find(task.site.layer); found != evidence.end())
            task.site.evidence = found->second;
}

} // namespace bitwright
