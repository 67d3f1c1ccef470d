// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "grid/quant_grid.h"
#include "plots/plot_colors.h"
#include "plots/plot_data.h"
#include "plots/plot_parts.h"
#include "plots/provisional_grid.h"

#include <QRectF>

#include <optional>

class QPainter;

namespace bitwright {

/// The levels of a grid over a histogram: a line for each level, short dashes for the thresholds between them, a band
/// where there are more levels than pixels, the two clip handles, and a tint over what is clipped. Geometry and
/// painting only; HistogramPlot gives it a layer of its own and the mouse.
class LevelOverlay {
public:
    void setGrid(const QuantGrid &grid, std::size_t group);
    void clear() { m_grid = {}; }
    [[nodiscard]] bool empty() const { return m_grid.empty(); }
    [[nodiscard]] const QuantGrid &grid() const { return m_grid; }
    [[nodiscard]] std::size_t group() const { return m_group; }
    /// Lowest and highest level.
    [[nodiscard]] PlotRange clip() const { return gridRange(m_grid, m_group); }

    /// Which ends can be dragged.
    void setHandles(bool low, bool high) { m_low = low; m_high = high; }
    [[nodiscard]] bool hasHandle(ClipSide side) const { return side == ClipSide::Low ? m_low : m_high; }
    /// A provisional grid is drawn paler until the engine's own comes.
    void setProvisional(bool provisional) { m_provisional = provisional; }
    [[nodiscard]] bool isProvisional() const { return m_provisional; }
    void setHot(std::optional<ClipSide> side) { m_hot = side; }
    [[nodiscard]] std::optional<ClipSide> hot() const { return m_hot; }

    /// Levels that can be dragged one by one.
    void setFree(bool free) { m_free = free; }
    [[nodiscard]] bool isFree() const { return m_free; }
    void setHotLevel(std::optional<std::size_t> level) { m_hotLevel = level; }
    [[nodiscard]] std::optional<std::size_t> hotLevel() const { return m_hotLevel; }
    /// The free level under a position, with a few pixels' tolerance.
    [[nodiscard]] std::optional<std::size_t> levelAt(QPointF position, const PlotArea &area) const;
    /// The handle under a position, with a few pixels' tolerance.
    [[nodiscard]] std::optional<ClipSide> handleAt(QPointF position, const PlotArea &area) const;
    /// What paint() draws, for tests and tables.
    [[nodiscard]] LineSelection levels(const PlotArea &area, PlotRange visible) const;
    [[nodiscard]] LineSelection thresholds(const PlotArea &area, PlotRange visible) const;

    void paint(QPainter &painter, const PlotArea &area, PlotRange visible, const PlotColors &colors) const;

private:
    void paintClipped(QPainter &painter, const PlotArea &area, const PlotColors &colors) const;
    void paintLevels(QPainter &painter, const PlotArea &area, PlotRange visible, const PlotColors &colors) const;
    void paintHandle(QPainter &painter, const PlotArea &area, ClipSide side, const PlotColors &colors) const;
    void paintGrips(QPainter &painter, const PlotArea &area, PlotRange visible, const PlotColors &colors) const;

    QuantGrid m_grid;
    std::size_t m_group = 0;
    bool m_low = false, m_high = false;
    bool m_provisional = false;
    std::optional<ClipSide> m_hot;
    bool m_free = false;
    std::optional<std::size_t> m_hotLevel;
};

} // namespace bitwright
