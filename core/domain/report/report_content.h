// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "stats/histogram.h"
#include "trial/trial_record.h"

#include <cstdint>
#include <string>
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
    std::string weights;            ///< a trained state's name; "" for the file's own
    std::int64_t floatBytes = 0, bytes = 0;
    double otherBytes = 0;          ///< parameters outside the listed layers
    bool measured = false;
    TrialRecord accuracy;           ///< where `measured`: of this assignment
    bool calibrated = false;        ///< some layer's input has ranges that were found on data
    /// The --data SPEC that they were found on, and how many samples of it; "" where nobody knows.
    std::string calibrationData;
    std::int64_t calibrationSamples = 0;
    std::vector<ReportLayer> layers;
    std::vector<TrialRecord> trials;   ///< of this network
    std::string assignment;         ///< JSON
    std::vector<std::string> commands;
    std::uint64_t seed = 0;
};

} // namespace bitwright
