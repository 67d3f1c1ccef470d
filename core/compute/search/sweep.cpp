// SPDX-License-Identifier: GPL-3.0-or-later
#include "search/sweep.h"

#include "cost/size_model.h"

#include <map>

namespace bitwright {

namespace {

/// What is known of a point before it is measured, and its simulation.
struct Planned {
    SweepResult result;
    std::unique_ptr<Simulation> simulation;
};

Result<Planned> plan(const std::shared_ptr<const Network> &network, const SweepOptions &options, const ActivationStatistics &statistics,
                     const Catalog &catalog, const LayerInfo &layer, int bits)
{
    ModelConfig config;
    config.foldBatchNorm = options.foldBatchNorm;
    LayerPatch patch;
    for (Role role : {Role::Weight, Role::Activation}) {
        if (!(role == Role::Weight ? options.weight : options.activation && layer.inputQuantizable()))
            continue;
        patch.of(role) = options.spec.of(role);
        if (!patch.of(role).method)
            patch.of(role).method = "uniform";
        patch.of(role).bits = bits;
        patch.of(role).values.clear();
    }
    config.layers[layer.name] = patch;
    BW_ASSIGN(ResolvedConfig resolved, resolve(config, network->summary(), catalog));
    BW_CHECK(fillActivations(resolved, *network, statistics));
    Planned planned;
    BW_ASSIGN(planned.simulation, Simulation::make(network, resolved, options.foldBatchNorm));
    planned.result.layer = layer.name;
    planned.result.bits = bits;
    const ModelCost cost = modelCost(network->summary(), resolved, options.foldBatchNorm);
    planned.result.sizeBytes = cost.sizeBytes();
    planned.result.bops = cost.bops;
    planned.result.config = withValues(config, resolved, false);
    return planned;
}

} // namespace

Result<std::vector<SweepResult>> sweep(Evaluator &evaluator, std::shared_ptr<const Network> network, const SweepOptions &options,
                                       const ActivationStatistics &statistics, const Catalog &catalog, const JobContext &context,
                                       const std::function<void(const SweepResult &)> &onPoint)
{
    std::map<std::pair<std::string, std::size_t>, SweepResult> planned;
    const MakeVariant make = [&](const LayerInfo &layer, std::size_t variant) -> Result<std::unique_ptr<Simulation>> {
        if (!options.weight && !layer.inputQuantizable())
            return nullptr;
        BW_ASSIGN(Planned point, plan(network, options, statistics, catalog, layer, options.bits[variant]));
        planned[{layer.name, variant}] = std::move(point.result);
        return std::move(point.simulation);
    };
    std::vector<SweepResult> results;
    const auto report = [&](const LayerPoint &point) {
        SweepResult &result = results.emplace_back(std::move(planned[{point.layer, point.variant}]));
        result.value = point.value;
        result.delta = point.delta;
        result.sqnrDb = point.sqnrDb;
        result.low = point.low;
        result.high = point.high;
        result.samples = point.samples;
        if (onPoint)
            onPoint(result);
    };
    const LayerWalkOptions walk{options.sqnr, options.metric, options.foldBatchNorm, options.limit, options.batch, options.memoryBytes};
    BW_CHECK(walkLayers(evaluator, network, walk, options.bits.size(), make, context, report));
    return results;
}

} // namespace bitwright
