// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/exporter.h"
#include "network/model_summary.h"
#include "report/report_content.h"
#include "simulate/calibration.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// What a report shows that the configured network does not say itself.
struct ExportEvidence {
    ModelSummary summary;                  ///< with the shapes that the data make
    ModelConfig config;                    ///< as it is printed
    std::string weights;                   ///< a trained state's name; "" for the file's own
    ActivationStatistics statistics;       ///< empty: no plots of inputs
    bool calibrated = false;               ///< ReportContent's fields of the same name
    std::string calibrationData;
    std::int64_t calibrationSamples = 0;
    std::optional<TrialRecord> measured;   ///< of exactly this assignment
    std::vector<TrialRecord> trials;       ///< of this network
    std::vector<std::string> commands;     ///< that make this report again
    std::uint64_t seed = 0;
    std::string created;                   ///< ISO 8601, UTC
};

/// What the page will say. Sizes, layers, plots and the assignment follow from the configured model.
Result<ReportContent> reportContent(const ExportInput &input, const ExportEvidence &evidence, const JobContext &context);

} // namespace bitwright
