// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "base/replace_file.h"
#include "exporters/pt2_writer.h"
#include "simulate/surgery.h"

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options { std::string model, config, output, configOutput; };

Result<Output> surgery(const Options &options, Console &console)
{
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_ASSIGN(const auto assignment, readAssignment(*network, options.config, console));
    BW_CHECK(notOver(options.model, options.output));
    BW_ASSIGN(const CutNetwork cut, cutNetwork(*network, assignment.config, {}, options.output, console.job()));
    BW_CHECK(writeGraphPt2(cut.network->graph(), options.output, console.job()));
    if (!options.configOutput.empty())
        BW_CHECK(writeConfig(cut.config, options.configOutput));

    TextTable table({{"layer"}, {"channels", TextTable::Align::Right}, {"of", TextTable::Align::Right}, {"MACs", TextTable::Align::Right}, {"of", TextTable::Align::Right}});
    Output output;
    output.firstKeys = {"layers", "name", "kept", "total", "parameters", "float_parameters", "macs", "float_macs"};
    std::int64_t macs = 0, before = 0;
    output.json["layers"] = json::array();
    for (const LayerInfo &layer : network->summary().layers) {
        const LayerInfo *now = cut.network->summary().layer(layer.name);
        if (!now || layer.status != LayerStatus::Quantizable)
            continue;
        output.json["layers"].push_back({{"name", layer.name}, {"kept", now->channels()}, {"total", layer.channels()}});
        table.add({layer.name, grouped(now->channels()), grouped(layer.channels()), grouped(now->macs), grouped(layer.macs)});
        macs += now->macs;
        before += layer.macs;
    }
    output.json["removed_units"] = cut.removedUnits;
    output.json["parameters"] = cut.network->summary().parameters;
    output.json["float_parameters"] = network->summary().parameters;
    output.json["macs"] = macs;
    output.json["float_macs"] = before;
    output.json["max_abs_difference"] = cut.maxAbsDifference;
    output.text = table.text() + "\n" + options.output + ": " + grouped(cut.network->summary().parameters) + " of " +
                  grouped(network->summary().parameters) + " parameters, " + grouped(macs) + " of " + grouped(before) + " MACs left\n";
    return output;
}

} // namespace

Work declareSurgery(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Network file")->required();
    app.add_option("--config", options->config, "Assignment with the masks")->required();
    app.add_option("-o,--output", options->output, "The smaller network, .pt2")->required();
    app.add_option("--config-out", options->configOutput, "The assignment for the smaller network");
    return [options](Console &console) { return surgery(*options, console); };
}

} // namespace bitwright::cli
