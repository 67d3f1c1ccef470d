// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "report/report_content.h"

#include <string>

namespace bitwright {

/// The pictures of a report as `<svg>` elements with a view box. Colours stand in the elements, for readers without a
/// style sheet; the classes bars, levels, axis, grid, whisker, dot and here let a page set its own. `fontSize` is in the
/// picture's units.
std::string histogramSvg(const ReportPlot &plot, int fontSize = 11);
inline constexpr int kHistogramWidth = 260, kHistogramHeight = 84;

/// Every trial of the report in tradeOffMetric() over its size, the reported one ringed; "" where there is none.
std::string tradeOffSvg(const ReportContent &content);
inline constexpr int kTradeOffWidth = 640, kTradeOffHeight = 290;

} // namespace bitwright
