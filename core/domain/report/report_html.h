// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "report/report_content.h"

#include <string>

namespace bitwright {

/// One self-contained HTML page. Any bytes in names are escaped.
std::string reportHtml(const ReportContent &content);

} // namespace bitwright
