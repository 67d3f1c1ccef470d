// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "base/replace_file.h"
#include "catalog/options_text.h"
#include "cost/size_model.h"
#include "exporters/pt2_writer.h"
#include "prune/target.h"
#include "quant/quantizer.h"
#include "simulate/evidence.h"
#include "simulate/masking.h"
#include "simulate/surgery.h"

#include <CLI/CLI.hpp>

#include <map>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options {
    std::string model, method, scope = "layer", target = "share", config, data, output, applyTo, appliedConfig;
    double sparsity = 0;
    std::vector<std::string> layerPairs, optionPairs;
    std::map<std::string, double> layers;             ///< the pairs, split
    std::map<std::string, std::string> named;
};

void splitPairs(Options &options)
{
    for (const std::string &pair : options.layerPairs) {
        const auto [layer, share] = splitPair(pair, "--layer LAYER=SPARSITY", true);
        double value = -1;
        if (!CLI::detail::lexical_cast(share, value) || !(value >= 0 && value < 1))
            throw CLI::ValidationError("--layer " + pair + ", the sparsity must be from 0 to below 1");
        options.layers[layer] = value;
    }
    addOptionPairs(options.optionPairs, options.named);
}

Result<ParamValues> criterionOptions(const Options &options, const MethodTraits &method, std::uint64_t seed)
{
    BW_ASSIGN(ParamValues values, optionsFromText(method, options.named));
    if (method.option("seed"))
        values.emplace("seed", std::int64_t(seed));
    return completeParams(method.options, values, options.method);
}

/// What one run of the command works on and comes to.
struct Pruned {
    std::vector<PruneTask> tasks;
    TargetedMasks found;
    ModelCost cost;
};

Output report(const Options &options, const Pruned &pruned)
{
    TextTable table({{"layer"}, {"kept", TextTable::Align::Right}, {"of", TextTable::Align::Right}, {"share", TextTable::Align::Right}});
    Output output;
    output.firstKeys = {"layers", "name", "kept", "total", "sparsity", "size_bytes", "bops", "target", "wanted", "achieved"};
    const std::int64_t bytes = pruned.cost.sizeBytes();
    output.json = {{"method", options.method}, {"layers", json::array()}, {"size_bytes", bytes}, {"bops", pruned.cost.bops},
                   {"target", options.target}, {"wanted", options.sparsity}, {"achieved", pruned.found.achieved}};
    std::int64_t kept = 0, total = 0;
    for (std::size_t i = 0; i < pruned.tasks.size(); ++i) {
        const Mask &mask = pruned.found.masks[i];
        const std::string &layer = pruned.tasks[i].site.layer;
        output.json["layers"].push_back({{"name", layer}, {"kept", mask.keptCount()}, {"total", mask.size()}});
        table.add({layer, grouped(mask.keptCount()), grouped(mask.size()), fixed(double(mask.keptCount()) / double(mask.size()), 4)});
        kept += mask.keptCount();
        total += mask.size();
    }
    output.json["sparsity"] = 1 - double(kept) / double(total);
    output.text = table.text() + "\n" + options.output + ": " + fixed(100 * (1 - double(kept) / double(total)), 2) +
                  " % of " + grouped(total) + " weights pruned, " + byteSize(double(bytes)) + "\n";
    if (options.target != "share")
        output.text += fixed(100 * pruned.found.achieved, 2) + " % of the " + (options.target == "size" ? "size" : "BOPs") + " is gone, " +
                       fixed(100 * options.sparsity, 2) + " % was wanted\n";
    return output;
}

Result<Evidence> evidenceFor(const Options &options, const MethodTraits &method, const Network &network, bool folded, Console &console)
{
    if (!method.needsData) {
        if (!options.data.empty())
            console.note(options.method + " looks at the weights alone; --data is not read");
        return Evidence{};
    }
    if (options.data.empty())
        return fail(ErrorKind::Invalid, "--data, " + options.method + " looks at gradients and activations; name the data, for example "
                                            "--data sample:train");
    BW_ASSIGN(const auto data, openDataFor(network, options.data, console));
    return collectEvidence(network, folded, {}, *data, kEvidenceSamples, console.job());
}

/// --apply-to: the network without the channels that the masks emptied.
Status applyMasks(const Options &options, const Network &network, const ModelConfig &config, Console &console)
{
    BW_ASSIGN(const CutNetwork cut, cutNetwork(network, config, {}, options.applyTo, console.job()));
    BW_CHECK(writeGraphPt2(cut.network->graph(), options.applyTo, console.job()));
    return options.appliedConfig.empty() ? Status() : writeConfig(cut.config, options.appliedConfig);
}

Result<Output> prune(const Options &options, Console &console)
{
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_ASSIGN(auto assignment, readAssignment(*network, options.config, console));
    const PrunerRow *row = findPruner(options.method);
    if (!row)
        return fail(ErrorKind::Invalid, "method " + options.method + ", there is no such pruner; `methods` lists them");
    const bool folded = assignment.config.foldBatchNorm;
    PruneOrder order{options.method, {}, options.scope == "global" ? PruneScope::Global : PruneScope::Layer, PruneTarget::Share, options.sparsity};
    BW_ASSIGN(order.target, pruneTargetFromName(options.target));
    BW_ASSIGN(order.options, criterionOptions(options, row->traits, std::uint64_t(console.options().seed)));
    BW_ASSIGN(const auto evidence, evidenceFor(options, row->traits, *network, folded, console));
    Pruned pruned;
    BW_ASSIGN(pruned.tasks, pruneTasks(*network, folded, {}, options.method, options.layers, options.sparsity));
    addEvidence(pruned.tasks, evidence);
    BW_ASSIGN(pruned.found, masksForTarget(order, pruned.tasks, network->summary(), assignment.resolved, folded, console.job()));
    for (std::size_t i = 0; i < pruned.tasks.size(); ++i) {
        const std::string &layer = pruned.tasks[i].site.layer;
        PruneSpec spec{options.method, pruned.found.sparsities[i], order.options, pruned.found.masks[i]};
        keepRemovedChannels(spec, assignment.resolved.at(layer).prune, *network->summary().layer(layer));
        pruned.found.masks[i] = spec.mask;
        setPrune(assignment.config, layer, spec);
    }
    if (!options.applyTo.empty()) {
        BW_CHECK(notOver(options.model, options.applyTo));
        BW_CHECK(applyMasks(options, *network, assignment.config, console));
    }
    BW_CHECK(writeConfig(assignment.config, options.output));
    BW_ASSIGN(const auto resolved, resolve(assignment.config, network->summary(), methodCatalog()));
    pruned.cost = modelCost(network->summary(), resolved, folded);
    return report(options, pruned);
}

} // namespace

Work declarePrune(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Network file")->required();
    app.add_option("--method", options->method, "Criterion (see methods)")->required();
    app.add_option("--sparsity", options->sparsity, "Share of the weights (channels), or of what --target names, that goes")
        ->required()->check(CLI::Range(0.0, 0.999999));
    app.add_option("--target", options->target, "What the share is of: the weights or channels, the size in bytes, the bit operations")
        ->check(CLI::IsMember({"share", "size", "bops"}))->capture_default_str();
    app.add_option("--scope", options->scope, "One ranking a layer, or one over all")->check(CLI::IsMember({"layer", "global"}))->capture_default_str();
    app.add_option("--layer", options->layerPairs, "Only these layers, LAYER=SPARSITY; with another --target than share the sparsities are proportions");
    app.add_option("--option", options->optionPairs, "Options of the criterion, NAME=VALUE");
    app.add_option("--data", options->data, "Data, for criteria that look at it");
    app.add_option("--apply-to", options->applyTo, "Also remove the emptied channels and write the smaller network here (.pt2)");
    app.add_option("--applied-config", options->appliedConfig, "The assignment that goes on with the smaller network");
    app.add_option("--config", options->config, "Assignment that the masks are added to");
    app.add_option("-o,--output", options->output, "Where the assignment goes")->required();
    app.parse_complete_callback([options] { splitPairs(*options); });
    return [options](Console &console) { return prune(*options, console); };
}

} // namespace bitwright::cli
