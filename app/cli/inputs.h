// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "console.h"

#include "config/model_config.h"
#include "data/dataset.h"
#include "simulate/network.h"

#include <memory>
#include <string>

namespace bitwright::cli {

/// Opens the --data SPEC for a network: its shape, its sample's preprocessing.
Result<std::shared_ptr<const Dataset>> openDataFor(const Network &network, const std::string &spec, Console &console);

/// Reads an assignment for a network. One made for another file is a warning; a layer that the network lacks, an error.
Result<ModelConfig> readConfigFor(const Network &network, const std::string &path, Console &console);

} // namespace bitwright::cli
