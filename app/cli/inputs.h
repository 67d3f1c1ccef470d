// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "console.h"

#include "config/presets.h"
#include "data/dataset.h"
#include "simulate/network.h"
#include "store/session_store.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace CLI { class App; class Option; }

namespace bitwright::cli {

/// "NAME=VALUE" in two; the name may hold "=" where `last` splits at the last one. `what` is the option and its form,
/// "--option NAME=VALUE", for the CLI::ValidationError that it throws where the pair is no such thing.
std::pair<std::string, std::string> splitPair(const std::string &pair, const std::string &what, bool last = false);
/// Adds the pairs of --option; one that comes twice is an error as above.
void addOptionPairs(const std::vector<std::string> &pairs, std::map<std::string, std::string> &named);

/// Declares --data.
CLI::Option *addDataOption(CLI::App &app, std::string &spec, const std::string &what = "Data");
/// Opens the --data SPEC for a network: its inputs, its sample's preprocessing. Random data is announced.
Result<std::shared_ptr<const Dataset>> openDataFor(const Network &network, const std::string &spec, Console &console);

/// Says in the JSON ("random_data", "note") that a result was measured on random data; nothing for other data.
void noteRandomData(Output &output);
void noteRandomData(Output &output, const Dataset &data);

/// An assignment and what it means for every quantizable layer.
struct Assignment {
    ModelConfig config;
    ResolvedConfig resolved;
};
/// Reads an assignment for a network, or gives the all-float one for an empty path; `preset` replaces its quantizers. One
/// made for another file is a warning; a layer that the network lacks, an error.
Result<Assignment> readAssignment(const Network &network, const std::string &path, Console &console, const std::string &preset = {});
/// Declares --preset.
void addPresetOption(CLI::App &app, std::string &preset);
/// Throws the CLI::ValidationError of a command that needs --config or --preset and got neither.
void needsAssignment(const std::string &config, const std::string &preset);
/// The preset of --preset, or an error that names what there is.
Result<const Preset *> presetNamed(const std::string &id);
/// The same with the activations that lack values calibrated on the first 512 samples of `data`.
Status calibrateMissing(Assignment &assignment, const Network &network, const Dataset &data, Console &console);

/// Opens or makes the session of --session; null for an empty path.
Result<std::unique_ptr<SessionStore>> openSession(const std::string &path);

} // namespace bitwright::cli
