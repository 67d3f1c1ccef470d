// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QColor>
#include <QPalette>

namespace bitwright {

/// Colours of all plots, made from a palette: dark and light, safe for the colour-blind (after Okabe and Ito). Series
/// differ in dash and marker as well, see dashOf() and the plots' markers.
struct PlotColors {
    bool dark = false;
    QColor background, text, mutedText, axis, gridLine;
    QColor original;      ///< what the network has
    QColor quantized;     ///< what quantization makes of it
    QColor level;         ///< level lines
    QColor threshold;     ///< between levels
    QColor handle;        ///< clip handles
    QColor clipped;       ///< tint over what is clipped, translucent
    QColor present;       ///< the present configuration
    QColor front;         ///< the Pareto front
    QColor reference;     ///< the float network
    QColor error;         ///< NaN, infinity, outliers
    /// The n-th series' colour; repeats after six.
    [[nodiscard]] QColor series(int n) const;
    friend bool operator==(const PlotColors &, const PlotColors &) = default;
};

PlotColors plotColors(const QPalette &palette);
/// The n-th series' dash, so that series are told apart without colour.
Qt::PenStyle dashOf(int n);
/// WCAG contrast ratio of two colours, 1 to 21.
double contrastRatio(const QColor &a, const QColor &b);
QColor withAlpha(QColor color, int alpha);

} // namespace bitwright
