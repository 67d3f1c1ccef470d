// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/evaluator.h"

#include "simulate/sample_batches.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace bitwright {

std::string nonFiniteNote(const Estimate &estimate)
{
    if (estimate.nonFinite == 0)
        return {};
    return std::to_string(estimate.nonFinite) + " of " + std::to_string(estimate.samples) +
           " samples gave outputs that are not finite and count as wrong; look for NaN in the data, the weights or the scales";
}

const LiveSet *ActivationCache::find(const std::string &key)
{
    auto found = m_index.find(key);
    if (found == m_index.end())
        return nullptr;
    m_items.splice(m_items.begin(), m_items, found->second);
    return &found->second->second;
}

void ActivationCache::insert(const std::string &key, LiveSet live)
{
    const std::int64_t bytes = live.bytes();
    if (bytes > m_limit || m_index.contains(key))
        return;
    while (m_bytes + bytes > m_limit && !m_items.empty()) {
        m_bytes -= m_items.back().second.bytes();
        m_index.erase(m_items.back().first);
        m_items.pop_back();
    }
    m_bytes += bytes;
    m_items.emplace_front(key, std::move(live));
    m_index[key] = m_items.begin();
}

void ActivationCache::clear()
{
    m_items.clear();
    m_index.clear();
    m_bytes = 0;
}

Evaluator::Evaluator(std::shared_ptr<const Network> network, std::shared_ptr<const Dataset> data, std::int64_t cacheBytes,
                     std::shared_ptr<const Network> compared)
    : m_network(std::move(network)), m_compared(compared ? std::move(compared) : m_network), m_data(std::move(data)), m_cache(cacheBytes)
{
}

std::int64_t Evaluator::batchSize(std::int64_t wanted) const
{
    const std::int64_t fixed = requiredBatch(*m_network, *m_data);
    return fixed > 0 ? fixed : wanted;
}

std::vector<c10::IValue> Evaluator::arguments(std::int64_t first, std::int64_t count) const
{
    return batchArguments(*m_network, *m_data, first, count);
}

Result<at::Tensor> Evaluator::scoresOf(const std::vector<c10::IValue> &outputs, std::int64_t count) const
{
    return outputBySample(*m_network, *m_data, outputs, count);
}

at::Tensor Evaluator::inputs(std::int64_t first, std::int64_t count) const
{
    TORCH_CHECK(m_data->isSingle(), "the network takes ", m_data->columns.size(), " inputs");
    return arguments(first, count).front().toTensor();
}

at::Tensor Evaluator::labels(std::int64_t first, std::int64_t count) const
{
    return m_data->labelled() ? m_data->labels.narrow(0, first, count) : at::Tensor();
}

Result<at::Tensor> Evaluator::reference(std::int64_t first, std::int64_t count, const JobContext &context)
{
    const std::string key = std::to_string(first) + '+' + std::to_string(count);
    if (auto found = m_reference.find(key); found != m_reference.end())
        return found->second;
    at::NoGradGuard noGrad;
    const Executor &executor = m_compared->executor();
    RunOptions options;
    options.stop = context.stop;
    BW_ASSIGN(const auto outputs, executor.run(arguments(first, count), executor.bind(), options));
    m_nodesRun += std::int64_t(executor.graph().nodes.size());
    BW_ASSIGN(at::Tensor scores, scoresOf(outputs, count));
    scores = scores.contiguous();
    m_reference[key] = scores;
    return scores;
}

Result<at::Tensor> Evaluator::scores(const Simulation &simulation, const EvaluationOptions &options, std::int64_t first,
                                     std::int64_t count, std::span<const std::size_t> cuts,
                                     const std::vector<std::string> &keys, const JobContext &context)
{
    at::NoGradGuard noGrad;
    const Executor &executor = simulation.executor();
    const std::string batch = '@' + std::to_string(first) + '+' + std::to_string(count);
    RunOptions run = simulation.runOptions(context.stop);
    for (std::size_t i = cuts.size(); options.incremental && i-- > 0;) {
        if (const LiveSet *live = m_cache.find(keys[i] + batch)) {
            run.begin = cuts[i];
            run.from = live;
            break;
        }
    }
    std::vector<LiveSet> captured;
    const std::array<std::size_t, 1> keep{options.keepAt};
    std::string keepKey;
    if (options.incremental && options.keepAt > run.begin) {
        auto at = std::ranges::find(cuts, options.keepAt);
        if (at != cuts.end()) {
            keepKey = keys[std::size_t(at - cuts.begin())] + batch;
            run.captureAt = keep;
            run.captured = &captured;
        }
    }
    std::vector<c10::IValue> arguments;
    if (!run.from)
        arguments = this->arguments(first, count);
    m_nodesRun += std::int64_t(executor.graph().nodes.size() - run.begin);
    BW_ASSIGN(auto outputs, executor.run(arguments, simulation.parameters(), run));
    if (!captured.empty())
        m_cache.insert(keepKey, std::move(captured.front()));
    return scoresOf(outputs, count);
}

Result<Estimate> Evaluator::evaluate(const Simulation &simulation, const EvaluationOptions &options, const JobContext &context,
                                     const OnEstimate &onEstimate)
{
    const auto started = std::chrono::steady_clock::now();
    const Executor &executor = simulation.executor();
    if (const std::size_t given = std::max<std::size_t>(1, m_data->columns.size()); given != executor.graph().inputs.size())
        return fail(ErrorKind::Unsupported, m_network->summary().path + ", it has " + std::to_string(executor.graph().inputs.size()) +
                                                " inputs, the data brings " + std::to_string(given) + "; open data made for it");
    const std::int64_t total = options.limit > 0 ? std::min(options.limit, m_data->size()) : m_data->size();
    if (total == 0)
        return fail(ErrorKind::Invalid, "data, it holds no samples; open other data");
    std::vector<std::size_t> cuts;
    std::vector<std::string> keys;
    for (std::size_t i = 0; options.incremental && i < executor.bindings().size(); ++i) {
        if (executor.bindings()[i].info.status == LayerStatus::Quantizable && executor.firstNodeOf(i) > 0)
            cuts.push_back(executor.firstNodeOf(i));
    }
    std::ranges::sort(cuts);
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    for (std::size_t cut : cuts)
        keys.push_back(simulation.prefixKey(cut) + '#' + std::to_string(cut));

    MetricSum sum(options.metric);
    Estimate estimate;
    const std::int64_t batch = batchSize(options.batch);
    for (std::int64_t first = 0; first < total; first += batch) {
        if (context.stopped())
            return cancelled();
        context.breathe();
        const std::int64_t count = std::min(batch, total - first);
        at::Tensor against;
        if (needsReference(options.metric)) {
            BW_ASSIGN(against, reference(first, count, context));
        }
        BW_ASSIGN(const at::Tensor batchScores, scores(simulation, options, first, count, cuts, keys, context));
        at::NoGradGuard noGrad;
        BW_CHECK(sum.add(batchScores, labels(first, count), against));
        const Interval interval = sum.interval();
        estimate = {sum.value(), interval.low, interval.high, sum.loss(), sum.sqnrDb(), sum.samples(), total, first + batch >= total,
                    std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(), sum.nonFinite()};
        if (onEstimate)
            onEstimate(estimate);
        context.progress("evaluating", sum.samples(), total);
    }
    return estimate;
}

} // namespace bitwright
