// SPDX-License-Identifier: GPL-3.0-or-later
#include "util/format.h"

#include <QCoreApplication>
#include <QLocale>
#include <QStringList>

#include <array>
#include <cmath>

namespace bitwright {

namespace {

QString translate(const char *text)
{
    return QCoreApplication::translate("Format", text);
}

QString dash()
{
    return QStringLiteral("–");
}

/// Three significant digits of a number below 1000.
QString threeDigits(double value)
{
    const int decimals = std::abs(value) < 9.995 ? 2 : std::abs(value) < 99.95 ? 1 : 0;
    return QLocale().toString(value, 'f', decimals);
}

QString scaled(double value, const std::array<const char *, 5> &units, bool wholeFirst)
{
    std::size_t unit = 0;
    while (std::abs(value) >= 999.5 && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    const QString number = unit == 0 && wholeFirst ? QLocale().toString(value, 'f', 0) : threeDigits(value);
    return units[unit][0] ? number + QChar(0x202F) + QString::fromUtf8(units[unit]) : number;
}

QString sign(double value)
{
    return value < 0 ? QStringLiteral("−") : value > 0 ? QStringLiteral("+") : QString();
}

} // namespace

QString counted(qint64 count, const QString &one, const QString &many)
{
    return (count == 1 ? one : many).arg(QLocale().toString(count));
}

QString formatBytes(double bytes)
{
    return scaled(bytes, {"B", "kB", "MB", "GB", "TB"}, true);
}

QString formatCount(double count)
{
    return scaled(count, {"", "k", "M", "G", "T"}, true);
}

QString formatShare(double share, int decimals)
{
    return std::isfinite(share) ? QLocale().toString(share * 100, 'f', decimals) + QStringLiteral("\u202F%") : dash();
}

QString formatShareChange(double delta, int decimals)
{
    if (!std::isfinite(delta))
        return dash();
    const QString number = QLocale().toString(std::abs(delta) * 100, 'f', decimals);
    const bool zero = number == QLocale().toString(0.0, 'f', decimals);
    return (zero ? QString() : sign(delta)) + number + QStringLiteral("\u202Fpp");
}

QString formatDecibel(double decibel)
{
    return std::isfinite(decibel) ? QLocale().toString(decibel, 'f', 1) + QStringLiteral("\u202FdB") : dash();
}

QString formatRatio(double ratio)
{
    return std::isfinite(ratio) ? QLocale().toString(ratio, 'f', ratio < 9.95 ? 2 : 1) + QStringLiteral("×") : dash();
}

QString formatReal(double value, int digits)
{
    return std::isfinite(value) ? QLocale().toString(value, 'g', digits) : dash();
}

QString formatDuration(double seconds)
{
    if (!std::isfinite(seconds) || seconds < 0)
        return dash();
    const qint64 whole = qint64(std::llround(seconds));
    if (whole < 60)
        return translate("%1 s").arg(whole);
    if (whole < 3600)
        return translate("%1 min %2 s").arg(whole / 60).arg(whole % 60, 2, 10, QLatin1Char('0'));
    return translate("%1 h %2 min").arg(whole / 3600).arg(whole / 60 % 60, 2, 10, QLatin1Char('0'));
}

QString formatShape(const Shape &shape)
{
    QStringList sizes;
    for (const std::int64_t size : shape)
        sizes << (size < 0 ? QStringLiteral("N") : QString::number(size));
    return sizes.join(QStringLiteral(" × "));
}

bool isShare(const std::string &metric)
{
    return metric != "sqnr";
}

QString formatMetric(const std::string &metric, double value, double low, double high)
{
    if (!isShare(metric))
        return formatDecibel(value);
    const double half = (high - low) / 2;
    QString text = formatShare(value);
    if (std::isfinite(half) && half > 0)
        text += QStringLiteral(" ±") + QLocale().toString(half * 100, 'f', half < 0.00995 ? 2 : 1);
    return text;
}

QString metricTitle(const std::string &metric)
{
    if (metric == "top1")
        return translate("top-1 accuracy");
    if (metric == "top5")
        return translate("top-5 accuracy");
    if (metric == "agreement")
        return translate("agreement with the float network");
    if (metric == "sqnr")
        return translate("output SQNR");
    return toQString(metric);
}

} // namespace bitwright
