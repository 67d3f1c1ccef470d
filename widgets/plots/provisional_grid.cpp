// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/provisional_grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace bitwright {

namespace {

/// Least step; methods.md A1 guards the same way.
constexpr double kLeastScale = 1e-8;

/// Codes from zero to the end that a symmetric range is measured by.
double reach(const UniformForm &form)
{
    return double(std::max<std::int64_t>(form.qmax, form.fullRange ? 1 : form.qmax));
}

QuantGrid::Group groupForRange(const UniformForm &form, double lower, double upper)
{
    QuantGrid::Group group;
    if (form.symmetric) {
        const double amax = form.isSigned ? std::max(std::abs(lower), std::abs(upper)) : std::max(upper, 0.0);
        group.scale = std::max(amax / std::max(reach(form), 1.0), kLeastScale);
        return group;
    }
    lower = std::min(lower, 0.0);
    upper = std::max(upper, 0.0);
    group.scale = std::max((upper - lower) / double(form.qmax), kLeastScale);
    group.zeroPoint = std::int64_t(std::clamp(std::nearbyint(-lower / group.scale), 0.0, double(form.qmax)));
    return group;
}

double histogramQuantile(const Histogram &histogram, double share)
{
    const double wanted = share * double(histogram.total() + histogram.underflow + histogram.overflow);
    double seen = double(histogram.underflow);
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        seen += double(histogram.counts[i]);
        if (seen >= wanted)
            return histogram.edge(i);
    }
    return histogram.hi;
}

double analyticFactor(const QuantSpec &spec, bool laplace, bool oneSided)
{
    constexpr std::array gauss = {1.24, 1.71064, 2.15159, 2.55914, 2.93620, 3.28691, 3.61511, 3.92404, 4.2};
    constexpr std::array exponential = {1.86, 2.83068, 3.89723, 5.02864, 6.20477, 7.41313, 8.64562, 9.89676, 11.1627};
    const std::size_t at = std::size_t(std::clamp(spec.bits - 1 + (oneSided ? 1 : 0), 0, 8));
    return laplace ? exponential[at] : gauss[at];
}

/// The share of the full range with the least error on the histogram; coarse, for one frame.
double searchedRatio(const UniformForm &form, const Histogram &histogram, double lower, double upper)
{
    double best = 1, bestError = std::numeric_limits<double>::infinity();
    for (int i = 100; i >= 4; i -= 2) {
        const double ratio = i / 100.0;
        QuantGrid grid;
        grid.qmin = form.qmin;
        grid.qmax = form.qmax;
        grid.groups = {groupForRange(form, lower * ratio, upper * ratio)};
        const double error = provisionalError(histogram, grid, 0).mse;
        if (error < bestError) {
            bestError = error;
            best = ratio;
        }
    }
    return best;
}

PlotRange chosenRange(const QuantSpec &spec, const UniformForm &form, const SiteKnowledge &site)
{
    const std::string rule = textParam(spec.options, "range", "minmax");
    const Moments &m = site.moments;
    if (rule == "scaled") {
        const double ratio = realParam(spec.options, "ratio", 0.8);
        return {m.min * ratio, m.max * ratio};
    }
    if (rule == "percentile") {
        const double share = realParam(spec.options, "percentile", 99.9) / 100;
        const double low = histogramQuantile(site.histogram, 1 - share), high = histogramQuantile(site.histogram, share);
        return {low, high};
    }
    if (rule == "aciq" && m.count > 0) {
        const bool laplace = textParam(spec.options, "distribution", "gaussian") == "laplace";
        // A mean absolute deviation is not kept; for a Laplace distribution it is the deviation over sqrt 2.
        const double spread = laplace ? m.std() / std::sqrt(2.0) : m.std();
        const double amax = analyticFactor(spec, laplace, !form.isSigned || m.min >= 0) * spread;
        return {m.min >= 0 ? 0.0 : -amax, amax};
    }
    if (rule == "mse" || rule == "kl") {
        const double ratio = searchedRatio(form, site.histogram, m.min, m.max);
        return {m.min * ratio, m.max * ratio};
    }
    return {m.min, m.max};
}

const std::vector<double> *valueOf(const QuantSpec &spec, const char *name)
{
    const auto found = spec.values.find(name);
    return found == spec.values.end() || found->second.empty() ? nullptr : &found->second;
}

/// Free levels with the nearest of them as the answer.
QuantGrid gridOfLevels(std::vector<double> levels)
{
    QuantGrid grid;
    grid.uniform = false;
    std::ranges::sort(levels);
    auto &group = grid.groups.emplace_back();
    for (std::size_t i = 0; i + 1 < levels.size(); ++i)
        group.thresholds.push_back((levels[i] + levels[i + 1]) / 2);
    group.levels = std::move(levels);
    return grid;
}

std::map<std::string, std::vector<double>> toValues(const UniformForm &form, const std::vector<QuantGrid::Group> &groups)
{
    std::map<std::string, std::vector<double>> values;
    for (const auto &group : groups) {
        values["scale"].push_back(group.scale);
        if (!form.symmetric)
            values["zero_point"].push_back(double(group.zeroPoint));
    }
    return values;
}

} // namespace

QuantGrid provisionalGrid(const QuantSpec &spec, const SiteKnowledge &site)
{
    QuantGrid grid;
    if (const auto *codebook = valueOf(spec, "codebook"))
        return gridOfLevels(*codebook);
    if (const auto *alpha = valueOf(spec, "alpha"); alpha && spec.method == "pact" && textParam(spec.options, "variant") != "two_sided") {
        grid.qmax = (std::int64_t(1) << spec.bits) - 1;
        grid.groups.push_back({.scale = alpha->front() / double(grid.qmax), .levels = {}, .thresholds = {}});
        return grid;
    }
    if (spec.method != "uniform")
        return grid;
    const UniformForm form = uniformForm(spec, site.role, site.nonNegative);
    grid.qmin = form.qmin;
    grid.qmax = form.qmax;
    grid.perChannel = textParam(spec.options, "granularity", "tensor") == "channel";
    if (const auto *scales = valueOf(spec, "scale")) {
        const auto *zeros = valueOf(spec, "zero_point");
        for (std::size_t i = 0; i < scales->size(); ++i) {
            QuantGrid::Group group;
            group.scale = (*scales)[i];
            if (zeros && !form.symmetric)
                group.zeroPoint = std::int64_t((*zeros)[std::min(i, zeros->size() - 1)]);
            grid.groups.push_back(group);
        }
        return grid;
    }
    if (site.moments.count == 0)
        return grid;
    const PlotRange range = chosenRange(spec, form, site);
    if (!grid.perChannel || site.channels.empty()) {
        grid.perChannel = false;
        grid.groups.push_back(groupForRange(form, range.lower, range.upper));
        return grid;
    }
    // Only extremes are known of a channel: what the rule does to the tensor's range it is taken to do to each.
    const double whole = std::max(std::abs(site.moments.min), std::abs(site.moments.max));
    const double ratio = whole > 0 ? std::max(std::abs(range.lower), std::abs(range.upper)) / whole : 1;
    for (const Moments &channel : site.channels)
        grid.groups.push_back(groupForRange(form, channel.min * ratio, channel.max * ratio));
    return grid;
}

ProvisionalError provisionalError(const Histogram &histogram, const QuantGrid &grid, std::size_t group)
{
    ProvisionalError error;
    if (grid.empty() || histogram.counts.empty())
        return error;
    const double width = histogram.binWidth();
    const PlotRange ends = gridRange(grid, group);
    const std::size_t levels = grid.levelCount(group);
    double sum = 0, power = 0, total = 0, clipped = 0;
    double lastLevel = std::numeric_limits<double>::quiet_NaN();
    std::size_t used = 0;
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        if (histogram.counts[i] == 0)
            continue;
        const double count = double(histogram.counts[i]), x = histogram.center(i);
        const double level = grid.quantize(group, x);
        if (level != lastLevel)
            ++used;
        lastLevel = level;
        // Inside one cell the bin's own spread adds; a bin wider than the cells is rounded within itself.
        const double step = levels > 1 ? ends.size() / double(levels - 1) : 0;
        const bool fine = step < width && x >= ends.lower && x <= ends.upper;
        sum += count * (fine ? step * step / 12 : (x - level) * (x - level) + width * width / 12);
        power += count * x * x;
        total += count;
        if (x < ends.lower - width / 2 || x > ends.upper + width / 2)
            clipped += count;
    }
    clipped += double(histogram.underflow + histogram.overflow);
    total += double(histogram.underflow + histogram.overflow);
    if (total <= 0)
        return error;
    error.mse = sum / total;
    error.sqnrDb = sum > 0 && power > 0 ? 10 * std::log10(power / sum) : std::numeric_limits<double>::infinity();
    error.clippedShare = clipped / total;
    error.emptyLevelShare = levels > 0 && levels <= histogram.counts.size()
                                ? 1.0 - double(std::min(used, levels)) / double(levels) : 0;
    return error;
}

bool clipHasLow(const UniformForm &form)
{
    return !form.symmetric || form.isSigned;
}

std::map<std::string, std::vector<double>> valuesForRange(const UniformForm &form, const QuantGrid &grid, PlotRange range,
                                                         std::optional<std::size_t> group)
{
    auto groups = grid.groups;
    if (groups.empty())
        groups.resize(1);
    if (groups.size() == 1 || group) {
        groups[std::min(group.value_or(0), groups.size() - 1)] = groupForRange(form, range.lower, range.upper);
        return toValues(form, groups);
    }
    // All channels together: each keeps its share of the widest one.
    const std::size_t widest = widestGroup(grid);
    const double before = grid.groups[widest].scale;
    const auto wanted = groupForRange(form, range.lower, range.upper);
    for (std::size_t i = 0; i < groups.size(); ++i) {
        groups[i].scale = std::max(groups[i].scale * (before > 0 ? wanted.scale / before : 1), kLeastScale);
        if (!form.symmetric)
            groups[i].zeroPoint = wanted.zeroPoint;
    }
    return toValues(form, groups);
}

std::map<std::string, std::vector<double>> valuesForClip(const UniformForm &form, const QuantGrid &grid, ClipSide side,
                                                        double position, std::optional<std::size_t> group)
{
    const std::size_t shown = group.value_or(widestGroup(grid));
    PlotRange range = gridRange(grid, shown);
    if (form.symmetric) {
        // The two ends of a full-range grid differ by one code; the one that is held decides.
        double amax = side == ClipSide::High ? std::max(position, 0.0) : std::max(-position, 0.0);
        if (form.isSigned && form.fullRange && side == ClipSide::Low && form.qmin != 0)
            amax *= reach(form) / double(-form.qmin);
        range = {-amax, amax};
    } else if (side == ClipSide::Low) {
        range.lower = std::min(position, 0.0);
    } else {
        range.upper = std::max(position, 0.0);
    }
    return valuesForRange(form, grid, range, group);
}

} // namespace bitwright
