// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "grid/quant_grid.h"
#include "stats/histogram.h"

#include <QString>
#include <QStringList>
#include <QVariant>

#include <cstdint>
#include <utility>
#include <vector>

namespace bitwright {

/// Reductions from domain values to what a plot draws. Pure functions; nothing here knows a widget.

struct PlotPoints {
    std::vector<double> x, y;
    [[nodiscard]] std::size_t size() const { return x.size(); }
    friend bool operator==(const PlotPoints &, const PlotPoints &) = default;
};

struct PlotRange {
    double lower = 0, upper = 1;
    [[nodiscard]] double size() const { return upper - lower; }
    friend bool operator==(const PlotRange &, const PlotRange &) = default;
};

/// The value that an empty bin gets on a logarithmic count axis, half a count: below anything that was counted.
inline constexpr double kLogFloor = 0.5;

/// The outline of a histogram as a step line with two points a bin, closed down to the base at both ends. Where more
/// than `columns` bins fall into `visible`, neighbours are merged and the highest of them kept, so that a peak of a
/// single bin never disappears. `logarithmic` lifts empty bins to kLogFloor.
PlotPoints stepOutline(const Histogram &histogram, PlotRange visible, std::size_t columns, bool logarithmic = false);

/// The quantized values drawn to compare with the original: what falls into the cell of a level is spread evenly over
/// that cell, so a fine grid gives the original's curve again and a coarse one its steps; what is clipped stands in
/// the outermost cells. Heights are counts per bin of the original. `group` names the grid's group.
PlotPoints quantizedOutline(const Histogram &original, const QuantGrid &grid, std::size_t group,
                            bool logarithmic = false);

/// The same for a grid with several groups, whose levels lie between each other: the quantized histogram, averaged
/// over `window` (the typical step).
PlotPoints smoothedOutline(const Histogram &quantized, double window, bool logarithmic = false);

/// What quantizing would make of a histogram: each bin's count moves to the bin of its centre's level.
Histogram quantizeHistogram(const Histogram &original, const QuantGrid &grid, std::size_t group);

/// Counts over the first `bins` bins' height that a plot must show: the highest count with some air above.
double countCeiling(const Histogram &histogram, bool logarithmic);

/// The range of the data worth showing: all bins that are not empty, with two percent of air.
PlotRange dataRange(const Histogram &histogram);

/// Lines that stand for the levels (or thresholds) of a grid on a screen of `columns` pixels over `visible`.
struct LineSelection {
    std::vector<double> values;    ///< where to draw, ascending
    bool aggregated = false;       ///< denser than the pixels allow: `values` is empty, the band is to be filled
    PlotRange band;                ///< what the lines cover together, cut to `visible`
    std::size_t inView = 0;        ///< how many there really are in view
};
/// Levels of one group without listing all 65536 of a 16-bit grid; `spacing` is the least distance in pixels below
/// which single lines are no longer told apart.
LineSelection levelLines(const QuantGrid &grid, std::size_t group, PlotRange visible, double columns,
                         double spacing = 3.0);
/// The same for the thresholds between them.
LineSelection thresholdLines(const QuantGrid &grid, std::size_t group, PlotRange visible, double columns,
                             double spacing = 6.0);

/// The group with the widest range: it stands for all where one picture shows every channel, since what lies outside it
/// is clipped in each of them.
std::size_t widestGroup(const QuantGrid &grid);
/// Lowest and highest level of a group.
PlotRange gridRange(const QuantGrid &grid, std::size_t group);
/// Lowest and highest level of all groups.
PlotRange gridRange(const QuantGrid &grid);

/// The distance of round ticks: 1, 2, 2.5 or 5 times a power of ten, so that at most `most` steps fit; 0 without range.
double niceStep(PlotRange range, int most);
/// Tick positions at 1, 2 or 5 times powers of ten for a logarithmic axis of `pixels`, thinned to stay readable.
/// Where fewer than three would fall into a narrow range, they are round steps instead.
std::vector<double> logTicks(PlotRange range, double pixels);
/// Tick positions at 1, 2, 2.5 or 5 times a power of ten, at most `most` of them, covering the range from inside.
std::vector<double> niceTicks(PlotRange range, int most);
/// Enough decimals to tell ticks of this distance apart.
int tickDecimals(double step);
/// A range around values with air; never empty.
PlotRange paddedRange(double lower, double upper, double air = 0.05);

/// Keeps at most two points (lowest and highest) for each of `columns` columns; for long live curves.
PlotPoints decimate(const PlotPoints &points, std::size_t columns);
/// Running mean over `window` points, for noisy losses.
std::vector<double> smoothed(const std::vector<double> &values, std::size_t window);

/// Indices of values that stand out: outside the quartiles by more than `fences` times their distance.
std::vector<std::size_t> outliers(const std::vector<double> &values, double fences = 3.0);

/// What a plot shows, as a table: for the screen reader, the table view, the CSV file and the clipboard.
struct PlotTable {
    QStringList header;
    std::vector<std::vector<QVariant>> rows;
    [[nodiscard]] bool empty() const { return rows.empty(); }
};
/// RFC 4180 text: comma, quotes where needed, a point in numbers whatever the locale, 17 digits where they matter.
QString csvText(const PlotTable &table);

} // namespace bitwright
