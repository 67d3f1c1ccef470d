// SPDX-License-Identifier: GPL-3.0-or-later
#include "inputs.h"

#include "base/names.h"
#include "quant/quantizer.h"
#include "simulate/calibration.h"
#include "simulate/masking.h"
#include "simulate/sample_batches.h"

#include <CLI/CLI.hpp>

namespace bitwright::cli {

std::pair<std::string, std::string> splitPair(const std::string &pair, const std::string &what, bool last)
{
    const auto equals = last ? pair.rfind('=') : pair.find('=');
    if (equals == std::string::npos || equals == 0)
        throw CLI::ValidationError(what.substr(0, what.find(' ')) + " " + pair + ", is not " + what.substr(what.find(' ') + 1));
    return {pair.substr(0, equals), pair.substr(equals + 1)};
}

void addOptionPairs(const std::vector<std::string> &pairs, std::map<std::string, std::string> &named)
{
    for (const std::string &pair : pairs)
        if (!named.insert(splitPair(pair, "--option NAME=VALUE")).second)
            throw CLI::ValidationError("--option " + pair + ", that option was given before");
}

namespace {

constexpr const char *kRandomNote = "random data, made up: this says how close the network stays to its float self, nothing about its task";

Status checkRunnable(const Network &network)
{
    const auto &obstacles = network.executor().graph().obstacles;
    if (obstacles.empty())
        return {};
    return fail(ErrorKind::Unsupported, network.summary().path + " cannot be run, " + obstacles.front());
}

} // namespace

Result<std::shared_ptr<const Dataset>> openDataFor(const Network &network, const std::string &spec, Console &console)
{
    BW_CHECK(checkRunnable(network));
    DataContext context = dataContext(network);
    context.job = console.job();
    BW_ASSIGN(auto data, openData(spec, context));
    if (data->isRandom())
        console.warn(std::string("note: ") + kRandomNote);
    return data;
}

CLI::Option *addDataOption(CLI::App &app, std::string &spec, const std::string &what)
{
    return app.add_option("--data", spec, what + ", KIND:PATH[,option=value…]: idx:DIR, images:DIR, npz:FILE (for several inputs an array of each name), "
                                                 "npy:FILE, sample:test, or random:count=256,seed=1[,INPUT=1x3x224x224][,INPUT.high=1000] (see docs/data.md)");
}

void noteRandomData(Output &output)
{
    output.json["random_data"] = true;
    output.json["note"] = kRandomNote;   // the text has it from openDataFor
}

void noteRandomData(Output &output, const Dataset &data)
{
    if (data.isRandom())
        noteRandomData(output);
}

void addPresetOption(CLI::App &app, std::string &preset)
{
    app.add_option("--preset", preset, "The assignment of a paper (see methods); with --config its masks stay and its quantizers go");
}

void needsAssignment(const std::string &config, const std::string &preset)
{
    if (config.empty() && preset.empty())
        throw CLI::RequiredError("--config");
}

Result<const Preset *> presetNamed(const std::string &id)
{
    if (const Preset *preset = findPreset(id))
        return preset;
    std::vector<std::string> ids;
    for (const Preset &preset : presets())
        ids.push_back(preset.id);
    const std::string near = closestName(id, ids);
    return fail(ErrorKind::Invalid, "--preset " + id + ", there is no such preset; " +
                                        (near.empty() ? std::string("`methods` lists them") : "did you mean \"" + near + "\"?"));
}

Result<Assignment> readAssignment(const Network &network, const std::string &path, Console &console, const std::string &preset)
{
    Assignment assignment;
    const auto &summary = network.summary();
    if (!path.empty()) {
        BW_ASSIGN(assignment.config, readConfig(path, methodCatalog()));
        if (!assignment.config.modelSha.empty() && assignment.config.modelSha != summary.sha256)
            console.warn("warning: " + path + " was made for another file than " + summary.path + "; its values may not fit");
    }
    if (!preset.empty()) {
        BW_ASSIGN(const Preset *named, presetNamed(preset));
        assignment.config = withPreset(std::move(assignment.config), *named);
    }
    auto resolved = resolve(assignment.config, summary, methodCatalog());
    if (!resolved)
        return fail(resolved.error().kind, (preset.empty() ? path : "--preset " + preset) + ": " + resolved.error().message, resolved.error().context);
    assignment.resolved = std::move(*resolved);
    BW_CHECK(fillMasks(assignment.resolved, network, assignment.config.foldBatchNorm, {}));
    assignment.config.modelSha = summary.sha256;
    assignment.config.modelLayers = summary.quantizableLayers();
    return assignment;
}

Status calibrateMissing(Assignment &assignment, const Network &network, const Dataset &data, Console &console)
{
    BW_ASSIGN(const bool lacks, needsActivations(network, assignment.resolved));
    if (!lacks)
        return {};
    BW_ASSIGN(const auto statistics, collectActivations(network, assignment.config.foldBatchNorm, maskedState(network, {}, assignment.resolved), data,
                                                        kCalibrationSamples, console.job()));
    return fillActivations(assignment.resolved, network, statistics);
}

Result<std::unique_ptr<SessionStore>> openSession(const std::string &path)
{
    if (path.empty())
        return std::unique_ptr<SessionStore>{};
    return SessionStore::open(path, true);
}

} // namespace bitwright::cli
