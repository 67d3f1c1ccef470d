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

/// What the options of `uniform` mean for the codes.
struct GridKind {
    bool symmetric = true, isSigned = true, fullRange = false;
    std::int64_t qmin = 0, qmax = 0;
};

GridKind kindOf(const QuantSpec &spec)
{
    GridKind kind;
    kind.symmetric = boolParam(spec.options, "symmetric", true);
    kind.isSigned = boolParam(spec.options, "signed", true);
    kind.fullRange = boolParam(spec.options, "full_range", false);
    // LSQ's grid uses every code.
    if (boolParam(spec.options, "learned_step", false) && kind.symmetric)
        kind.fullRange = kind.fullRange || hasParam(spec.options, "scale");
    const std::int64_t levels = std::int64_t(1) << std::clamp(spec.bits, 1, 16);
    if (!kind.symmetric || !kind.isSigned) {
        kind.qmin = 0;
        kind.qmax = levels - 1;
    } else {
        kind.qmax = levels / 2 - 1;
        kind.qmin = kind.fullRange ? -levels / 2 : -kind.qmax;
    }
    return kind;
}

/// Codes from zero to the end that a symmetric range is measured by.
double reach(const GridKind &kind)
{
    return double(std::max<std::int64_t>(kind.qmax, kind.fullRange ? 1 : kind.qmax));
}

QuantGrid::Group groupForRange(const GridKind &kind, double lower, double upper)
{
    QuantGrid::Group group;
    if (kind.symmetric) {
        const double amax = kind.isSigned ? std::max(std::abs(lower), std::abs(upper)) : std::max(upper, 0.0);
        group.scale = std::max(amax / std::max(reach(kind), 1.0), kLeastScale);
        return group;
    }
    lower = std::min(lower, 0.0);
    upper = std::max(upper, 0.0);
    group.scale = std::max((upper - lower) / double(kind.qmax), kLeastScale);
    group.zeroPoint = std::int64_t(std::clamp(std::nearbyint(-lower / group.scale), 0.0, double(kind.qmax)));
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
double searchedRatio(const GridKind &kind, const Histogram &histogram, double lower, double upper)
{
    double best = 1, bestError = std::numeric_limits<double>::infinity();
    for (int i = 100; i >= 4; i -= 2) {
        const double ratio = i / 100.0;
        QuantGrid grid;
        grid.qmin = kind.qmin;
        grid.qmax = kind.qmax;
        grid.groups = {groupForRange(kind, lower * ratio, upper * ratio)};
        const double error = provisionalError(histogram, grid, 0).mse;
        if (error < bestError) {
            bestError = error;
            best = ratio;
        }
    }
    return best;
}

PlotRange chosenRange(const QuantSpec &spec, const GridKind &kind, const SiteKnowledge &site)
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
        const double amax = analyticFactor(spec, laplace, !kind.isSigned || m.min >= 0) * spread;
        return {m.min >= 0 ? 0.0 : -amax, amax};
    }
    if (rule == "mse" || rule == "kl") {
        const double ratio = searchedRatio(kind, site.histogram, m.min, m.max);
        return {m.min * ratio, m.max * ratio};
    }
    return {m.min, m.max};
}

const std::vector<double> *valueOf(const QuantSpec &spec, const char *name)
{
    const auto found = spec.values.find(name);
    return found == spec.values.end() || found->second.empty() ? nullptr : &found->second;
}

std::map<std::string, std::vector<double>> toValues(const GridKind &kind, const std::vector<QuantGrid::Group> &groups)
{
    std::map<std::string, std::vector<double>> values;
    for (const auto &group : groups) {
        values["scale"].push_back(group.scale);
        if (!kind.symmetric)
            values["zero_point"].push_back(double(group.zeroPoint));
    }
    return values;
}

} // namespace

QuantGrid provisionalGrid(const QuantSpec &spec, const SiteKnowledge &site)
{
    QuantGrid grid;
    if (spec.method != "uniform")
        return grid;
    const GridKind kind = kindOf(spec);
    grid.qmin = kind.qmin;
    grid.qmax = kind.qmax;
    grid.perChannel = textParam(spec.options, "granularity", "tensor") == "channel";
    if (const auto *scales = valueOf(spec, "scale")) {
        const auto *zeros = valueOf(spec, "zero_point");
        for (std::size_t i = 0; i < scales->size(); ++i) {
            QuantGrid::Group group;
            group.scale = (*scales)[i];
            if (zeros && !kind.symmetric)
                group.zeroPoint = std::int64_t((*zeros)[std::min(i, zeros->size() - 1)]);
            grid.groups.push_back(group);
        }
        return grid;
    }
    if (site.moments.count == 0)
        return grid;
    const PlotRange range = chosenRange(spec, kind, site);
    if (!grid.perChannel || site.channels.empty()) {
        grid.perChannel = false;
        grid.groups.push_back(groupForRange(kind, range.lower, range.upper));
        return grid;
    }
    // Only extremes are known of a channel: what the rule does to the tensor's range it is taken to do to each.
    const double whole = std::max(std::abs(site.moments.min), std::abs(site.moments.max));
    const double ratio = whole > 0 ? std::max(std::abs(range.lower), std::abs(range.upper)) / whole : 1;
    for (const Moments &channel : site.channels)
        grid.groups.push_back(groupForRange(kind, channel.min * ratio, channel.max * ratio));
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

bool clipIsSymmetric(const QuantSpec &spec)
{
    const GridKind kind = kindOf(spec);
    return kind.symmetric && kind.isSigned;
}

bool clipHasLow(const QuantSpec &spec)
{
    const GridKind kind = kindOf(spec);
    return !kind.symmetric || kind.isSigned;
}

std::map<std::string, std::vector<double>> valuesForRange(const QuantSpec &spec, const QuantGrid &grid, PlotRange range,
                                                         std::optional<std::size_t> group)
{
    const GridKind kind = kindOf(spec);
    auto groups = grid.groups;
    if (groups.empty())
        groups.resize(1);
    if (groups.size() == 1 || group) {
        groups[std::min(group.value_or(0), groups.size() - 1)] = groupForRange(kind, range.lower, range.upper);
        return toValues(kind, groups);
    }
    // All channels together: each keeps its share of the typical one.
    const std::size_t typical = typicalGroup(grid);
    const double before = grid.groups[typical].scale;
    const auto wanted = groupForRange(kind, range.lower, range.upper);
    for (std::size_t i = 0; i < groups.size(); ++i) {
        groups[i].scale = std::max(groups[i].scale * (before > 0 ? wanted.scale / before : 1), kLeastScale);
        if (!kind.symmetric)
            groups[i].zeroPoint = wanted.zeroPoint;
    }
    return toValues(kind, groups);
}

std::map<std::string, std::vector<double>> valuesForClip(const QuantSpec &spec, const QuantGrid &grid, ClipSide side,
                                                        double position, std::optional<std::size_t> group)
{
    const GridKind kind = kindOf(spec);
    const std::size_t shown = group.value_or(typicalGroup(grid));
    PlotRange range = gridRange(grid, shown);
    if (kind.symmetric) {
        // The two ends of a full-range grid differ by one code; the one that is held decides.
        double amax = side == ClipSide::High ? std::max(position, 0.0) : std::max(-position, 0.0);
        if (kind.isSigned && kind.fullRange && side == ClipSide::Low && kind.qmin != 0)
            amax *= reach(kind) / double(-kind.qmin);
        range = {-amax, amax};
    } else if (side == ClipSide::Low) {
        range.lower = std::min(position, 0.0);
    } else {
        range.upper = std::max(position, 0.0);
    }
    return valuesForRange(spec, grid, range, group);
}

} // namespace bitwright
