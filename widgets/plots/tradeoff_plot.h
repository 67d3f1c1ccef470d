// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/plot_frame.h"

#include <QTimer>

#include <array>
#include <optional>

class QCPGraph;
class QCPLayer;

namespace bitwright {

/// What the trade-off is drawn against.
enum class CostAxis { Size, Bops, MeanBits };

/// A point of the trade-off: what it costs on each axis, what it brings with its interval, and what a person should
/// read about it.
struct TradeoffPoint {
    enum class Kind { Evaluated, FineTuned, Swept, Predicted };
    qint64 id = 0;                       ///< what a click gives back; 0 for points that cannot be restored
    Kind kind = Kind::Evaluated;
    std::array<double, 3> cost{};        ///< by CostAxis: bytes, BOPs, bits; NaN where unknown
    double value = 0, low = 0, high = 0;
    QString title, details;              ///< plain text for the tooltip
    [[nodiscard]] double costOn(CostAxis axis) const { return cost[std::size_t(axis)]; }
};

/// Accuracy against size: every trial with its interval, the front as a step line, the float model as reference, the
/// present configuration as a ring that pulses while the engine refines it. Kinds differ in shape as well as colour;
/// predicted points are hollow. Hovering explains, a click activates.
class TradeoffPlot : public PlotFrame {
    Q_OBJECT
public:
    explicit TradeoffPlot(const QString &title, QWidget *parent = nullptr);
    ~TradeoffPlot() override;

    void setPoints(std::vector<TradeoffPoint> points);
    void addPoint(const TradeoffPoint &point);
    [[nodiscard]] const std::vector<TradeoffPoint> &points() const { return m_points; }
    /// Indices into points(), by growing cost.
    [[nodiscard]] const std::vector<std::size_t> &front() const { return m_front; }
    /// The present configuration; without a value only its cost is known and it is drawn as a line.
    void setPresent(std::optional<TradeoffPoint> point, bool refining);
    [[nodiscard]] bool isRefining() const { return m_pulse.isActive(); }
    /// The float network: a point and a dashed line at its value.
    void setReference(std::optional<TradeoffPoint> point);
    void setCostAxis(CostAxis axis);
    [[nodiscard]] CostAxis costAxis() const { return m_axis; }
    /// How the metric is called and whether it is a share, written in percent, or decibels.
    void setMetric(const QString &title, bool share);

    [[nodiscard]] QString costText(double cost) const;
    [[nodiscard]] QString valueText(double value) const;
    [[nodiscard]] PlotTable table() const override;
    void resetView() override;

signals:
    void trialActivated(qint64 id);

protected:
    void recolor() override;
    void hovered(QPointF position) override;
    void left() override;
    void clicked(QPointF position) override;

private:
    void refresh();
    void describe();
    [[nodiscard]] std::optional<std::size_t> pointAt(QPointF position) const;
    void paintIntervals(QPainter &painter) const;
    void paintInterval(QPainter &painter, const TradeoffPoint &point) const;
    void paintMarks(QPainter &painter) const;
    void paintPresent(QPainter &painter) const;
    [[nodiscard]] QPointF pixelOf(const TradeoffPoint &point) const;
    [[nodiscard]] bool isOnFront(std::size_t index) const;

    std::vector<TradeoffPoint> m_points;
    std::vector<std::size_t> m_front;
    std::optional<TradeoffPoint> m_present, m_reference;
    std::optional<std::size_t> m_hot;
    CostAxis m_axis = CostAxis::Size;
    QString m_metric;
    bool m_share = true;
    bool m_following = true;
    int m_phase = 0;
    QTimer m_pulse;
    std::array<QCPGraph *, 4> m_graphs{};
    QCPGraph *m_frontGraph = nullptr, *m_referenceGraph = nullptr;
    QCPLayer *m_markLayer = nullptr;
};

} // namespace bitwright
