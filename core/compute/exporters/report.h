// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "cost/size_model.h"
#include "exporters/exporter.h"
#include "network/model_summary.h"
#include "simulate/calibration.h"
#include "stats/histogram.h"
#include "trial/trial_record.h"

#include <string>
#include <utility>
#include <vector>

namespace bitwright {

/// A histogram with the levels drawn over it.
struct ReportPlot {
    Histogram histogram;
    std::vector<double> levels;     ///< ascending
    std::string caption;
};

/// One row of the layer table, and the plots of a quantized layer.
struct ReportLayer {
    std::string name, op, shape, method, granularity;
    std::string activation;         ///< "uniform, 8 bits", or "float"
    std::int64_t parameters = 0;
    int bits = 32;
    double sparsity = 0;            ///< share of the weights that is pruned
    double bytes = 0;               ///< of the size model
    double share = 0;               ///< of the whole size
    double sqnrDb = 0;              ///< of the weight; not a number where it is float
    std::vector<ReportPlot> plots;
};

/// What a report says, ready to be written in any form.
struct ReportContent {
    std::string file, sha256, versions, created;
    std::int64_t floatBytes = 0, bytes = 0;
    double otherBytes = 0;          ///< parameters outside the listed layers
    bool measured = false;
    TrialRecord accuracy;           ///< where `measured`: of this assignment
    std::vector<ReportLayer> layers;
    std::vector<TrialRecord> trials;   ///< of this network
    std::string assignment;         ///< JSON
    std::vector<std::string> commands;
    std::uint64_t seed = 0;
};

/// Fills in what follows from the configured model: sizes, layers, plots, the assignment. `statistics` may be empty:
/// then there are no plots of activations.
Result<ReportContent> reportContent(const ExportInput &input, const ModelSummary &summary, const ModelConfig &config,
                                    const ActivationStatistics &statistics, const JobContext &context);

/// One self-contained HTML page. Any bytes in names are escaped.
std::string reportHtml(const ReportContent &content);

/// Writes the page beside `path`, then renames it.
Status writeReport(const ReportContent &content, const std::string &path);

} // namespace bitwright
