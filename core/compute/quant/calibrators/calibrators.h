// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/site_statistics.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// The three shapes of a uniform grid (methods.md A1).
enum class GridForm { Symmetric, Unsigned, Asymmetric };

/// What a range is wanted for.
struct RangeRequest {
    int bits = 8;
    GridForm form = GridForm::Symmetric;
    std::int64_t qmin = -127, qmax = 127;
    double percentile = 99.9;
    double ratio = 0.8;
    std::string distribution = "gaussian";
};

/// A symmetric grid uses the larger magnitude, an unsigned one only hi.
struct Range {
    double lo = 0, hi = 0;
};

/// Step and zero point, both exact in float.
struct Step {
    float scale = 1;
    float zeroPoint = 0;
};
/// A1's formulas in double precision, the step rounded to float last and never below 1e-8.
Step stepFor(Range range, const RangeRequest &request);

/// One range estimator (methods.md A3): exact on values in hand, from the histogram where they were streamed.
/// Values that are not finite are left out.
struct CalibratorRow {
    const char *id;
    const char *title;
    Range (*fromValues)(std::span<const float> x, const Moments &moments, const RangeRequest &request);
    Range (*fromStatistics)(const SiteStatistics &statistics, const RangeRequest &request);
};
/// The table, in the order of the menus.
const std::vector<CalibratorRow> &calibratorRows();
/// nullptr when there is none of that name.
const CalibratorRow *findCalibrator(const std::string &id);
std::vector<std::string> calibratorIds();

/// The extremes in the shape of the grid: [-amax, amax], [0, hi] or [lo, hi].
Range extremes(double min, double max, GridForm form);
/// [-amax, amax], or [0, amax] for an unsigned grid and for an asymmetric one whose values are all at least 0.
Range aroundZero(double amax, double min, GridForm form);

CalibratorRow minMaxCalibrator();
CalibratorRow averageCalibrator();
CalibratorRow percentileCalibrator();
CalibratorRow scaledCalibrator();
CalibratorRow mseCalibrator();
CalibratorRow klCalibrator();
CalibratorRow aciqCalibrator();

} // namespace bitwright
