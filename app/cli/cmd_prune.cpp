// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "cost/size_model.h"
#include "quant/quantizer.h"
#include "simulate/masking.h"

#include <CLI/CLI.hpp>

#include <map>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options {
    std::string model, method, scope = "layer", config, data, output;
    double sparsity = 0;
    std::vector<std::string> layerPairs, optionPairs;
    std::map<std::string, double> layers;             ///< the pairs, split
    std::map<std::string, std::string> named;
};

std::pair<std::string, std::string> splitPair(const std::string &pair, const char *what)
{
    const auto equals = pair.rfind('=');
    if (equals == std::string::npos || equals == 0)
        throw CLI::ValidationError(pair + ", is not " + what);
    return {pair.substr(0, equals), pair.substr(equals + 1)};
}

void splitPairs(Options &options)
{
    for (const std::string &pair : options.layerPairs) {
        const auto [layer, share] = splitPair(pair, "LAYER=SPARSITY");
        double value = -1;
        if (!CLI::detail::lexical_cast(share, value) || !(value >= 0 && value < 1))
            throw CLI::ValidationError("--layer " + pair + ", the sparsity must be from 0 to below 1");
        options.layers[layer] = value;
    }
    for (const std::string &pair : options.optionPairs) {
        const auto [name, value] = splitPair(pair, "NAME=VALUE");
        options.named[name] = value;
    }
}

Result<ParamValues> criterionOptions(const Options &options, const PrunerRow &row, std::uint64_t seed)
{
    ParamValues values;
    for (const auto &[name, text] : options.named) {
        const ParamSpec *option = row.traits.option(name);
        if (!option)
            return fail(ErrorKind::Invalid, "option " + name + ", method " + options.method + " has none of that name; see the list of methods");
        BW_ASSIGN(values[name], parseParam(*option, text));
    }
    if (row.traits.option("seed") && !values.contains("seed"))
        values["seed"] = std::int64_t(seed);
    return completeParams(row.traits.options, values, options.method);
}

Output report(const Options &options, const std::vector<PruneTask> &tasks, const std::vector<Mask> &masks, std::int64_t bytes)
{
    TextTable table({{"layer"}, {"kept", TextTable::Align::Right}, {"of", TextTable::Align::Right}, {"share", TextTable::Align::Right}});
    Output output;
    output.firstKeys = {"layers", "name", "kept", "total", "sparsity", "size_bytes"};
    output.json = {{"method", options.method}, {"layers", json::array()}, {"size_bytes", bytes}};
    std::int64_t kept = 0, total = 0;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        output.json["layers"].push_back({{"name", tasks[i].site.layer}, {"kept", masks[i].keptCount()}, {"total", masks[i].size()}});
        table.add({tasks[i].site.layer, grouped(masks[i].keptCount()), grouped(masks[i].size()),
                   fixed(double(masks[i].keptCount()) / double(masks[i].size()), 4)});
        kept += masks[i].keptCount();
        total += masks[i].size();
    }
    output.json["sparsity"] = 1 - double(kept) / double(total);
    output.text = table.text() + "\n" + options.output + ": " + fixed(100 * (1 - double(kept) / double(total)), 2) +
                  " % of " + grouped(total) + " weights pruned, " + byteSize(double(bytes)) + "\n";
    return output;
}

Result<Output> prune(const Options &options, Console &console)
{
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_ASSIGN(auto assignment, readAssignment(*network, options.config, console));
    const PrunerRow *row = findPruner(options.method);
    if (!row)
        return fail(ErrorKind::Invalid, "method " + options.method + ", there is no such pruner; `methods` lists them");
    if (!options.data.empty())
        console.note(options.method + " looks at the weights alone; --data is not read");
    BW_ASSIGN(const auto values, criterionOptions(options, *row, std::uint64_t(console.options().seed)));
    BW_ASSIGN(const auto tasks, pruneTasks(*network, assignment.config.foldBatchNorm, {}, options.layers, options.sparsity));
    BW_ASSIGN(const auto masks, pruneMasks(options.method, values, tasks,
                                           options.scope == "global" ? PruneScope::Global : PruneScope::Layer));
    for (std::size_t i = 0; i < tasks.size(); ++i)
        setPrune(assignment.config, tasks[i].site.layer, {options.method, tasks[i].sparsity, values, masks[i]});
    BW_CHECK(writeConfig(assignment.config, options.output));
    BW_ASSIGN(const auto resolved, resolve(assignment.config, network->summary(), methodCatalog()));
    return report(options, tasks, masks, modelCost(network->summary(), resolved, assignment.config.foldBatchNorm).sizeBytes());
}

} // namespace

Work declarePrune(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Network file")->required();
    app.add_option("--method", options->method, "Criterion (see methods)")->required();
    app.add_option("--sparsity", options->sparsity, "Share of the weights (channels) that goes")->required()->check(CLI::Range(0.0, 0.999999));
    app.add_option("--scope", options->scope, "One ranking a layer, or one over all")->check(CLI::IsMember({"layer", "global"}))->capture_default_str();
    app.add_option("--layer", options->layerPairs, "Only these layers, LAYER=SPARSITY");
    app.add_option("--option", options->optionPairs, "Options of the criterion, NAME=VALUE");
    app.add_option("--data", options->data, "Data, for criteria that look at it");
    app.add_option("--config", options->config, "Assignment that the masks are added to");
    app.add_option("-o,--output", options->output, "Where the assignment goes")->required();
    app.parse_complete_callback([options] { splitPairs(*options); });
    return [options](Console &console) { return prune(*options, console); };
}

} // namespace bitwright::cli
