// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/level_overlay.h"

#include <QLineF>
#include <QPainter>
#include <QVector>

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

constexpr double kHandleReach = 7;      // pixels either side that still take hold
constexpr double kGripWidth = 9, kGripHeight = 18;
constexpr double kLevelReach = 5;
constexpr std::size_t kMostGrips = 64, kFewLevels = 3;

double sharp(double pixel)
{
    return std::floor(pixel) + 0.5;
}

} // namespace

void LevelOverlay::setGrid(const QuantGrid &grid, std::size_t group)
{
    m_grid = grid;
    m_group = grid.groups.empty() ? 0 : std::min(group, grid.groups.size() - 1);
}

std::optional<ClipSide> LevelOverlay::handleAt(QPointF position, const PlotArea &area) const
{
    if (empty() || !area.rect.adjusted(-kHandleReach, 0, kHandleReach, 0).contains(position))
        return std::nullopt;
    const PlotRange ends = clip();
    const double toLow = m_low ? std::abs(position.x() - area.x(ends.lower)) : 1e9;
    const double toHigh = m_high ? std::abs(position.x() - area.x(ends.upper)) : 1e9;
    if (std::min(toLow, toHigh) > kHandleReach)
        return std::nullopt;
    return toLow < toHigh ? ClipSide::Low : ClipSide::High;
}

std::optional<std::size_t> LevelOverlay::levelAt(QPointF position, const PlotArea &area) const
{
    if (!m_free || empty() || !area.rect.adjusted(-kHandleReach, 0, kHandleReach, 0).contains(position))
        return std::nullopt;
    std::optional<std::size_t> nearest;
    double least = kLevelReach;
    for (std::size_t i = 0; i < m_grid.levelCount(m_group); ++i) {
        const double distance = std::abs(position.x() - area.x(m_grid.level(m_group, i)));
        if (distance <= least) {
            least = distance;
            nearest = i;
        }
    }
    return nearest;
}

LineSelection LevelOverlay::levels(const PlotArea &area, PlotRange visible) const
{
    return levelLines(m_grid, m_group, visible, area.rect.width());
}

LineSelection LevelOverlay::thresholds(const PlotArea &area, PlotRange visible) const
{
    return thresholdLines(m_grid, m_group, visible, area.rect.width(), 10);
}

void LevelOverlay::paint(QPainter &painter, const PlotArea &area, PlotRange visible, const PlotColors &colors) const
{
    if (empty() || m_grid.levelCount(m_group) == 0)
        return;
    painter.save();
    paintClipped(painter, area, colors);
    paintLevels(painter, area, visible, colors);
    if (m_free)
        paintGrips(painter, area, visible, colors);
    for (const ClipSide side : {ClipSide::Low, ClipSide::High})
        if (hasHandle(side))
            paintHandle(painter, area, side, colors);
    painter.restore();
}

void LevelOverlay::paintClipped(QPainter &painter, const PlotArea &area, const PlotColors &colors) const
{
    // A sign or three levels clip nothing: what is far out belongs to its level like the rest.
    if (!m_grid.uniform && m_grid.levelCount(m_group) <= kFewLevels)
        return;
    const PlotRange ends = clip();
    QColor lines = colors.clipped;
    lines.setAlpha(std::min(255, lines.alpha() * 2));
    const double low = std::clamp(area.x(ends.lower), area.rect.left(), area.rect.right());
    const double high = std::clamp(area.x(ends.upper), area.rect.left(), area.rect.right());
    for (const QRectF &side : {QRectF(area.rect.topLeft(), QPointF(low, area.rect.bottom())),
                               QRectF(QPointF(high, area.rect.top()), area.rect.bottomRight())}) {
        if (side.width() < 1)
            continue;
        painter.fillRect(side, colors.clipped);
        // Hatching says the same without colour.
        painter.fillRect(side, QBrush(lines, Qt::BDiagPattern));
    }
}

void LevelOverlay::paintLevels(QPainter &painter, const PlotArea &area, PlotRange visible,
                               const PlotColors &colors) const
{
    const double top = area.rect.top(), bottom = area.rect.bottom();
    const LineSelection between = thresholds(area, visible);
    QVector<QLineF> lines;
    for (const double x : between.values) {
        const double pixel = sharp(area.x(x));
        lines.append(QLineF(pixel, bottom, pixel, bottom - area.rect.height() * 0.16));
    }
    QPen pen(colors.threshold, 1, Qt::CustomDashLine);
    pen.setDashPattern({3, 3});
    painter.setPen(pen);
    painter.drawLines(lines);

    const LineSelection at = levels(area, visible);
    QColor color = colors.level;
    color.setAlpha(m_provisional ? 130 : 190);
    if (at.aggregated) {
        color.setAlpha(m_provisional ? 26 : 40);
        painter.fillRect(QRectF(QPointF(area.x(at.band.lower), top), QPointF(area.x(at.band.upper), bottom)), color);
        return;
    }
    lines.clear();
    for (const double x : at.values) {
        const double pixel = sharp(area.x(x));
        lines.append(QLineF(pixel, top, pixel, bottom));
    }
    // Many lines get finer so that the histogram below stays readable.
    if (at.inView > 48)
        color.setAlpha(color.alpha() / 2);
    painter.setPen(QPen(color, 1));
    painter.drawLines(lines);
}

/// A drop at the top of each level that can be dragged.
void LevelOverlay::paintGrips(QPainter &painter, const PlotArea &area, PlotRange visible, const PlotColors &colors) const
{
    const LineSelection at = levels(area, visible);
    if (at.aggregated || at.inView > kMostGrips)
        return;
    painter.setRenderHint(QPainter::Antialiasing, true);
    for (std::size_t i = 0; i < m_grid.levelCount(m_group); ++i) {
        const double x = sharp(area.x(m_grid.level(m_group, i)));
        if (x < area.rect.left() || x > area.rect.right())
            continue;
        const bool hot = m_hotLevel == i;
        const QColor ink = hot ? colors.error : colors.level;
        if (hot) {
            painter.setPen(QPen(ink, 2));
            painter.drawLine(QLineF(x, area.rect.top(), x, area.rect.bottom()));
        }
        painter.setPen(QPen(ink, 1.2));
        painter.setBrush(hot ? ink : colors.background);
        const double top = area.rect.top() + 3;
        painter.drawPolygon(QPolygonF({{x - 4, top}, {x + 4, top}, {x + 4, top + 5}, {x, top + 10}, {x - 4, top + 5}}));
    }
    painter.setRenderHint(QPainter::Antialiasing, false);
}

void LevelOverlay::paintHandle(QPainter &painter, const PlotArea &area, ClipSide side, const PlotColors &colors) const
{
    const PlotRange ends = clip();
    const double x = sharp(area.x(side == ClipSide::Low ? ends.lower : ends.upper));
    const bool hot = m_hot == side;
    painter.setPen(QPen(hot ? colors.error : colors.handle, hot ? 2 : 1.5));
    painter.drawLine(QLineF(x, area.rect.top(), x, area.rect.bottom()));
    painter.setRenderHint(QPainter::Antialiasing, true);
    const QRectF grip(x - kGripWidth / 2, area.rect.top() + 5, kGripWidth, kGripHeight);
    painter.setBrush(hot ? colors.error : colors.background);
    painter.setPen(QPen(hot ? colors.error : colors.handle, 1.2));
    painter.drawRoundedRect(grip, 3, 3);
    painter.setPen(QPen(hot ? colors.background : colors.handle, 1));
    for (const double dx : {-1.5, 1.5})
        painter.drawLine(QLineF(x + dx, grip.top() + 5, x + dx, grip.bottom() - 5));
    painter.setRenderHint(QPainter::Antialiasing, false);
}

} // namespace bitwright
