// SPDX-License-Identifier: GPL-3.0-or-later
#include "search/layer_walk.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace bitwright {

namespace {

/// One point under way: its simulation and what its batches added up to.
struct Point {
    std::size_t variant = 0;
    std::unique_ptr<Simulation> simulation;
    MetricSum sum;
};

class Walk {
public:
    Walk(Evaluator &evaluator, std::shared_ptr<const Network> network, const LayerWalkOptions &options, std::size_t variants,
         const MakeVariant &makeVariant, const JobContext &context)
        : m_evaluator(evaluator), m_network(std::move(network)), m_options(options), m_variants(variants), m_makeVariant(makeVariant),
          m_context(context), m_metric(options.sqnr ? Metric::Sqnr : options.metric), m_floatSum(m_metric)
    {
    }

    Status run(const std::function<void(const LayerPoint &)> &onPoint);

private:
    Status prepare();
    Status measureFloat(std::int64_t total);
    Status startBatches(std::int64_t first, std::int64_t count);
    Status measureLayer(std::size_t layer);
    Status advance(std::size_t node);
    Result<std::int64_t> rowsAtATime(std::int64_t total);
    void report(std::size_t layer, const std::function<void(const LayerPoint &)> &onPoint);

    const Executor &executor() const { return m_network->executor(m_options.foldBatchNorm); }
    const LayerInfo &info(std::size_t layer) const { return executor().bindings()[m_order[layer]].info; }

    Evaluator &m_evaluator;
    std::shared_ptr<const Network> m_network;
    const LayerWalkOptions &m_options;
    std::size_t m_variants;
    const MakeVariant &m_makeVariant;
    const JobContext &m_context;
    Metric m_metric;
    MetricSum m_floatSum;

    struct Batch {
        std::int64_t first = 0, count = 0;
        LiveSet live;
    };
    std::unique_ptr<Simulation> m_float;
    std::vector<std::size_t> m_order;          // bindings in execution order
    std::vector<std::vector<Point>> m_points;  // per entry of m_order
    std::vector<Batch> m_batches;
    std::int64_t m_done = 0, m_total = 0;
};

Status Walk::prepare()
{
    BW_ASSIGN(m_float, Simulation::make(m_network, {}, m_options.foldBatchNorm));
    const auto &bindings = executor().bindings();
    for (std::size_t i = 0; i < bindings.size(); ++i) {
        if (bindings[i].info.status == LayerStatus::Quantizable)
            m_order.push_back(i);
    }
    std::ranges::sort(m_order, {}, [&](std::size_t i) { return executor().firstNodeOf(i); });
    for (std::size_t i : m_order) {
        auto &points = m_points.emplace_back();
        for (std::size_t variant = 0; variant < m_variants; ++variant) {
            if (m_context.stopped())
                return cancelled();
            BW_ASSIGN(auto simulation, m_makeVariant(bindings[i].info, variant));
            if (simulation)
                points.push_back({variant, std::move(simulation), MetricSum(m_metric)});
        }
    }
    return {};
}

/// The metric of the float network, on the same rows.
Status Walk::measureFloat(std::int64_t total)
{
    const std::int64_t batch = m_evaluator.batchSize(m_options.batch);
    for (std::int64_t first = 0; first < total; first += batch) {
        const std::int64_t rows = std::min(batch, total - first);
        BW_ASSIGN(const at::Tensor reference, m_evaluator.reference(first, rows, m_context));
        BW_CHECK(m_floatSum.add(reference, m_evaluator.labels(first, rows), reference));
        if (m_context.stopped())
            return cancelled();
    }
    return {};
}

/// The inputs of these rows as live sets before the first layer.
Status Walk::startBatches(std::int64_t first, std::int64_t count)
{
    m_batches.clear();
    const std::int64_t batch = m_evaluator.batchSize(m_options.batch);
    for (std::int64_t at = first; at < first + count; at += batch) {
        const std::int64_t rows = std::min(batch, first + count - at);
        Batch entry{at, rows, {}};
        const std::array<std::size_t, 1> cut{executor().firstNodeOf(m_order.front())};
        std::vector<LiveSet> captured;
        RunOptions run;
        run.stop = m_context.stop;
        run.captureAt = cut;
        run.captured = &captured;
        BW_CHECK(executor().run(m_evaluator.arguments(at, rows), m_float->parameters(), run));
        if (captured.empty())
            return fail(ErrorKind::Internal, "sweep, the network could not be cut before its first layer");
        entry.live = std::move(captured.front());
        m_batches.push_back(std::move(entry));
    }
    return {};
}

/// Moves every batch's live set on to `node`; the rest of the float pass is not run.
Status Walk::advance(std::size_t node)
{
    for (Batch &batch : m_batches) {
        if (batch.live.node >= node)
            continue;
        const std::array<std::size_t, 1> cut{node};
        std::vector<LiveSet> captured;
        RunOptions run;
        run.stop = m_context.stop;
        run.begin = batch.live.node;
        run.from = &batch.live;
        run.captureAt = cut;
        run.captured = &captured;
        run.stopAfterCapture = true;
        BW_CHECK(executor().run({}, m_float->parameters(), run));
        batch.live = std::move(captured.front());
    }
    return {};
}

/// Batch after batch through every variant: what they start from is still in the processor's cache.
Status Walk::measureLayer(std::size_t layer)
{
    for (const Batch &batch : m_batches) {
        BW_ASSIGN(const at::Tensor reference, m_evaluator.reference(batch.first, batch.count, m_context));
        for (Point &point : m_points[layer]) {
            if (m_context.stopped())
                return cancelled();
            m_context.breathe();
            RunOptions run = point.simulation->runOptions(m_context.stop);
            run.begin = batch.live.node;
            run.from = &batch.live;
            BW_ASSIGN(auto outputs, executor().run({}, point.simulation->parameters(), run));
            BW_ASSIGN(const at::Tensor scores, m_evaluator.scoresOf(outputs, batch.count));
            BW_CHECK(point.sum.add(scores, m_evaluator.labels(batch.first, batch.count), reference));
            m_done += batch.count;
        }
        m_context.progress("sweeping " + info(layer).name, m_done, m_total);
    }
    return {};
}

/// So many that the largest live set stays within the memory; a first slice tells what one row takes.
Result<std::int64_t> Walk::rowsAtATime(std::int64_t total)
{
    const std::int64_t batch = m_evaluator.batchSize(m_options.batch);
    BW_CHECK(startBatches(0, std::min(total, batch)));
    std::int64_t perRow = 1;
    for (std::size_t layer : m_order) {
        BW_CHECK(advance(executor().firstNodeOf(layer)));
        perRow = std::max(perRow, m_batches.front().live.bytes() / std::max<std::int64_t>(1, m_batches.front().count));
    }
    return std::clamp(m_options.memoryBytes / perRow / batch * batch, batch, (total + batch - 1) / batch * batch);
}

void Walk::report(std::size_t layer, const std::function<void(const LayerPoint &)> &onPoint)
{
    for (Point &point : m_points[layer]) {
        const Interval interval = point.sum.interval();
        const double value = point.sum.value();
        const double delta = m_options.sqnr ? std::numeric_limits<double>::quiet_NaN() : value - m_floatSum.value();
        onPoint({info(layer).name, point.variant, value, delta, point.sum.sqnrDb(), interval.low, interval.high, point.sum.samples()});
        point.simulation.reset();
    }
}

Status Walk::run(const std::function<void(const LayerPoint &)> &onPoint)
{
    at::NoGradGuard noGrad;
    BW_CHECK(prepare());
    if (m_order.empty() || m_variants == 0)
        return {};
    const std::int64_t size = m_evaluator.data().size();
    const std::int64_t total = m_options.limit > 0 ? std::min(m_options.limit, size) : size;
    for (const auto &points : m_points)
        m_total += total * std::int64_t(points.size());
    BW_CHECK(measureFloat(total));
    BW_ASSIGN(const std::int64_t chunk, rowsAtATime(total));
    for (std::int64_t first = 0; first < total; first += chunk) {
        const std::int64_t rows = std::min(chunk, total - first);
        BW_CHECK(startBatches(first, rows));
        for (std::size_t layer = 0; layer < m_order.size(); ++layer) {
            BW_CHECK(advance(executor().firstNodeOf(m_order[layer])));
            BW_CHECK(measureLayer(layer));
            if (first + rows >= total)
                report(layer, onPoint);
        }
    }
    return {};
}

} // namespace

Status walkLayers(Evaluator &evaluator, std::shared_ptr<const Network> network, const LayerWalkOptions &options, std::size_t variants,
                  const MakeVariant &makeVariant, const JobContext &context, const std::function<void(const LayerPoint &)> &onPoint)
{
    return Walk(evaluator, std::move(network), options, variants, makeVariant, context).run(onPoint);
}

} // namespace bitwright
