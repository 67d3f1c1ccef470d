// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/exporter.h"
#include "exporters/report.h"
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

/// What an exporter is given: masks made, weights' levels fitted to what they keep.
Result<ExportInput> exportInput(const ConfiguredModel &model, const at::Tensor &example);

/// Writes the configured model in an exporter's format. `example` is one batch, to learn shapes that the graph leaves
/// open; it may be undefined.
/// A document needs `evidence`.
Result<ExportReport> exportModel(const ConfiguredModel &model, const std::string &format, const std::string &path,
                                 const at::Tensor &example, const JobContext &context,
                                 std::shared_ptr<const ExportEvidence> evidence = {});

/// Puts into `verify` what the written file of this model is checked against.
Status setSimulation(VerifyInput &verify, const ConfiguredModel &model);

} // namespace bitwright
