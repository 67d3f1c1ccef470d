// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/plot_data.h"

#include <QLocale>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitwright {

namespace {

double drawnCount(double count, bool logarithmic)
{
    return logarithmic ? std::max(count, kLogFloor) : count;
}

void appendStep(PlotPoints &points, double from, double to, double height)
{
    points.x.push_back(from);
    points.y.push_back(height);
    points.x.push_back(to);
    points.y.push_back(height);
}

void closeToBase(PlotPoints &points, bool logarithmic)
{
    if (points.x.empty())
        return;
    const double base = logarithmic ? kLogFloor : 0.0;
    points.x.insert(points.x.begin(), points.x.front());
    points.y.insert(points.y.begin(), base);
    points.x.push_back(points.x.back());
    points.y.push_back(base);
}

/// Lines first + i * step, i in [0, count), that lie in view; the arithmetic that spares a list of 65536.
LineSelection uniformLines(double first, double step, std::size_t count, PlotRange visible, double columns,
                           double spacing)
{
    LineSelection lines;
    if (count == 0 || !(visible.size() > 0))
        return lines;
    const double last = first + step * double(count - 1);
    if (last < visible.lower || first > visible.upper)
        return lines;
    std::size_t from = 0, to = count - 1;
    if (step > 0) {
        from = std::size_t(std::clamp(std::ceil((visible.lower - first) / step - 1e-9), 0.0, double(count - 1)));
        to = std::size_t(std::clamp(std::floor((visible.upper - first) / step + 1e-9), 0.0, double(count - 1)));
    }
    if (to < from)
        return lines;
    lines.inView = to - from + 1;
    lines.band = {first + step * double(from), first + step * double(to)};
    lines.aggregated = lines.inView > 2 && step / visible.size() * columns < spacing;
    if (!lines.aggregated)
        for (std::size_t i = from; i <= to; ++i)
            lines.values.push_back(first + step * double(i));
    return lines;
}

LineSelection listedLines(const std::vector<double> &all, PlotRange visible, double columns, double spacing)
{
    LineSelection lines;
    const auto from = std::ranges::lower_bound(all, visible.lower);
    const auto to = std::ranges::upper_bound(all, visible.upper);
    if (from >= to || !(visible.size() > 0))
        return lines;
    lines.inView = std::size_t(to - from);
    lines.band = {*from, *(to - 1)};
    const double pixels = lines.band.size() / visible.size() * columns;
    lines.aggregated = lines.inView > 2 && pixels / double(lines.inView - 1) < spacing;
    if (!lines.aggregated)
        lines.values.assign(from, to);
    return lines;
}

bool isAscending(const QuantGrid &grid, std::size_t group)
{
    return grid.uniform || grid.groups[group].answers.empty();
}

std::vector<double> cellEdges(const QuantGrid &grid, std::size_t group)
{
    const auto levels = grid.levels(group);
    auto edges = grid.thresholds(group);
    if (!isAscending(grid, group)) {
        // What a level is answered to lies in pieces: its cell is what is nearest to it.
        edges.clear();
        for (std::size_t i = 0; i + 1 < levels.size(); ++i)
            edges.push_back((levels[i] + levels[i + 1]) / 2);
    }
    if (levels.empty())
        return {};
    // The outermost cells are open; they are drawn as wide as their neighbours' half so that clipped counts show.
    const double left = edges.empty() ? 0.5 : edges.front() - levels.front();
    const double right = edges.empty() ? 0.5 : levels.back() - edges.back();
    edges.insert(edges.begin(), levels.front() - left);
    edges.push_back(levels.back() + right);
    return edges;
}

/// How many values lie below x, straight within a bin.
class CumulativeCounts {
public:
    explicit CumulativeCounts(const Histogram &histogram) : m_histogram(histogram), m_sums(histogram.counts.size() + 1)
    {
        m_sums[0] = double(histogram.underflow);
        for (std::size_t i = 0; i < histogram.counts.size(); ++i)
            m_sums[i + 1] = m_sums[i] + double(histogram.counts[i]);
    }
    [[nodiscard]] double all() const { return m_sums.back() + double(m_histogram.overflow); }
    [[nodiscard]] double at(double x) const
    {
        const double bin = std::clamp((x - m_histogram.lo) / m_histogram.binWidth(), 0.0, double(m_sums.size() - 1));
        const auto i = std::min(std::size_t(bin), m_sums.size() - 2);
        return m_sums[i] + (m_sums[i + 1] - m_sums[i]) * (bin - double(i));
    }

private:
    const Histogram &m_histogram;
    std::vector<double> m_sums;
};

/// Counts that each level of a group is answered to, ascending.
std::vector<double> levelCounts(const CumulativeCounts &below, const QuantGrid &grid, std::size_t group, const std::vector<double> &edges)
{
    const bool ascending = isAscending(grid, group);
    const QuantGrid::Group &g = grid.groups[group];
    const std::vector<double> levels = grid.levels(group);
    const std::vector<double> breaks = ascending ? std::vector<double>(edges.begin() + 1, edges.end() - 1) : g.breaks;
    std::vector<double> counts(levels.size());
    for (std::size_t piece = 0; piece <= breaks.size(); ++piece) {
        const double from = piece == 0 ? 0 : below.at(breaks[piece - 1]);
        const double to = piece == breaks.size() ? below.all() : below.at(breaks[piece]);
        const std::size_t level = ascending ? piece : std::size_t(std::ranges::lower_bound(levels, g.answers[piece]) - levels.begin());
        counts[std::min(level, counts.size() - 1)] += to - from;
    }
    return counts;
}

QString csvCell(const QVariant &value)
{
    if (value.typeId() == QMetaType::Double)
        return QString::number(value.toDouble(), 'g', QLocale::FloatingPointShortest);
    QString text = value.toString();
    if (text.contains(u',') || text.contains(u'"') || text.contains(u'\n'))
        text = u'"' + text.replace(QStringLiteral("\""), QStringLiteral("\"\"")) + u'"';
    return text;
}

} // namespace

PlotPoints stepOutline(const Histogram &histogram, PlotRange visible, std::size_t columns, bool logarithmic)
{
    PlotPoints points;
    const std::size_t bins = histogram.counts.size();
    if (bins == 0 || !(histogram.hi > histogram.lo))
        return points;
    const double width = histogram.binWidth();
    const auto clampBin = [&](double x) { return std::size_t(std::clamp(x, 0.0, double(bins))); };
    const std::size_t first = clampBin(std::floor((visible.lower - histogram.lo) / width) - 1);
    const std::size_t last = clampBin(std::ceil((visible.upper - histogram.lo) / width) + 1);
    if (last <= first)
        return points;
    const std::size_t merge = columns ? (last - first + columns - 1) / columns : 1;
    for (std::size_t i = first; i < last; i += merge) {
        const std::size_t end = std::min(i + merge, last);
        const auto peak = *std::max_element(histogram.counts.begin() + std::ptrdiff_t(i),
                                            histogram.counts.begin() + std::ptrdiff_t(end));
        appendStep(points, histogram.edge(i), histogram.edge(end), drawnCount(double(peak), logarithmic));
    }
    closeToBase(points, logarithmic);
    return points;
}

PlotPoints quantizedOutline(const Histogram &original, const QuantGrid &grid, std::size_t group, bool logarithmic)
{
    PlotPoints points;
    if (original.counts.empty() || group >= grid.groups.size() || !(original.hi > original.lo))
        return points;
    // Cells finer than a bin say nothing that the bins do not: 16 bits would be 65536 steps.
    if (grid.levelCount(group) > original.counts.size())
        return stepOutline(original, gridRange(grid, group), original.counts.size(), logarithmic);
    auto edges = cellEdges(grid, group);
    if (edges.size() < 2)
        return points;
    const CumulativeCounts below(original);
    const std::vector<double> counts = levelCounts(below, grid, group, edges);
    // An outermost cell is drawn no further than there is something in it.
    edges.front() = std::clamp(edges.front(), std::min(original.lo, grid.levels(group).front()), edges[1]);
    edges.back() = std::clamp(edges.back(), edges[edges.size() - 2], std::max(original.hi, grid.levels(group).back()));
    for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
        if (!(edges[i + 1] > edges[i]))
            continue;
        const double perBin = counts[i] * original.binWidth() / (edges[i + 1] - edges[i]);
        appendStep(points, edges[i], edges[i + 1], drawnCount(perBin, logarithmic));
    }
    closeToBase(points, logarithmic);
    return points;
}

PlotPoints smoothedOutline(const Histogram &quantized, double window, bool logarithmic)
{
    PlotPoints points;
    if (quantized.counts.empty() || !(quantized.hi > quantized.lo))
        return points;
    const CumulativeCounts below(quantized);
    const double width = quantized.binWidth(), half = std::max(window, width) / 2;
    for (std::size_t i = 0; i < quantized.counts.size(); ++i) {
        const double x = quantized.center(i);
        const double mean = (below.at(x + half) - below.at(x - half)) * width / (2 * half);
        appendStep(points, quantized.edge(i), quantized.edge(i + 1), drawnCount(mean, logarithmic));
    }
    closeToBase(points, logarithmic);
    return points;
}

Histogram quantizeHistogram(const Histogram &original, const QuantGrid &grid, std::size_t group)
{
    Histogram result = original;
    if (grid.empty() || original.counts.empty() || !(original.hi > original.lo))
        return result;
    result.counts.assign(original.counts.size(), 0);
    result.underflow = result.overflow = 0;
    const double width = original.binWidth();
    const auto put = [&](double value, std::uint64_t count) {
        const double bin = std::floor((value - original.lo) / width);
        if (count == 0)
            return;
        if (bin < 0)
            result.underflow += count;
        else if (value > original.hi)
            result.overflow += count;
        else
            result.counts[std::min(std::size_t(bin), result.counts.size() - 1)] += count;
    };
    for (std::size_t i = 0; i < original.counts.size(); ++i)
        put(grid.quantize(group, original.center(i)), original.counts[i]);
    put(grid.quantize(group, original.lo - width), original.underflow);
    put(grid.quantize(group, original.hi + width), original.overflow);
    return result;
}

double countCeiling(const Histogram &histogram, bool logarithmic)
{
    if (histogram.counts.empty())
        return logarithmic ? 10 : 1;
    // One overwhelming bin (the zeros behind a ReLU) would flatten all others: the axis may stop at eight times the
    // second highest, and the bar is seen to leave the plot.
    std::uint64_t first = 0, next = 0;
    for (const std::uint64_t count : histogram.counts) {
        next = std::max(next, std::min(count, first));
        first = std::max(first, count);
    }
    const double top = std::max(double(first), 1.0), second = double(next);
    if (logarithmic)
        return std::pow(10.0, std::log10(top) * 1.06 + 0.1);
    const double shown = second > 0 && top > 8 * second ? 1.6 * second : top;
    return shown * 1.08;
}

PlotRange dataRange(const Histogram &histogram)
{
    std::size_t first = 0, last = histogram.counts.size();
    while (first < last && histogram.counts[first] == 0)
        ++first;
    while (last > first && histogram.counts[last - 1] == 0)
        --last;
    if (first == last || !(histogram.hi > histogram.lo))
        return paddedRange(histogram.lo, histogram.hi);
    return paddedRange(histogram.edge(first), histogram.edge(last), 0.02);
}

LineSelection levelLines(const QuantGrid &grid, std::size_t group, PlotRange visible, double columns, double spacing)
{
    if (group >= grid.groups.size())
        return {};
    const auto &g = grid.groups[group];
    if (!grid.uniform)
        return listedLines(g.levels, visible, columns, spacing);
    return uniformLines(double(grid.qmin - g.zeroPoint) * g.scale, g.scale, std::size_t(grid.qmax - grid.qmin + 1),
                        visible, columns, spacing);
}

LineSelection thresholdLines(const QuantGrid &grid, std::size_t group, PlotRange visible, double columns,
                             double spacing)
{
    if (group >= grid.groups.size())
        return {};
    const auto &g = grid.groups[group];
    if (!grid.uniform)
        return listedLines(g.answers.empty() ? g.thresholds : g.breaks, visible, columns, spacing);
    return uniformLines((double(grid.qmin - g.zeroPoint) + 0.5) * g.scale, g.scale, std::size_t(grid.qmax - grid.qmin),
                        visible, columns, spacing);
}

PlotRange gridRange(const QuantGrid &grid, std::size_t group)
{
    if (group >= grid.groups.size() || grid.levelCount(group) == 0)
        return {0, 0};
    return {grid.level(group, 0), grid.level(group, grid.levelCount(group) - 1)};
}

PlotRange gridRange(const QuantGrid &grid)
{
    if (grid.empty())
        return {0, 0};
    PlotRange range = gridRange(grid, 0);
    for (std::size_t i = 1; i < grid.groups.size(); ++i) {
        const PlotRange one = gridRange(grid, i);
        range = {std::min(range.lower, one.lower), std::max(range.upper, one.upper)};
    }
    return range;
}

std::size_t widestGroup(const QuantGrid &grid)
{
    std::size_t widest = 0;
    for (std::size_t i = 1; i < grid.groups.size(); ++i)
        if (gridRange(grid, i).size() > gridRange(grid, widest).size())
            widest = i;
    return widest;
}

double niceStep(PlotRange range, int most)
{
    if (most < 1 || !(range.size() > 0) || !std::isfinite(range.size()))
        return 0;
    const double rough = range.size() / most;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 2.5, 5.0})
        if (factor * power >= rough * (1 - 1e-9))
            return factor * power;
    return 10 * power;
}

std::vector<double> niceTicks(PlotRange range, int most)
{
    std::vector<double> ticks;
    const double step = niceStep(range, most);
    if (step <= 0)
        return ticks;
    const double first = std::ceil(range.lower / step - 1e-9);
    const double last = std::floor(range.upper / step + 1e-9);
    for (double i = first; i <= last; ++i)
        ticks.push_back(i == 0 ? 0.0 : i * step);
    return ticks;
}

std::vector<double> logTicks(PlotRange range, double pixels)
{
    std::vector<double> ticks;
    if (!(range.lower > 0) || !(range.upper > range.lower))
        return ticks;
    const double from = std::log10(range.lower), to = std::log10(range.upper);
    const double decade = pixels / (to - from);
    // 2 to 5 is the widest of the three gaps and 5 to 10 the narrowest (0.30 of a decade).
    const bool fine = decade * 0.30 > 46;
    const int stride = fine ? 1 : std::max(1, int(std::ceil(46 / decade)));
    for (int power = int(std::floor(from)); power <= int(std::ceil(to)); ++power)
        for (const double factor : {1.0, 2.0, 5.0}) {
            const double tick = factor * std::pow(10.0, power);
            const bool wanted = fine || (factor == 1.0 && power % stride == 0);
            if (wanted && tick >= range.lower * (1 - 1e-9) && tick <= range.upper * (1 + 1e-9))
                ticks.push_back(tick);
        }
    // Within a fraction of a decade the steps hardly differ from a linear axis's.
    constexpr double kNarrow = 1.2, kPixelsPerTick = 80;
    if (ticks.size() < 3 && to - from < kNarrow)
        return niceTicks(range, std::max(2, int(pixels / kPixelsPerTick)));
    return ticks;
}

int tickDecimals(double step)
{
    if (!(step > 0))
        return 0;
    for (int decimals = 0; decimals < 12; ++decimals) {
        const double scaled = step * std::pow(10.0, decimals);
        if (std::abs(scaled - std::round(scaled)) < 1e-6 * scaled)
            return decimals;
    }
    return 12;
}

PlotRange paddedRange(double lower, double upper, double air)
{
    if (!std::isfinite(lower) || !std::isfinite(upper))
        return {0, 1};
    if (upper < lower)
        std::swap(lower, upper);
    double pad = (upper - lower) * air;
    if (pad <= 0)
        pad = std::max(std::abs(upper) * air, 1e-6);
    return {lower - pad, upper + pad};
}

PlotPoints decimate(const PlotPoints &points, std::size_t columns)
{
    const std::size_t n = points.size();
    if (columns == 0 || n <= 2 * columns)
        return points;
    PlotPoints result;
    for (std::size_t column = 0; column < columns; ++column) {
        const std::size_t from = column * n / columns, to = (column + 1) * n / columns;
        const auto [low, high] = std::minmax_element(points.y.begin() + std::ptrdiff_t(from),
                                                     points.y.begin() + std::ptrdiff_t(to));
        std::size_t a = std::size_t(low - points.y.begin()), b = std::size_t(high - points.y.begin());
        if (a > b)
            std::swap(a, b);
        for (const std::size_t i : a == b ? std::vector{a} : std::vector{a, b}) {
            result.x.push_back(points.x[i]);
            result.y.push_back(points.y[i]);
        }
    }
    return result;
}

std::vector<double> smoothed(const std::vector<double> &values, std::size_t window)
{
    std::vector<double> result(values.size());
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        sum += values[i];
        if (i >= window)
            sum -= values[i - window];
        result[i] = sum / double(std::min(i + 1, std::max<std::size_t>(window, 1)));
    }
    return window > 1 ? result : values;
}

std::vector<std::size_t> outliers(const std::vector<double> &values, double fences)
{
    std::vector<std::size_t> found;
    if (values.size() < 5)
        return found;
    auto sorted = values;
    std::ranges::sort(sorted);
    const double q1 = sorted[sorted.size() / 4], q3 = sorted[sorted.size() * 3 / 4];
    const double reach = fences * (q3 - q1);
    for (std::size_t i = 0; i < values.size(); ++i)
        if (values[i] < q1 - reach || values[i] > q3 + reach)
            found.push_back(i);
    return found;
}

QString csvText(const PlotTable &table)
{
    QString text;
    QStringList cells;
    for (const QString &title : table.header)
        cells << csvCell(title);
    text += cells.join(u',') + u'\n';
    for (const auto &row : table.rows) {
        cells.clear();
        for (const QVariant &value : row)
            cells << csvCell(value);
        text += cells.join(u',') + u'\n';
    }
    return text;
}

} // namespace bitwright
