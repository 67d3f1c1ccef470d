// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/report.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace bitwright {

namespace {

/// What fills a place of filled().
struct Argument {
    std::string text;
    double number = 0;
    Argument(const char *value) : text(value) {}
    Argument(std::string value) : text(std::move(value)) {}
    Argument(std::integral auto value) : text(std::to_string(value)), number(double(value)) {}
    Argument(double value) : text(digits(value, std::chars_format::general, 6)), number(value) {}
    /// Independent of the locale.
    static std::string digits(double value, std::chars_format format, int precision)
    {
        char buffer[400];
        const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, format, precision);
        return {buffer, end.ec == std::errc() ? end.ptr : buffer};
    }
};

/// A part of std::format, which not every library has yet: {}, {2}, {:.1f}, {2:.3g}.
std::string fill(std::string_view pattern, std::initializer_list<Argument> arguments)
{
    std::string out;
    std::size_t next = 0;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '{') {
            out += pattern[i];
            continue;
        }
        const std::size_t close = pattern.find('}', i);
        const std::string_view place = pattern.substr(i + 1, close - i - 1);
        const bool numbered = !place.empty() && place[0] != ':';
        const Argument &argument = arguments.begin()[numbered ? std::size_t(place[0] - '0') : next++];
        const std::size_t dot = place.find('.');
        if (dot == std::string_view::npos)
            out += argument.text;
        else
            out += Argument::digits(argument.number, place.back() == 'g' ? std::chars_format::general : std::chars_format::fixed,
                                    place[dot + 1] - '0');
        i = close;
    }
    return out;
}

template <typename... Values>
std::string filled(std::string_view pattern, const Values &...values)
{
    return fill(pattern, {Argument(values)...});
}

/// Length of the valid UTF-8 sequence at the start, 0 where there is none.
std::size_t sequenceLength(std::string_view text)
{
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const unsigned first = byte(0);
    const std::size_t length = first < 0x80 ? 1 : first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xF0 && first < 0xF5 ? 4 : 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xC0) != 0x80)
            return 0;
    if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) || (first == 0xF0 && byte(1) < 0x90) ||
        (first == 0xF4 && byte(1) > 0x8F) || (first == 0xEF && byte(1) == 0xBF && byte(2) >= 0xBE))
        return 0;
    return length;
}

std::string escaped(std::string_view text)
{
    std::string out;
    while (!text.empty()) {
        const std::size_t length = sequenceLength(text);
        const char c = text[0];
        if (length == 0 || (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            out += "\xEF\xBF\xBD";
        else if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '"')
            out += "&quot;";
        else if (c == '\'')
            out += "&#39;";
        else
            out += text.substr(0, length);
        text.remove_prefix(std::max<std::size_t>(1, length));
    }
    return out;
}

std::string bytesText(double bytes)
{
    return bytes < 1e3 ? filled("{:.0f} B", bytes) : bytes < 1e6 ? filled("{:.1f} kB", bytes / 1e3)
                                                                     : filled("{:.2f} MB", bytes / 1e6);
}

std::string valueText(const TrialRecord &trial)
{
    return filled("{:.4f} ({:.4f} to {:.4f})", trial.value, trial.low, trial.high);
}

std::string histogramSvg(const ReportPlot &plot)
{
    constexpr double kWidth = 260, kHeight = 84, kBase = 68;
    std::string out = filled("<figure><svg viewBox=\"0 0 {} {}\" role=\"img\">", kWidth, kHeight);
    const Histogram &histogram = plot.histogram;
    double lo = histogram.lo, hi = histogram.hi;
    if (!plot.levels.empty() && !histogram.counts.empty()) {
        lo = std::min(lo, plot.levels.front());
        hi = std::max(hi, plot.levels.back());
    }
    if (!histogram.counts.empty() && std::isfinite(hi - lo) && hi > lo) {
        const auto x = [&](double value) { return (value - lo) / (hi - lo) * kWidth; };
        const double most = std::max(1.0, double(*std::ranges::max_element(histogram.counts)));
        std::string path = filled("M{:.1f} {}", x(histogram.lo), kBase);
        for (std::size_t i = 0; i < histogram.counts.size(); ++i)
            path += filled("V{:.1f}H{:.1f}", kBase - double(histogram.counts[i]) / most * (kBase - 4), x(histogram.edge(i + 1)));
        out += filled("<path class=\"bars\" d=\"{}V{}Z\"/>", path, kBase);
        // More lines than this would be one grey area: the ends say enough.
        const bool all = plot.levels.size() <= 64;
        std::string lines;
        for (std::size_t i = 0; i < plot.levels.size(); ++i)
            if (all || i == 0 || i + 1 == plot.levels.size())
                lines += filled("M{:.1f} 2V{}", std::clamp(x(plot.levels[i]), 0.5, kWidth - 0.5), kBase);
        if (!lines.empty())
            out += filled("<path class=\"levels\" d=\"{}\"/>", lines);
        out += filled("<path class=\"axis\" d=\"M0 {0}H{1}\"/><text x=\"0\" y=\"80\">{2:.3g}</text>"
                           "<text x=\"{1}\" y=\"80\" text-anchor=\"end\">{3:.3g}</text>", kBase, kWidth, lo, hi);
    }
    return out + filled("</svg><figcaption>{}; {} levels</figcaption></figure>\n", escaped(plot.caption), plot.levels.size());
}

std::string tradeOffSvg(const ReportContent &content, const std::string &metric)
{
    std::vector<const TrialRecord *> shown;
    for (const TrialRecord &trial : content.trials)
        if (trial.metric == metric && std::isfinite(trial.value) && std::isfinite(trial.low) && std::isfinite(trial.high))
            shown.push_back(&trial);
    if (shown.empty())
        return {};
    constexpr double kLeft = 56, kRight = 620, kTop = 12, kBottom = 240;
    double most = 1, low = shown[0]->low, high = shown[0]->high;
    for (const TrialRecord *trial : shown) {
        most = std::max(most, double(trial->sizeBytes));
        low = std::min({low, trial->low, trial->value});
        high = std::max({high, trial->high, trial->value});
    }
    const double margin = std::max(1e-3, (high - low) * 0.06);
    low -= margin;
    high += margin;
    most *= 1.05;
    const auto x = [&](double bytes) { return kLeft + bytes / most * (kRight - kLeft); };
    const auto y = [&](double value) { return kBottom - (value - low) / (high - low) * (kBottom - kTop); };
    std::string out = "<svg class=\"plot\" viewBox=\"0 0 640 290\" role=\"img\">";
    for (int i = 0; i <= 4; ++i) {
        const double value = low + (high - low) * i / 4, bytes = most * i / 4;
        out += filled("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.3f}</text>"
                           "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                           kLeft, y(value), kRight, kLeft - 6, y(value) + 4, value, x(bytes), kBottom + 18, bytesText(bytes));
    }
    for (const TrialRecord *trial : shown)
        out += filled("<path class=\"whisker\" d=\"M{0:.1f} {1:.1f}V{2:.1f}\"/><circle class=\"dot\" cx=\"{0:.1f}\" cy=\"{3:.1f}\" r=\"4\">"
                           "<title>trial {4}, {5}</title></circle>", x(double(trial->sizeBytes)), y(trial->low), y(trial->high),
                           y(trial->value), trial->id, valueText(*trial));
    return out + filled("<text x=\"338\" y=\"282\" text-anchor=\"middle\">size; {} over it, bars are 95 % intervals</text></svg>\n",
                             escaped(metric));
}

constexpr const char *kStyle = R"(<style>
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2024;--dim:#5d6670;--line:#d9dee3;--bar:#9db4c8;--level:#c2410c}
@media(prefers-color-scheme:dark){:root{--bg:#16191d;--fg:#e6e9ec;--dim:#9aa4ae;--line:#343b43;--bar:#4f6b84;--level:#fb923c}}
@media print{:root{--bg:#fff;--fg:#000;--dim:#444;--line:#bbb;--bar:#9db4c8;--level:#c2410c}figure,tr,section.layer{break-inside:avoid}}
body{background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}h3{font-size:1rem;overflow-wrap:anywhere;margin:1.2rem 0 .3rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem}dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line)}th{color:var(--dim);font-weight:600}
.n{text-align:right}figure{display:inline-block;margin:0 1.5rem .6rem 0;width:260px;vertical-align:top}svg{width:100%}.plot{max-width:640px}
svg text{fill:var(--dim);font-size:11px}figcaption{color:var(--dim);font-size:.8rem}.bars{fill:var(--bar)}
.levels{stroke:var(--level);stroke-width:.8;fill:none}.axis,.grid{stroke:var(--line);fill:none}.whisker{stroke:var(--dim)}.dot{fill:var(--level)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8rem}
</style>
)";

std::string layerTable(const ReportContent &content)
{
    std::string out = "<div class=\"wide\"><table><thead><tr><th>Layer</th><th>Operator</th><th>Shape</th><th class=\"n\">Parameters</th>"
                      "<th>Method</th><th class=\"n\">Bits</th><th>Granularity</th><th>Input</th><th class=\"n\">Sparsity</th>"
                      "<th class=\"n\">Bytes</th><th class=\"n\">SQNR, dB</th><th class=\"n\">Share</th></tr></thead><tbody>\n";
    for (const ReportLayer &row : content.layers)
        out += filled("<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td>"
                           "<td>{}</td><td class=\"n\">{:.1f} %</td><td class=\"n\">{:.0f}</td><td class=\"n\">{}</td>"
                           "<td class=\"n\">{:.1f} %</td></tr>\n",
                           escaped(row.name), escaped(row.op), escaped(row.shape), row.parameters, escaped(row.method), row.bits,
                           escaped(row.granularity), escaped(row.activation), row.sparsity * 100, std::ceil(row.bytes),
                           std::isfinite(row.sqnrDb) ? filled("{:.1f}", row.sqnrDb) : "–", row.share * 100);
    return out + filled("</tbody></table></div>\n<p>Outside these layers: {}.</p>\n", bytesText(content.otherBytes));
}

} // namespace

std::string reportHtml(const ReportContent &content)
{
    const std::string file = escaped(content.file.substr(content.file.find_last_of('/') + 1));
    std::string out = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
                      "<meta name=\"viewport\" content=\"width=device-width\"/><title>" + file + " – Bitwright report</title>\n";
    out += kStyle + ("</head><body>\n<h1>" + file + "</h1>\n<dl>");
    const auto entry = [&](const char *name, const std::string &text) {
        out += filled("<dt>{}</dt><dd>{}</dd>\n", name, escaped(text));
    };
    entry("SHA-256", content.sha256);
    entry("Float size", bytesText(double(content.floatBytes)));
    entry("Configured size", filled("{} ({:.2f} times smaller)", bytesText(double(content.bytes)),
                                         double(content.floatBytes) / double(std::max<std::int64_t>(1, content.bytes))));
    if (content.measured)
        entry("Accuracy", content.accuracy.metric + " " + valueText(content.accuracy) + ", 95 % interval, on " +
                              std::to_string(content.accuracy.samples) + " samples of " + content.accuracy.data);
    else
        entry("Accuracy", "not measured; give --data to measure it");
    out += "</dl>\n<h2>Layers</h2>\n" + layerTable(content);
    std::string metric = content.measured ? content.accuracy.metric : std::string();
    if (metric.empty() && !content.trials.empty())
        metric = content.trials.back().metric;
    if (const std::string plot = tradeOffSvg(content, metric); !plot.empty())
        out += "<h2>Accuracy against size</h2>\n" + plot;
    out += "<h2>Values and levels</h2>\n";
    for (const ReportLayer &row : content.layers) {
        if (row.plots.empty())
            continue;
        out += "<section class=\"layer\"><h3>" + escaped(row.name) + "</h3>\n";
        for (const ReportPlot &plot : row.plots)
            out += histogramSvg(plot);
        out += "</section>\n";
    }
    out += "<h2>To repeat this</h2>\n<dl>";
    entry("Versions", content.versions);
    entry("Seed", std::to_string(content.seed));
    entry("Made", content.created);
    out += "</dl>\n";
    for (const std::string &command : content.commands)
        out += "<pre>" + escaped(command) + "</pre>\n";
    return out + "<details><summary>Assignment</summary><pre>" + escaped(content.assignment) + "</pre></details>\n</body></html>\n";
}

} // namespace bitwright
