// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/level_overlay.h"
#include "plots/plot_frame.h"

class QCPGraph;
class QCPLayer;

namespace bitwright {

/// A tensor's distribution with the quantization levels over it: the original as a filled step, what quantization
/// makes of it as a second line, and a LevelOverlay with two clip handles. A new grid repaints only the layers above
/// the histogram, in the same frame. Draws what it is given and computes nothing about quantization.
class HistogramPlot : public PlotFrame {
    Q_OBJECT
public:
    explicit HistogramPlot(const QString &title, QWidget *parent = nullptr);
    ~HistogramPlot() override;

    /// The view is reset unless `keepView`.
    void setHistogram(const Histogram &histogram, bool keepView = false);
    /// Levels, handles and the quantized series; an empty grid takes them away. `quantized` has the histogram's bins
    /// and may be empty while it is not known.
    void setGrid(const QuantGrid &grid, std::size_t group, const Histogram &quantized, bool provisional);
    void clearGrid();
    /// Nothing to draw, and why.
    void showMessage(const QString &message);
    void setLogarithmic(bool logarithmic);
    [[nodiscard]] bool isLogarithmic() const { return m_logarithmic; }
    void setHandles(bool low, bool high);
    /// Each level can be dragged by itself.
    void setFreeLevels(bool free);
    /// The histogram holds values of several groups of the grid, the overlay shows one of them.
    void setMixed(bool mixed);
    /// Names of the series above the axes; there is nothing to tell apart where no quantization is shown.
    void setLegendShown(bool shown);
    /// What the values are, under the axis.
    void setAxisTitle(const QString &title);
    /// The histogram's colour follows the role: weights and activations look different everywhere.
    void setSeriesColor(int series);

    [[nodiscard]] const Histogram &histogram() const { return m_histogram; }
    [[nodiscard]] const LevelOverlay &overlay() const { return m_overlay; }
    [[nodiscard]] PlotTable table() const override;
    /// All of the data and of the grid, counts up to the highest bin.
    void resetView() override;
    /// The clip range with some air.
    void zoomToClip();

signals:
    /// A handle was moved to `position`; `finished` when it was let go.
    void clipDragged(bitwright::ClipSide side, double position, bool finished);
    /// A free level was moved; `level` counts the group's levels in their order.
    void levelDragged(std::size_t level, double position, bool finished);
    /// Asked for in the context menu.
    void logarithmicToggled(bool logarithmic);

protected:
    void recolor() override;
    void addActions(QMenu &menu) override;
    bool pressed(QPointF position) override;
    void dragged(QPointF position) override;
    void released(QPointF position) override;
    void hovered(QPointF position) override;
    void left() override;
    void viewMoved() override;
    void resizeEvent(QResizeEvent *event) override;

private:
    void redrawOriginal();
    void redrawQuantized();
    void scaleCounts();
    void describe();
    void setHot(std::optional<ClipSide> side, std::optional<std::size_t> level = {});
    void tellBin(QPointF position);

    Histogram m_histogram, m_quantized;
    LevelOverlay m_overlay;
    QString m_message;
    double m_resultTop = 0;   ///< highest count of the quantized outline
    bool m_logarithmic = false, m_mixed = false, m_awaitsGrid = false;
    int m_series = 0;
    std::optional<ClipSide> m_dragged;
    std::optional<std::size_t> m_draggedLevel;
    QCPGraph *m_original = nullptr, *m_result = nullptr;
    QCPLayer *m_resultLayer = nullptr, *m_levelLayer = nullptr;
};

} // namespace bitwright
