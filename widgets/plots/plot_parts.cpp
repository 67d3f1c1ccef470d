// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/plot_parts.h"

#include <qcustomplot.h>

#include <cmath>

namespace bitwright {

namespace {

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
        const auto ticks = niceTicks({range.lower, range.upper}, std::max(2, int(length / m_pixelsPerTick)));
        m_step = ticks.size() > 1 ? ticks[1] - ticks[0] : range.size();
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

class LogTicker : public QCPAxisTickerLog {
public:
    explicit LogTicker(std::function<QString(double)> label) : m_label(std::move(label)) {}

protected:
    QString getTickLabel(double tick, const QLocale &, QChar, int) override
    {
        return m_label ? m_label(tick) : bitwright::tickCount(tick);
    }

private:
    std::function<QString(double)> m_label;
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
    auto ticker = QSharedPointer<LogTicker>::create(std::move(label));
    ticker->setLogBase(10);
    axis->setTicker(ticker);
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
    plot->legend->setBrush(Qt::NoBrush);
    plot->legend->setBorderPen(Qt::NoPen);
    plot->legend->setIconSize(22, 12);
}

void setLegendAbove(QCustomPlot *plot, bool shown)
{
    if (plot->plotLayout()->rowCount() < 2) {
        plot->plotLayout()->insertRow(0);
        // A free cell on the right keeps the entries together on the left.
        auto *row = new QCPLayoutGrid;
        plot->plotLayout()->addElement(0, 0, row);
        row->addElement(0, 0, plot->legend);
        row->addElement(0, 1, new QCPLayoutElement(plot));
        row->setColumnStretchFactor(0, 0.001);
        plot->plotLayout()->setRowStretchFactor(0, 0.001);
        plot->plotLayout()->setRowSpacing(0);
        plot->legend->setFillOrder(QCPLegend::foColumnsFirst);
        plot->legend->setMargins(QMargins(4, 3, 4, 0));
        plot->legend->setColumnSpacing(14);
    }
    plot->legend->setVisible(shown);
    plot->legend->setMaximumSize(QWIDGETSIZE_MAX, shown ? QWIDGETSIZE_MAX : 0);
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
