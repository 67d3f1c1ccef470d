// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/uniform_form.h"
#include "grid/quant_grid.h"
#include "plots/plot_data.h"
#include "stats/histogram.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// What the window knows of a tensor before the engine has answered.
struct SiteKnowledge {
    Moments moments;                  ///< of the whole tensor
    Histogram histogram;
    std::vector<Moments> channels;    ///< of a weight's output channels, or empty
    Role role = Role::Weight;
    bool nonNegative = false;         ///< an input behind a ReLU
};

/// The grid that a spec gives, as far as a histogram tells: drawn in the frame of the edit and replaced by the
/// engine's own a moment later. Values of the spec (scale, zero point, codebook) are used as they are, so a dragged handle is
/// exact; a range that needs a search (mse, kl) is searched on the histogram. Empty for float, for a method that it
/// does not know and for a tensor without numbers.
QuantGrid provisionalGrid(const QuantSpec &spec, const SiteKnowledge &site);

/// Error of quantizing the histogram's values: each bin's centre plus the spread inside a bin.
struct ProvisionalError {
    double mse = 0, sqnrDb = 0;       ///< dB, infinite when the error is 0
    double clippedShare = 0;          ///< share of counts outside the outermost levels
    double emptyLevelShare = 0;       ///< share of levels that no bin reaches
};
ProvisionalError provisionalError(const Histogram &histogram, const QuantGrid &grid, std::size_t group);

/// Which end a person moves.
enum class ClipSide { Low, High };

/// The values ("scale", "zero_point") that bring an end of the grid to `position`, in the way the form allows:
/// symmetric grids move both ends, unsigned ones keep zero, asymmetric ones keep the other end and contain zero. With
/// several groups, `group` moves alone; without it all groups move by the same factor. `grid` is the present one.
std::map<std::string, std::vector<double>> valuesForClip(const UniformForm &form, const QuantGrid &grid, ClipSide side,
                                                        double position, std::optional<std::size_t> group);
/// The values that make the grid span [lower, upper] as well as the form allows.
std::map<std::string, std::vector<double>> valuesForRange(const UniformForm &form, const QuantGrid &grid, PlotRange range,
                                                         std::optional<std::size_t> group);
/// False when the lower end stays at zero.
bool clipHasLow(const UniformForm &form);

} // namespace bitwright
