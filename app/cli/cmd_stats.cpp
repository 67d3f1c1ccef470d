// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "base/names.h"
#include "graph/stored_layers.h"
#include "simulate/calibration.h"
#include "tensor/kernels.h"

#include <CLI/CLI.hpp>

#include <algorithm>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options {
    std::string model, data;
    std::vector<std::string> layers;
    int bins = 256;
};

struct Site { Moments moments; Histogram histogram; };

json siteJson(const Site &site)
{
    json edges = json::array();
    for (std::size_t i = 0; i <= site.histogram.counts.size(); ++i)
        edges.push_back(site.histogram.edge(i));
    return {{"min", site.moments.min}, {"max", site.moments.max}, {"mean", site.moments.mean()}, {"std", site.moments.std()},
            {"count", site.moments.count}, {"zero", site.moments.zeroCount}, {"nan", site.moments.nanCount},
            {"infinite", site.moments.infCount}, {"histogram", {{"edges", edges}, {"counts", site.histogram.counts}}}};
}

std::vector<std::string> siteText(const Site &site)
{
    const auto number = [](double value) { return fixed(value, 4); };
    return {number(site.moments.min), number(site.moments.max), number(site.moments.mean()), number(site.moments.std()),
            site.moments.nanCount + site.moments.infCount > 0
                ? std::to_string(site.moments.nanCount) + " NaN, " + std::to_string(site.moments.infCount) + " infinite" : ""};
}

Status checkLayers(const Network &network, const std::vector<std::string> &layers)
{
    std::vector<std::string> known;
    for (const auto &layer : network.summary().layers)
        if (layer.status == LayerStatus::Quantizable || layer.storedWeight)
            known.push_back(layer.name);
    for (const auto &name : layers) {
        if (std::find(known.begin(), known.end(), name) != known.end())
            continue;
        const auto close = closestName(name, known);
        return fail(ErrorKind::Invalid, "--layer " + name + ", " + network.summary().path + " has no quantizable layer of that name; " +
                                            (close.empty() ? "inspect lists them" : "did you mean " + close + "?"));
    }
    return {};
}

Result<Output> stats(const Options &options, Console &console)
{
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_CHECK(checkLayers(*network, options.layers));
    // What cannot be run has weights to show all the same.
    const bool runs = network->executor().graph().obstacles.empty();
    if (runs && options.data.empty())
        throw CLI::RequiredError("--data");
    ActivationStatistics activations;
    std::int64_t samples = 0;
    bool random = false;
    if (runs) {
        BW_ASSIGN(const auto data, openDataFor(*network, options.data, console));
        BW_ASSIGN(activations, collectActivations(*network, false, {}, *data, 0, console.job()));
        samples = data->size();
        random = data->isRandom();
    }
    const auto bins = std::size_t(options.bins);
    const auto &executor = network->executor();
    constexpr auto kRight = TextTable::Align::Right;
    TextTable table({{"layer"}, {"tensor"}, {"min", kRight}, {"max", kRight}, {"mean", kRight}, {"std", kRight}, {""}});
    Output output;
    output.firstKeys = {"name", "weight", "activation", "min", "max", "mean", "std", "histogram"};
    output.json = {{"layers", json::array()}, {"samples", samples}};
    const auto addRow = [&table](const std::string &name, const std::string &tensor, const Site &site) {
        std::vector<std::string> row{name, tensor};
        for (auto &cell : siteText(site))
            row.push_back(std::move(cell));
        table.add(std::move(row));
    };
    for (const auto &binding : executor.bindings()) {
        const auto &name = binding.info.name;
        const bool asked = options.layers.empty() || std::find(options.layers.begin(), options.layers.end(), name) != options.layers.end();
        if ((binding.info.status != LayerStatus::Quantizable && !binding.info.storedWeight) || !asked)
            continue;
        json layer{{"name", name}};
        if (const int parameter = executor.graph().parameterOf(binding.weight); parameter >= 0) {
            const auto weight = realWeight(binding, executor.graph().parameters[std::size_t(parameter)].tensor);
            const Site site{momentsOf(weight), histogramOf(weight, bins)};
            layer["weight"] = siteJson(site);
            addRow(name, "weight", site);
        }
        if (const auto seen = activations.find(name); seen != activations.end()) {
            const auto &moments = seen->second.moments;
            const Site site{moments, rebin(seen->second.histogram, moments.min, moments.max, bins)};
            layer["activation"] = siteJson(site);
            addRow("", "activation", site);
        }
        output.json["layers"].push_back(std::move(layer));
    }
    output.text = table.text();
    if (random)
        noteRandomData(output);
    return output;
}

} // namespace

Work declareStats(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Network file")->required();
    addDataOption(app, options->data, "Data, needed where the network can be run");
    app.add_option("--layer", options->layers, "Only this layer (may be given several times)");
    constexpr int kMostBins = 65536;
    app.add_option("--bins", options->bins, "Bins of the histograms")->check(CLI::Range(1, kMostBins))->capture_default_str();
    return [options](Console &console) { return stats(*options, console); };
}

} // namespace bitwright::cli
