// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "config/uniform_form.h"
#include "simulate/calibration.h"
#include "simulate/masking.h"

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

struct Options {
    std::string model, data, config, preset, output;
    bool weights = false;
};

Result<Output> calibrate(const Options &options, Console &console)
{
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_ASSIGN(auto assignment, readAssignment(*network, options.config, console, options.preset));
    BW_ASSIGN(const auto data, openDataFor(*network, options.data, console));
    const bool folded = assignment.config.foldBatchNorm;
    BW_ASSIGN(const bool lacks, needsActivations(*network, assignment.resolved));
    if (lacks) {
        BW_ASSIGN(const auto statistics, collectActivations(*network, folded, maskedState(*network, {}, assignment.resolved), *data, 0,
                                                            console.job()));
        BW_CHECK(fillActivations(assignment.resolved, *network, statistics));
    }
    if (options.weights)
        BW_CHECK(fillWeights(assignment.resolved, network, folded, {}));
    spellOutSigns(assignment.resolved, network->summary());
    const auto filled = withValues(assignment.config, assignment.resolved, options.weights);
    BW_CHECK(writeConfig(filled, options.output));
    Output output;
    output.json = configToJson(filled);
    output.firstKeys = {"schema", "model", "network", "defaults", "layers", "weight", "activation", "method", "bits"};
    output.text = options.output + ": " + std::to_string(assignment.resolved.size()) + " layers, calibrated on " +
                  grouped(data->size()) + (data->isRandom() ? " random samples\n" : " samples\n");
    return output;
}

} // namespace

Work declareCalibrate(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Network file")->required();
    addDataOption(app, options->data, "Calibration data")->required();
    app.add_option("--config", options->config, "Assignment to complete");
    addPresetOption(app, options->preset);
    app.add_option("-o,--output", options->output, "Where the completed assignment goes")->required();
    app.add_flag("--weights", options->weights, "Also store the weights' values; else they follow the weights");
    app.parse_complete_callback([options] { needsAssignment(options->config, options->preset); });
    return [options](Console &console) { return calibrate(*options, console); };
}

} // namespace bitwright::cli
