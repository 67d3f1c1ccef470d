// SPDX-License-Identifier: GPL-3.0-or-later
#include "search/sensitivity.h"

#include "cost/size_model.h"
#include "quant/quantizer.h"
#include "search/layer_walk.h"
#include "simulate/masking.h"

#include <algorithm>
#include <map>

namespace bitwright {

namespace {

/// Makes the points of one criterion.
class Planner {
public:
    Planner(std::shared_ptr<const Network> network, const SensitivityOptions &options) : m_network(std::move(network)), m_options(options) {}

    Status prepare(const Evidence &evidence);
    /// Null where no channel of the layer can be removed, which is all that a structured criterion would do.
    Result<std::unique_ptr<Simulation>> plan(const LayerInfo &layer, std::size_t variant);
    SensitivityResult finish(const LayerPoint &point);

private:
    std::shared_ptr<const Network> m_network;
    const SensitivityOptions &m_options;
    bool m_structured = false;
    ParamValues m_values;
    std::map<std::string, PruneTask> m_tasks;
    std::map<std::pair<std::string, std::size_t>, SensitivityResult> m_planned;
};

Status Planner::prepare(const Evidence &evidence)
{
    const PrunerRow *row = findPruner(m_options.method);
    if (!row)
        return fail(ErrorKind::Unsupported, "method " + m_options.method + ", there is no such pruner; see the list of methods");
    if (m_options.sparsities.empty())
        return fail(ErrorKind::Invalid, "sensitivity, no sparsities are given; name at least one");
    m_structured = row->structured;
    BW_ASSIGN(m_values, completeParams(row->traits.options, m_options.options, m_options.method));
    BW_ASSIGN(auto tasks, pruneTasks(*m_network, m_options.foldBatchNorm, {}, m_options.method, {}, 0));
    addEvidence(tasks, evidence);
    for (PruneTask &task : tasks)
        m_tasks.emplace(task.site.layer, std::move(task));
    return {};
}

Result<std::unique_ptr<Simulation>> Planner::plan(const LayerInfo &layer, std::size_t variant)
{
    const auto found = m_tasks.find(layer.name);
    const auto groups = m_network->summary().groupsOf(layer.name);
    if (found == m_tasks.end() || (m_structured && !groups.empty() && std::ranges::none_of(groups, &ChannelGroup::removable)))
        return nullptr;
    PruneTask task = found->second;
    task.sparsity = m_options.sparsities[variant];
    // The layer alone, without the layers that would have to go with it: what comes before it stays float.
    BW_ASSIGN(const auto masks, pruneMasks(m_options.method, m_values, {task}, PruneScope::Layer));
    SensitivityResult point;
    point.config.foldBatchNorm = m_options.foldBatchNorm;
    setPrune(point.config, layer.name, {m_options.method, task.sparsity, m_values, masks.front()});
    BW_ASSIGN(const ResolvedConfig resolved, resolve(point.config, m_network->summary(), methodCatalog()));
    BW_ASSIGN(auto simulation, Simulation::make(m_network, resolved, m_options.foldBatchNorm));
    const ModelCost cost = modelCost(m_network->summary(), resolved, m_options.foldBatchNorm);
    point.layer = layer.name;
    point.sparsity = task.sparsity;
    point.keptShare = double(masks.front().keptCount()) / double(std::max<std::int64_t>(1, masks.front().size()));
    point.sizeBytes = cost.sizeBytes();
    point.bops = cost.bops;
    m_planned[{layer.name, variant}] = std::move(point);
    return std::move(simulation);
}

SensitivityResult Planner::finish(const LayerPoint &measured)
{
    SensitivityResult point = std::move(m_planned.at({measured.layer, measured.variant}));
    point.value = measured.value;
    point.delta = measured.delta;
    point.sqnrDb = measured.sqnrDb;
    point.low = measured.low;
    point.high = measured.high;
    point.samples = measured.samples;
    return point;
}

} // namespace

Result<std::vector<SensitivityResult>> sensitivity(Evaluator &evaluator, std::shared_ptr<const Network> network,
                                                   const SensitivityOptions &options, const Evidence &evidence,
                                                   const JobContext &context,
                                                   const std::function<void(const SensitivityResult &)> &onPoint)
{
    Planner planner(network, options);
    BW_CHECK(planner.prepare(evidence));
    std::vector<SensitivityResult> results;
    const auto report = [&](const LayerPoint &measured) {
        results.push_back(planner.finish(measured));
        if (onPoint)
            onPoint(results.back());
    };
    const LayerWalkOptions walk{options.sqnr, options.metric, options.foldBatchNorm, options.limit, options.batch, options.memoryBytes};
    BW_CHECK(walkLayers(evaluator, network, walk, options.sparsities.size(),
                        [&](const LayerInfo &layer, std::size_t variant) { return planner.plan(layer, variant); }, context, report));
    return results;
}

} // namespace bitwright
