// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "network/model_summary.h"
#include "trial/trial_record.h"

#include <QString>

namespace bitwright {

/// Numbers as the window shows them, in the user's locale. Free functions, tested alone.

inline QString toQString(const std::string &text) { return QString::fromUtf8(text.data(), qsizetype(text.size())); }

/// `one` or `many` with %1 for the count: English has no translation file that would choose.
QString counted(qint64 count, const QString &one, const QString &many);
/// "1.08 MB", three significant digits, decimal units.
QString formatBytes(double bytes);
/// "270 k", "25.6 M"; three significant digits.
QString formatCount(double count);
/// A share as percent: "91.42 %".
QString formatShare(double share, int decimals = 2);
/// A difference of shares in percentage points with its sign: "−0.35 pp".
QString formatShareChange(double delta, int decimals = 2);
/// "38.1 dB"; an infinite or missing ratio is a dash.
QString formatDecibel(double decibel);
/// "4.0×".
QString formatRatio(double ratio);
/// Any real number with `digits` significant digits.
QString formatReal(double value, int digits = 4);
/// "3 s", "2 min 05 s", "1 h 12 min".
QString formatDuration(double seconds);
/// "16 × 3 × 3 × 3"; a free size is "N".
QString formatShape(const Shape &shape);
/// "91.4 % ±0.6" of a trial, in its metric's unit.
QString formatMetric(const std::string &metric, double value, double low, double high);
/// The metric as people say it: "top-1 accuracy".
QString metricTitle(const std::string &metric);
/// True when the metric is a share (0 to 1), false for decibels.
bool isShare(const std::string &metric);

} // namespace bitwright
