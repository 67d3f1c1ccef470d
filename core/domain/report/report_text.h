// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "report/report_content.h"

#include <string>
#include <vector>

namespace bitwright {

/// The words and numbers of a report, the same on the page and in the PDF.
struct ReportFact { std::string name, text; };
/// What stands at the top: file, sizes, accuracy, what calibrated it.
std::vector<ReportFact> reportFacts(const ReportContent &content);
/// What stands above the commands that repeat it.
std::vector<ReportFact> reportOrigin(const ReportContent &content);

struct ReportColumn {
    std::string title;
    bool number = false;
};
/// Of the layer table; reportCells gives as many texts, in this order.
const std::vector<ReportColumn> &reportColumns();
std::vector<std::string> reportCells(const ReportLayer &layer);
/// What the sizes of the layers leave out.
std::string reportRest(const ReportContent &content);

/// The network's file name without its folders.
std::string reportTitle(const ReportContent &content);
std::string plotCaption(const ReportPlot &plot);
/// The metric that the trade-off is drawn in; "" where there is nothing to draw.
std::string tradeOffMetric(const ReportContent &content);
/// "512 B", "1.5 kB", "3.20 MB".
std::string bytesText(double bytes);

/// The argument as a shell takes it.
std::string shellWord(const std::string &text);

/// Whether two --data SPECs name the same samples, or some of the same: how many of them and how they are scaled does
/// not count.
bool sameSamples(const std::string &a, const std::string &b);

/// The assignment for paper: lists on one line, and of long lists and texts only the beginning. `shortened` says whether
/// something was left out.
std::string printableAssignment(const std::string &assignment, bool &shortened);

} // namespace bitwright
