// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QColor>
#include <QIcon>
#include <QPalette>

class QApplication;

namespace bitwright {

/// How the window looks: one palette and one small style sheet, both made here, nothing coloured elsewhere.

enum class Theme { System, Light, Dark };

/// Fusion with our palette. `System` keeps to the lightness that the desktop's own palette had at the start.
void applyTheme(QApplication &application, Theme theme);
/// True where the palette's text is lighter than its background.
bool isDark(const QPalette &palette);

/// Colours that mean something, told apart by the colour-blind too (after Okabe and Ito), for either lightness.
struct SignalColours {
    QColor weight, activation;   ///< distributions
    QColor good, warning, bad;
    QColor accent;
};
SignalColours signalColours(const QPalette &palette);
/// From few bits (warm) to many (cool); float is grey. The number is always written beside it.
QColor bitsColour(int bits, const QPalette &palette);

/// An icon of resources/icons by its name, drawn in the palette's text colour at any size.
QIcon themedIcon(const QString &name);

} // namespace bitwright
