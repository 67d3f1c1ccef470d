// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "report/report_content.h"

#include <QByteArray>

#include <functional>

namespace bitwright {

/// The report as a PDF on A4: the facts, the table, the pictures and the commands of the page, text as text. On paper
/// long lists of the assignment are cut; the whole of it is attached to the file as assignment.json. Any thread;
/// `stopped` is asked now and then and ends it with ErrorKind::Cancelled.
Result<QByteArray> reportPdf(const ReportContent &content, const std::function<bool()> &stopped = {});

/// Writes the PDF beside `path`, reads it back, then renames it. Never over the file `model`.
Status writeReportPdf(const ReportContent &content, const std::string &path, const std::string &model,
                      const std::function<bool()> &stopped = {});

} // namespace bitwright
