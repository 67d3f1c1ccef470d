// SPDX-License-Identifier: GPL-3.0-or-later
#include "report/report_html.h"

#include "report/fill.h"
#include "report/report_svg.h"
#include "report/report_text.h"

namespace bitwright {

namespace {

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
.levels{stroke:var(--level);fill:none}.axis,.grid{stroke:var(--line);fill:none}.whisker{stroke:var(--dim)}.dot{fill:var(--level)}.here{stroke:var(--level)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8rem}
</style>
)";

std::string factList(const std::vector<ReportFact> &facts)
{
    std::string out = "<dl>";
    for (const ReportFact &fact : facts)
        out += filled("<dt>{}</dt><dd>{}</dd>\n", escaped(fact.name), escaped(fact.text));
    return out + "</dl>\n";
}

std::string layerTable(const ReportContent &content)
{
    const auto &columns = reportColumns();
    std::string out = "<div class=\"wide\"><table><thead><tr>";
    for (const ReportColumn &column : columns)
        out += std::string(column.number ? "<th class=\"n\">" : "<th>") + escaped(column.title) + "</th>";
    out += "</tr></thead><tbody>\n";
    for (const ReportLayer &row : content.layers) {
        out += "<tr>";
        const auto cells = reportCells(row);
        for (std::size_t i = 0; i < cells.size(); ++i)
            out += std::string(columns[i].number ? "<td class=\"n\">" : "<td>") + escaped(cells[i]) + "</td>";
        out += "</tr>\n";
    }
    return out + "</tbody></table></div>\n<p>" + escaped(reportRest(content)) + "</p>\n";
}

std::string plots(const ReportContent &content)
{
    std::string out;
    for (const ReportLayer &row : content.layers) {
        if (row.plots.empty())
            continue;
        out += "<section class=\"layer\"><h3>" + escaped(row.name) + "</h3>\n";
        for (const ReportPlot &plot : row.plots)
            out += "<figure>" + histogramSvg(plot) + "<figcaption>" + escaped(plotCaption(plot)) + "</figcaption></figure>\n";
        out += "</section>\n";
    }
    return out;
}

} // namespace

std::string reportHtml(const ReportContent &content)
{
    const std::string file = escaped(reportTitle(content));
    std::string out = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
                      "<meta name=\"viewport\" content=\"width=device-width\"/><title>" + file + " – Bitwright report</title>\n";
    out += kStyle + ("</head><body>\n<h1>" + file + "</h1>\n") + factList(reportFacts(content));
    out += "<h2>Layers</h2>\n" + layerTable(content);
    if (const std::string plot = tradeOffSvg(content); !plot.empty())
        out += "<h2>Accuracy against size</h2>\n" + plot;
    if (const std::string drawn = plots(content); !drawn.empty())
        out += "<h2>Values and levels</h2>\n" + drawn;
    out += "<h2>To repeat this</h2>\n" + factList(reportOrigin(content));
    for (const std::string &command : content.commands)
        out += "<pre>" + escaped(command) + "</pre>\n";
    return out + "<details><summary>Assignment</summary><pre>" + escaped(content.assignment) + "</pre></details>\n</body></html>\n";
}

} // namespace bitwright
