// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/exporter.h"
#include "exporters/verify.h"
#include "simulate/calibration.h"
#include "simulate/simulation.h"

#include <memory>
#include <string>

namespace bitwright {

/// A configured model on its way to a file.
struct ConfiguredModel {
    std::shared_ptr<const Network> network;
    ModelConfig config;
    ResolvedConfig resolved;            ///< activations with their values
    WeightsState weights;
};

/// Writes the configured model in an exporter's format. `example` is one batch, to learn shapes that the graph leaves
/// open; it may be undefined.
Result<ExportReport> exportModel(const ConfiguredModel &model, const std::string &format, const std::string &path,
                                 const at::Tensor &example, const JobContext &context);

/// The simulation of the configured model, with the quantized input of every layer, as verifyFile wants it.
Result<Simulate> tracedSimulation(const ConfiguredModel &model);

} // namespace bitwright
