// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/plot_parts.h"

#include <qcustomplot.h>

#include <cmath>

namespace bitwright {

namespace {

/// A function as a layerable.
class Painting : public QCPLayerable {
public:
    Painting(QCustomPlot *plot, const QString &layer, std::function<void(QPainter &, const PlotArea &)> paint)
        : QCPLayerable(plot, layer), m_paint(std::move(paint))
    {
    }

protected:
    QRect clipRect() const override { return mParentPlot->axisRect()->rect(); }
    void applyDefaultAntialiasingHint(QCPPainter *painter) const override { painter->setAntialiasing(true); }
    void draw(QCPPainter *painter) override
    {
        // Most of what is painted is upright lines: sharp unless the painter asks otherwise.
        painter->setAntialiasing(false);
        m_paint(*painter, plotArea(mParentPlot));
    }

private:
    std::function<void(QPainter &, const PlotArea &)> m_paint;
};

class Ticker : public QCPAxisTicker {
public:
    Ticker(QCPAxis *axis, std::function<QString(double)> label, double pixelsPerTick)
        : m_axis(axis), m_label(std::move(label)), m_pixelsPerTick(pixelsPerTick)
    {
    }

protected:
    QVector<double> createTickVector(double, const QCPRange &range) override
    {
        const QRect rect = m_axis->axisRect()->rect();
        const double length = m_axis->orientation() == Qt::Horizontal ? rect.width() : rect.height();
        const int most = std::max(m_pixelsPerTick < 30 ? 4 : 3, int(length / m_pixelsPerTick));
        const auto ticks = niceTicks({range.lower, range.upper}, most);
        m_step = niceStep({range.lower, range.upper}, most);
        return {ticks.begin(), ticks.end()};
    }
    int getSubTickCount(double) override { return 0; }
    QString getTickLabel(double tick, const QLocale &locale, QChar, int) override
    {
        if (m_label)
            return m_label(tick);
        const double size = std::max(std::abs(tick), m_step);
        if (size >= 1e6 || m_step < 1e-5)
            return locale.toString(tick, 'g', 3);
        return locale.toString(tick, 'f', tickDecimals(m_step));
    }

private:
    QCPAxis *m_axis;
    std::function<QString(double)> m_label;
    double m_pixelsPerTick;
    double m_step = 1;
};

class LogTicker : public QCPAxisTicker {
public:
    LogTicker(QCPAxis *axis, std::function<QString(double)> label) : m_axis(axis), m_label(std::move(label)) {}

protected:
    QVector<double> createTickVector(double, const QCPRange &range) override
    {
        const QRect rect = m_axis->axisRect()->rect();
        const bool flat = m_axis->orientation() == Qt::Horizontal;
        // Labels lie side by side on a horizontal axis and need twice the room.
        const auto ticks = logTicks({range.lower, range.upper}, flat ? rect.width() * 0.75 : rect.height() * 1.4);
        return {ticks.begin(), ticks.end()};
    }
    int getSubTickCount(double) override { return 0; }
    QString getTickLabel(double tick, const QLocale &, QChar, int) override
    {
        return m_label ? m_label(tick) : bitwright::tickCount(tick);
    }

private:
    QCPAxis *m_axis;
    std::function<QString(double)> m_label;
};

/// Names of the series that the plot's (hidden) legend holds, in rows above the axes as wide as the texts are.
class LegendRow : public QCPLayoutElement {
public:
    explicit LegendRow(QCustomPlot *plot) : QCPLayoutElement(plot) { setMinimumMargins(QMargins(0, 0, 0, 0)); }
    void setShown(bool shown) { m_shown = shown; }
    void update(UpdatePhase phase) override
    {
        if (phase == upPreparation) {
            const int height = m_shown ? arrange().second : 0;
            setMinimumSize(10, height);
            setMaximumSize(QWIDGETSIZE_MAX, height);
        }
        QCPLayoutElement::update(phase);
    }

protected:
    void applyDefaultAntialiasingHint(QCPPainter *painter) const override { painter->setAntialiasing(true); }
    QRect clipRect() const override { return outerRect(); }
    void draw(QCPPainter *painter) override
    {
        if (!m_shown)
            return;
        painter->setFont(mParentPlot->legend->font());
        for (const auto &[graph, at] : arrange().first) {
            const QPointF origin = outerRect().topLeft() + at;
            drawIcon(*painter, *graph, origin);
            painter->setPen(mParentPlot->legend->textColor());
            painter->drawText(origin + QPointF(kIcon + kGap, baseline()), graph->name());
        }
    }

private:
    static constexpr double kIcon = 20, kGap = 5, kColumn = 14;
    QFontMetricsF metrics() const { return QFontMetricsF(mParentPlot->legend->font()); }
    double rowHeight() const { return std::ceil(metrics().height()) + 3; }
    double baseline() const { return metrics().ascent() + 3; }
    /// Where each entry begins, and the height of all rows.
    std::pair<std::vector<std::pair<QCPGraph *, QPointF>>, int> arrange() const
    {
        std::vector<std::pair<QCPGraph *, QPointF>> places;
        const double width = mParentPlot->viewport().width() - 6;
        QPointF at(6, 2);
        for (int i = 0; i < mParentPlot->graphCount(); ++i) {
            QCPGraph *graph = mParentPlot->graph(i);
            if (!mParentPlot->legend->hasItemWithPlottable(graph))
                continue;
            const double entry = kIcon + kGap + metrics().horizontalAdvance(graph->name());
            if (at.x() > 6 && at.x() + entry > width)
                at = QPointF(6, at.y() + rowHeight());
            places.emplace_back(graph, at);
            at.rx() += entry + kColumn;
        }
        return {places, int(std::ceil(at.y() + rowHeight())) + 3};
    }
    void drawIcon(QCPPainter &painter, const QCPGraph &graph, QPointF origin) const
    {
        const double middle = origin.y() + rowHeight() / 2 + 1;
        if (graph.brush().style() != Qt::NoBrush)
            painter.fillRect(QRectF(origin.x(), middle, kIcon, 5), graph.brush());
        if (graph.lineStyle() != QCPGraph::lsNone) {
            painter.setPen(graph.pen());
            painter.drawLine(QPointF(origin.x(), middle), QPointF(origin.x() + kIcon, middle));
        }
        const QCPScatterStyle style = graph.scatterStyle();
        if (!style.isNone()) {
            style.applyTo(&painter, graph.pen());
            style.drawShape(&painter, QPointF(origin.x() + kIcon / 2, middle));
        }
    }
    bool m_shown = true;
};

} // namespace

PlotArea plotArea(QCustomPlot *plot)
{
    QCPAxis *x = plot->xAxis, *y = plot->yAxis;
    return {QRectF(plot->axisRect()->rect()), [x](double v) { return x->coordToPixel(v); },
            [y](double v) { return y->coordToPixel(v); }};
}

QCPLayer *addBufferedLayer(QCustomPlot *plot, const QString &name, const QString &below)
{
    plot->addLayer(name, plot->layer(below.isEmpty() ? QStringLiteral("main") : below), QCustomPlot::limAbove);
    QCPLayer *layer = plot->layer(name);
    layer->setMode(QCPLayer::lmBuffered);
    return layer;
}

void replotLayer(QCPLayer *layer)
{
    // Before the first layout there is nothing to paint over; the first replot draws all layers.
    if (layer->parentPlot()->axisRect()->width() > 0)
        layer->replot();
}

void addPainting(QCustomPlot *plot, const QString &layer, std::function<void(QPainter &, const PlotArea &)> paint)
{
    new Painting(plot, layer, std::move(paint));   // the plot owns its layerables
}

void setGraphPoints(QCPGraph *graph, const PlotPoints &points)
{
    graph->setData(QVector<double>(points.x.begin(), points.x.end()), QVector<double>(points.y.begin(), points.y.end()),
                   true);
}

void setLinearTicks(QCPAxis *axis, std::function<QString(double)> label, double pixelsPerTick)
{
    axis->setScaleType(QCPAxis::stLinear);
    axis->setTicker(QSharedPointer<QCPAxisTicker>(new Ticker(axis, std::move(label), pixelsPerTick)));
    axis->grid()->setSubGridVisible(false);
}

void setLogTicks(QCPAxis *axis, std::function<QString(double)> label)
{
    axis->setScaleType(QCPAxis::stLogarithmic);
    axis->setTicker(QSharedPointer<QCPAxisTicker>(new LogTicker(axis, std::move(label))));
    axis->grid()->setSubGridVisible(false);
}

void applyColors(QCustomPlot *plot, const PlotColors &colors, const QFont &font)
{
    QFont small = font;
    if (small.pointSizeF() > 0)
        small.setPointSizeF(std::max(small.pointSizeF() * 0.9, 7.5));
    plot->setBackground(QBrush(colors.background));
    for (QCPAxis *axis : {plot->xAxis, plot->yAxis, plot->xAxis2, plot->yAxis2}) {
        const QPen line(colors.axis, 1);
        axis->setBasePen(line);
        axis->setTickPen(line);
        axis->setSubTickPen(line);
        axis->setTickLabelColor(colors.mutedText);
        axis->setLabelColor(colors.mutedText);
        axis->setTickLabelFont(small);
        axis->setLabelFont(small);
        axis->setTickLength(0, 4);
        axis->setSubTickLength(0, 2);
        axis->setLabelPadding(3);
        axis->grid()->setPen(QPen(colors.gridLine, 1));
        axis->grid()->setZeroLinePen(QPen(colors.gridLine, 1));
        axis->grid()->setAntialiased(false);
    }
    plot->legend->setFont(small);
    plot->legend->setTextColor(colors.text);
}

void setLegendAbove(QCustomPlot *plot, bool shown)
{
    if (plot->plotLayout()->rowCount() < 2) {
        plot->plotLayout()->insertRow(0);
        plot->plotLayout()->addElement(0, 0, new LegendRow(plot));
        plot->plotLayout()->setRowStretchFactor(0, 0.001);
        plot->plotLayout()->setRowSpacing(0);
    }
    static_cast<LegendRow *>(plot->plotLayout()->element(0, 0))->setShown(shown);
}

QString tickCount(double count)
{
    const QLocale locale;
    for (const auto &[unit, suffix] : {std::pair{1e9, u'G'}, {1e6, u'M'}, {1e3, u'k'}})
        if (std::abs(count) >= unit)
            return locale.toString(count / unit, 'g', 3) + suffix;
    return locale.toString(count, 'g', 3);
}

QString tickValue(double value)
{
    return QLocale().toString(value, 'g', 4);
}

} // namespace bitwright
