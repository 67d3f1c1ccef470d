// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "base/replace_file.h"
#include "config/uniform_form.h"
#include "engine/write_trained.h"
#include "simulate/calibration.h"
#include "train/correct.h"

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options {
    std::string model, data, config, step, output, configOutput;
    std::int64_t samples = 2048;
};

/// The assignment with the activations that were calibrated for the correction.
Status writeAssignment(const Options &options, Assignment assignment, const ModelSummary &model)
{
    if (options.configOutput.empty())
        return {};
    spellOutSigns(assignment.resolved, model);
    auto complete = withValues(assignment.config, assignment.resolved, false);
    if (auto written = Network::open(options.output))   // the assignment is the new file's
        complete.modelSha = (*written)->summary().sha256;
    return writeConfig(complete, options.configOutput);
}

Result<Output> correct(const Options &options, Console &console)
{
    BW_CHECK(notOver(options.model, options.output));
    for (const std::string &path : {options.output, options.configOutput})
        if (!path.empty())
            BW_CHECK(canReplace(path));
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_ASSIGN(auto assignment, readAssignment(*network, options.config, console));
    BW_ASSIGN(const auto data, openDataFor(*network, options.data, console));
    BW_CHECK(calibrateMissing(assignment, *network, *data, console));
    const CorrectInput input{network, assignment.resolved, assignment.config.foldBatchNorm, {}, data, options.samples};
    const bool bias = options.step == "bias";
    BW_ASSIGN(const Correction correction, bias ? biasStep(input, console.job()) : batchNormStep(input, console.job()));
    for (const std::string &note : correction.notes)
        console.warn("warning: " + note);
    BW_CHECK(writeTrained(network, correction.parameters, options.output, console.job()));
    BW_CHECK(copySideFile(options.model, options.output));
    BW_CHECK(writeAssignment(options, assignment, network->summary()));
    Output output;
    output.firstKeys = {"step", "changed", "notes", "model"};
    output.json = {{"step", options.step}, {"changed", correction.changed}, {"notes", correction.notes}, {"model", options.output},
                   {"samples", options.samples > 0 ? std::min(options.samples, data->size()) : data->size()}};
    output.text = grouped(std::int64_t(correction.changed.size())) + (bias ? " biases corrected" : " batch-norm statistics re-estimated") +
                  ", written: " + options.output + (options.configOutput.empty() ? "" : ", " + options.configOutput) + "\n";
    return output;
}

} // namespace

Work declareCorrect(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Network file")->required();
    app.add_option("--data", options->data, "Data that the means are taken over, KIND:PATH[,option=value…]")->required();
    app.add_option("--config", options->config, "Assignment to correct for")->required();
    app.add_option("--step", options->step, "batch_norm: statistics anew; bias: the means of the float network")
        ->required()->check(CLI::IsMember({"batch_norm", "bias"}));
    app.add_option("--samples", options->samples, "Samples that are looked at, 0 for all")->check(CLI::Range(0, 1 << 30))->capture_default_str();
    app.add_option("-o,--output", options->output, "The corrected network, in MODEL's own format")->required();
    app.add_option("--config-out", options->configOutput, "The assignment with the calibrated values");
    return [options](Console &console) { return correct(*options, console); };
}

} // namespace bitwright::cli
