// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "grid/quant_grid.h"
#include "stats/histogram.h"

#include <QApplication>
#include <QDir>
#include <QMouseEvent>
#include <QPalette>
#include <QRegularExpression>
#include <QWidget>
#include <QtTest>

#include <cmath>

namespace bitwright::fixture {

/// Counts like those of a trained weight: a peaked bell with a few values far out.
inline Histogram bellHistogram(double sigma = 0.08, double lo = -0.5, double hi = 0.6, std::size_t bins = 512,
                               double total = 1e6)
{
    Histogram h{lo, hi, std::vector<std::uint64_t>(bins), 0, 0, 0};
    for (std::size_t i = 0; i < bins; ++i) {
        const double x = h.center(i) / sigma;
        const double density = std::exp(-0.5 * x * x) + 0.25 * std::exp(-std::abs(x) * 0.9);
        h.counts[i] = std::uint64_t(std::llround(density * total / double(bins) * 1.4));
    }
    return h;
}

/// What comes out of a ReLU: a great spike at zero and a tail.
inline Histogram reluHistogram(std::size_t bins = 512)
{
    Histogram h{0, 6, std::vector<std::uint64_t>(bins), 0, 0, 0};
    for (std::size_t i = 0; i < bins; ++i)
        h.counts[i] = std::uint64_t(40000 * std::exp(-h.center(i) / 0.9));
    h.counts[0] = 2200000;
    return h;
}

inline Moments momentsOf(const Histogram &h)
{
    Moments m;
    m.min = h.lo;
    m.max = h.hi;
    for (std::size_t i = 0; i < h.counts.size(); ++i) {
        const double n = double(h.counts[i]), x = h.center(i);
        m.count += h.counts[i];
        m.sum += n * x;
        m.sumSquares += n * x * x;
        m.sumAbs += n * std::abs(x);
    }
    return m;
}

inline QuantGrid symmetricGrid(int bits, double amax)
{
    QuantGrid grid;
    grid.qmax = (std::int64_t(1) << (bits - 1)) - 1;
    grid.qmin = -grid.qmax;
    grid.groups = {{amax / double(grid.qmax), 0, {}, {}}};
    return grid;
}

inline QPalette lightPalette()
{
    QPalette palette;
    palette.setColor(QPalette::Window, QColor(0xF4F5F7));
    palette.setColor(QPalette::Base, QColor(0xFFFFFF));
    palette.setColor(QPalette::Text, QColor(0x1E2328));
    palette.setColor(QPalette::WindowText, QColor(0x1E2328));
    return palette;
}

inline QPalette darkPalette()
{
    QPalette palette;
    palette.setColor(QPalette::Window, QColor(0x23272E));
    palette.setColor(QPalette::Base, QColor(0x1B1E23));
    palette.setColor(QPalette::Text, QColor(0xE4E7EB));
    palette.setColor(QPalette::WindowText, QColor(0xE4E7EB));
    palette.setColor(QPalette::Button, QColor(0x31363F));
    palette.setColor(QPalette::ButtonText, QColor(0xE4E7EB));
    return palette;
}

/// Any warning fails the test, but for the offscreen platform's own about what it lacks.
inline void failOnAnyWarning()
{
    QTest::failOnWarning(QRegularExpression(QStringLiteral("^(?!This plugin does not support).*")));
}

/// Saves what a person would see where BITWRIGHT_SHOTS names a folder; nothing otherwise.
inline void saveShot(QWidget &widget, const QString &name)
{
    const QString folder = qEnvironmentVariable("BITWRIGHT_SHOTS");
    if (!folder.isEmpty())
        widget.grab().save(QDir(folder).filePath(name + QStringLiteral(".png")));
}

/// Mouse steps with the button state that a real drag has.
inline void sendMouse(QWidget *widget, QEvent::Type type, QPointF at, Qt::MouseButton button, Qt::MouseButtons buttons)
{
    QMouseEvent event(type, at, widget->mapToGlobal(at), button, buttons, Qt::NoModifier);
    QApplication::sendEvent(widget, &event);
}

inline void drag(QWidget *widget, QPointF from, QPointF to)
{
    sendMouse(widget, QEvent::MouseButtonPress, from, Qt::LeftButton, Qt::LeftButton);
    sendMouse(widget, QEvent::MouseMove, (from + to) / 2, Qt::NoButton, Qt::LeftButton);
    sendMouse(widget, QEvent::MouseMove, to, Qt::NoButton, Qt::LeftButton);
    sendMouse(widget, QEvent::MouseButtonRelease, to, Qt::LeftButton, Qt::NoButton);
}

inline void hover(QWidget *widget, QPointF at)
{
    sendMouse(widget, QEvent::MouseMove, at, Qt::NoButton, Qt::NoButton);
}

} // namespace bitwright::fixture
