// SPDX-License-Identifier: GPL-3.0-or-later
#include "report/report_svg.h"

#include "report/fill.h"
#include "report/report_text.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

constexpr const char *kDim = "#5d6670", *kLine = "#d9dee3", *kBar = "#9db4c8", *kLevel = "#c2410c";
/// More lines than this would be one grey area: the ends say enough.
constexpr std::size_t kMostLines = 64;
/// From here on they are thin, or they would hide the bars.
constexpr std::size_t kManyLines = 24;

/// Text of the pictures, with the same size in every reader.
std::string label(double x, double y, const char *anchor, const std::string &text, int fontSize = 11)
{
    return filled("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\" fill=\"{}\">{}</text>", x, y, anchor, fontSize, kDim, text);
}

bool isFinite(const TrialRecord &trial)
{
    return std::isfinite(trial.value) && std::isfinite(trial.low) && std::isfinite(trial.high);
}

/// Where sizes and values lie in the picture of the trade-off.
struct Axes {
    double left = 56, right = 620, top = 12, bottom = 240;
    double most = 1, low = 0, high = 1;
    [[nodiscard]] double x(double bytes) const { return left + bytes / most * (right - left); }
    [[nodiscard]] double y(double value) const { return bottom - (value - low) / (high - low) * (bottom - top); }
};

Axes axesOf(const std::vector<const TrialRecord *> &shown)
{
    Axes axes;
    axes.low = shown[0]->low;
    axes.high = shown[0]->high;
    for (const TrialRecord *trial : shown) {
        axes.most = std::max(axes.most, double(trial->sizeBytes));
        axes.low = std::min({axes.low, trial->low, trial->value});
        axes.high = std::max({axes.high, trial->high, trial->value});
    }
    const double margin = std::max(1e-3, (axes.high - axes.low) * 0.06);
    axes.low -= margin;
    axes.high += margin;
    axes.most *= 1.05;
    return axes;
}

} // namespace

std::string histogramSvg(const ReportPlot &plot, int fontSize)
{
    constexpr double kWidth = kHistogramWidth, kBase = 68;
    std::string out = filled("<svg viewBox=\"0 0 {} {}\" role=\"img\">", kHistogramWidth, kHistogramHeight);
    const Histogram &histogram = plot.histogram;
    double lo = histogram.lo, hi = histogram.hi;
    if (!plot.levels.empty() && !histogram.counts.empty()) {
        lo = std::min(lo, plot.levels.front());
        hi = std::max(hi, plot.levels.back());
    }
    if (histogram.counts.empty() || !std::isfinite(hi - lo) || hi <= lo)
        return out + "</svg>";
    const auto x = [&](double value) { return (value - lo) / (hi - lo) * kWidth; };
    const double most = std::max(1.0, double(*std::ranges::max_element(histogram.counts)));
    std::string path = filled("M{:.1f} {}", x(histogram.lo), kBase);
    for (std::size_t i = 0; i < histogram.counts.size(); ++i)
        path += filled("V{:.1f}H{:.1f}", kBase - double(histogram.counts[i]) / most * (kBase - 4), x(histogram.edge(i + 1)));
    out += filled("<path class=\"bars\" fill=\"{}\" d=\"{}V{}Z\"/>", kBar, path, kBase);
    std::string lines;
    for (std::size_t i = 0; i < plot.levels.size(); ++i)
        if (plot.levels.size() <= kMostLines || i == 0 || i + 1 == plot.levels.size())
            lines += filled("M{:.1f} 2V{}", std::clamp(x(plot.levels[i]), 0.5, kWidth - 0.5), kBase);
    if (!lines.empty())
        out += filled("<path class=\"levels\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" d=\"{}\"/>", kLevel,
                      plot.levels.size() > kManyLines ? "0.35" : "0.8", lines);
    out += filled("<path class=\"axis\" fill=\"none\" stroke=\"{}\" d=\"M0 {}H{}\"/>", kLine, kBase, kWidth);
    return out + label(0, 80, "start", filled("{:.3g}", lo), fontSize) + label(kWidth, 80, "end", filled("{:.3g}", hi), fontSize) + "</svg>";
}

std::string tradeOffSvg(const ReportContent &content)
{
    const std::string metric = tradeOffMetric(content);
    std::vector<const TrialRecord *> shown;
    for (const TrialRecord &trial : content.trials)
        if (trial.metric == metric && isFinite(trial))
            shown.push_back(&trial);
    const bool here = content.measured && isFinite(content.accuracy);
    if (here && std::ranges::find(content.trials, content.accuracy) == content.trials.end())
        shown.push_back(&content.accuracy);
    if (shown.empty())
        return {};
    const Axes axes = axesOf(shown);
    std::string out = filled("<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\">", kTradeOffWidth, kTradeOffHeight);
    for (int i = 0; i <= 4; ++i) {
        const double value = axes.low + (axes.high - axes.low) * i / 4, bytes = axes.most * i / 4;
        out += filled("<path class=\"grid\" fill=\"none\" stroke=\"{}\" d=\"M{} {:.1f}H{}\"/>", kLine, axes.left, axes.y(value), axes.right);
        out += label(axes.left - 6, axes.y(value) + 4, "end", filled("{:.3f}", value));
        out += label(axes.x(bytes), axes.bottom + 18, "middle", bytesText(bytes));
    }
    for (const TrialRecord *trial : shown)
        out += filled("<path class=\"whisker\" stroke=\"{4}\" d=\"M{0:.1f} {1:.1f}V{2:.1f}\"/>"
                      "<circle class=\"dot\" fill=\"{5}\" cx=\"{0:.1f}\" cy=\"{3:.1f}\" r=\"4\">",
                      axes.x(double(trial->sizeBytes)), axes.y(trial->low), axes.y(trial->high), axes.y(trial->value), kDim, kLevel) +
               filled("<title>trial {}, {:.4f} ({:.4f} to {:.4f})</title></circle>", trial->id, trial->value, trial->low, trial->high);
    if (here)
        out += filled("<circle class=\"here\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"8\"/>", kLevel,
                      axes.x(double(content.accuracy.sizeBytes)), axes.y(content.accuracy.value));
    const std::string note = std::string("size; ") + escaped(metric) + " over it, bars are 95 % intervals" + (here ? ", ringed: this assignment" : "");
    return out + label(338, 282, "middle", note) + "</svg>\n";
}

} // namespace bitwright
