// SPDX-License-Identifier: GPL-3.0-or-later
#include "search/sweep.h"

#include "cost/size_model.h"

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
    SweepResult result;
    std::unique_ptr<Simulation> simulation;
    MetricSum sum;
};

class Sweeper {
public:
    Sweeper(Evaluator &evaluator, std::shared_ptr<const Network> network, const SweepOptions &options,
            const ActivationStatistics &statistics, const Catalog &catalog, const JobContext &context)
        : m_evaluator(evaluator), m_network(std::move(network)), m_options(options), m_statistics(statistics), m_catalog(catalog),
          m_context(context)
    {
    }

    Result<std::vector<SweepResult>> run(const std::function<void(const SweepResult &)> &onPoint);

private:
    Status prepare();
    Result<Point> makePoint(const LayerInfo &layer, int bits) const;
    Status startBatches(std::int64_t first, std::int64_t count);
    Status measureLayer(std::size_t layer);
    Status advance(std::size_t node);

    const Executor &executor() const { return m_network->executor(m_options.foldBatchNorm); }

    Evaluator &m_evaluator;
    std::shared_ptr<const Network> m_network;
    const SweepOptions &m_options;
    const ActivationStatistics &m_statistics;
    const Catalog &m_catalog;
    const JobContext &m_context;

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

Result<Point> Sweeper::makePoint(const LayerInfo &layer, int bits) const
{
    ModelConfig config;
    config.foldBatchNorm = m_options.foldBatchNorm;
    LayerPatch patch;
    for (Role role : {Role::Weight, Role::Activation}) {
        if (!(role == Role::Weight ? m_options.weight : m_options.activation))
            continue;
        patch.of(role) = m_options.spec.of(role);
        if (!patch.of(role).method)
            patch.of(role).method = "uniform";
        patch.of(role).bits = bits;
        patch.of(role).values.clear();
    }
    config.layers[layer.name] = patch;
    BW_ASSIGN(ResolvedConfig resolved, resolve(config, m_network->summary(), m_catalog));
    BW_CHECK(fillActivations(resolved, *m_network, m_statistics));
    BW_ASSIGN(auto simulation, Simulation::make(m_network, resolved, m_options.foldBatchNorm));
    Point point{{}, std::move(simulation), MetricSum(m_options.sqnr ? Metric::Sqnr : m_options.metric)};
    point.result.layer = layer.name;
    point.result.bits = bits;
    const ModelCost cost = modelCost(m_network->summary(), resolved, m_options.foldBatchNorm);
    point.result.sizeBytes = cost.sizeBytes();
    point.result.bops = cost.bops;
    point.result.config = withValues(config, resolved, false);
    return point;
}

Status Sweeper::prepare()
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
        for (int bits : m_options.bits) {
            if (m_context.stopped())
                return cancelled();
            BW_ASSIGN(Point point, makePoint(bindings[i].info, bits));
            points.push_back(std::move(point));
        }
    }
    return {};
}

/// The inputs of these rows as live sets before the first layer.
Status Sweeper::startBatches(std::int64_t first, std::int64_t count)
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
        const std::array<c10::IValue, 1> arguments{c10::IValue(m_evaluator.inputs(at, rows))};
        BW_CHECK(executor().run(arguments, m_float->parameters(), run));
        if (captured.empty())
            return fail(ErrorKind::Internal, "sweep, the network could not be cut before its first layer");
        entry.live = std::move(captured.front());
        m_batches.push_back(std::move(entry));
    }
    return {};
}

/// Moves every batch's live set on to `node`; the rest of the float pass is not run.
Status Sweeper::advance(std::size_t node)
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

Status Sweeper::measureLayer(std::size_t layer)
{
    for (Point &point : m_points[layer]) {
        for (const Batch &batch : m_batches) {
            if (m_context.stopped())
                return cancelled();
            m_context.breathe();
            RunOptions run = point.simulation->runOptions(m_context.stop);
            run.begin = batch.live.node;
            run.from = &batch.live;
            BW_ASSIGN(auto outputs, executor().run({}, point.simulation->parameters(), run));
            BW_ASSIGN(const at::Tensor reference, m_evaluator.reference(batch.first, batch.count, m_context));
            BW_CHECK(point.sum.add(outputs.front().toTensor().narrow(0, 0, batch.count),
                                   m_evaluator.labels(batch.first, batch.count), reference));
            m_done += batch.count;
        }
        m_context.progress("sweeping " + point.result.layer, m_done, m_total);
    }
    return {};
}

Result<std::vector<SweepResult>> Sweeper::run(const std::function<void(const SweepResult &)> &onPoint)
{
    at::NoGradGuard noGrad;
    BW_CHECK(prepare());
    std::vector<SweepResult> results;
    if (m_order.empty())
        return results;
    const std::int64_t size = m_evaluator.data().size();
    const std::int64_t total = m_options.limit > 0 ? std::min(m_options.limit, size) : size;
    m_total = total * std::int64_t(m_order.size() * m_options.bits.size());

    // The metric of the float network, on the same rows.
    MetricSum floatSum(m_options.sqnr ? Metric::Sqnr : m_options.metric);
    const std::int64_t batch = m_evaluator.batchSize(m_options.batch);
    for (std::int64_t first = 0; first < total; first += batch) {
        const std::int64_t rows = std::min(batch, total - first);
        BW_ASSIGN(const at::Tensor reference, m_evaluator.reference(first, rows, m_context));
        BW_CHECK(floatSum.add(reference, m_evaluator.labels(first, rows), reference));
        if (m_context.stopped())
            return cancelled();
    }

    // Rows per chunk so that the largest live set stays within the memory; a first slice tells what one row takes.
    std::int64_t chunk = std::min(total, batch);
    BW_CHECK(startBatches(0, chunk));
    std::int64_t perRow = 1;
    for (std::size_t layer : m_order) {
        BW_CHECK(advance(executor().firstNodeOf(layer)));
        perRow = std::max(perRow, m_batches.front().live.bytes() / std::max<std::int64_t>(1, m_batches.front().count));
    }
    chunk = std::clamp(m_options.memoryBytes / perRow / batch * batch, batch, (total + batch - 1) / batch * batch);

    for (std::int64_t first = 0; first < total; first += chunk) {
        const std::int64_t rows = std::min(chunk, total - first);
        BW_CHECK(startBatches(first, rows));
        for (std::size_t layer = 0; layer < m_order.size(); ++layer) {
            BW_CHECK(advance(executor().firstNodeOf(m_order[layer])));
            BW_CHECK(measureLayer(layer));
            if (first + rows < total)
                continue;
            for (Point &point : m_points[layer]) {
                point.result.value = point.sum.value();
                point.result.low = point.sum.interval().low;
                point.result.high = point.sum.interval().high;
                point.result.samples = point.sum.samples();
                point.result.sqnrDb = point.sum.sqnrDb();
                point.result.delta = m_options.sqnr ? std::numeric_limits<double>::quiet_NaN()
                                                    : point.result.value - floatSum.value();
                results.push_back(point.result);
                point.simulation.reset();
                if (onPoint)
                    onPoint(point.result);
            }
        }
    }
    return results;
}

} // namespace

Result<std::vector<SweepResult>> sweep(Evaluator &evaluator, std::shared_ptr<const Network> network, const SweepOptions &options,
                                       const ActivationStatistics &statistics, const Catalog &catalog, const JobContext &context,
                                       const std::function<void(const SweepResult &)> &onPoint)
{
    return Sweeper(evaluator, std::move(network), options, statistics, catalog, context).run(onPoint);
}

} // namespace bitwright
