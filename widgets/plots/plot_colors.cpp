// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/plot_colors.h"

#include <array>
#include <cmath>

namespace bitwright {

namespace {

QColor blend(const QColor &a, const QColor &b, double share)
{
    return QColor::fromRgbF(float(a.redF() + (b.redF() - a.redF()) * share),
                            float(a.greenF() + (b.greenF() - a.greenF()) * share),
                            float(a.blueF() + (b.blueF() - a.blueF()) * share));
}

double luminance(const QColor &color)
{
    const auto linear = [](double c) { return c <= 0.03928 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4); };
    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF());
}

constexpr std::array<QRgb, 6> kLightSeries = {0x0072B2, 0xC45A00, 0x00805C, 0xA8508A, 0x2E8BC0, 0x8A6D00};
constexpr std::array<QRgb, 6> kDarkSeries = {0x56B4E9, 0xF0A33A, 0x2CC79A, 0xE08FC0, 0x9AD4F5, 0xE6D44A};

} // namespace

QColor PlotColors::series(int n) const
{
    const auto &table = dark ? kDarkSeries : kLightSeries;
    return QColor(table[std::size_t(n) % table.size()]);
}

PlotColors plotColors(const QPalette &palette)
{
    PlotColors colors;
    colors.background = palette.color(QPalette::Base);
    colors.text = palette.color(QPalette::Text);
    colors.dark = luminance(colors.background) < luminance(colors.text);
    colors.mutedText = blend(colors.text, colors.background, 0.30);
    colors.axis = blend(colors.text, colors.background, 0.60);
    colors.gridLine = blend(colors.text, colors.background, colors.dark ? 0.85 : 0.89);
    colors.original = colors.series(0);
    colors.quantized = colors.series(1);
    colors.level = colors.dark ? QColor(0xC9C4F2) : QColor(0x4B3F9E);
    colors.threshold = blend(colors.level, colors.background, 0.45);
    colors.handle = colors.dark ? QColor(0xFFFFFF) : QColor(0x202020);
    colors.error = colors.dark ? QColor(0xFF7A59) : QColor(0xC0390B);
    colors.clipped = withAlpha(colors.error, colors.dark ? 36 : 30);
    colors.present = colors.series(1);
    colors.front = colors.series(2);
    colors.reference = colors.mutedText;
    return colors;
}

Qt::PenStyle dashOf(int n)
{
    constexpr std::array styles = {Qt::SolidLine, Qt::DashLine, Qt::DotLine, Qt::DashDotLine, Qt::DashDotDotLine};
    return styles[std::size_t(n) % styles.size()];
}

double contrastRatio(const QColor &a, const QColor &b)
{
    const double la = luminance(a), lb = luminance(b);
    return (std::max(la, lb) + 0.05) / (std::min(la, lb) + 0.05);
}

QColor withAlpha(QColor color, int alpha)
{
    color.setAlpha(alpha);
    return color;
}

} // namespace bitwright
