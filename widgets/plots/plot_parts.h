// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/plot_colors.h"
#include "plots/plot_data.h"

#include <QPointF>
#include <QRectF>
#include <QString>

#include <functional>

class QCPAxis;
class QCPGraph;
class QCPLayer;
class QCustomPlot;
class QFont;
class QPainter;

namespace bitwright {

/// The few QCustomPlot things that every plot of ours needs, under names of our own. QCustomPlot's types are only
/// declared here, so that whoever includes a plot's header does not compile it.

/// Where the axes are in pixels of the canvas, and how values map to them.
struct PlotArea {
    QRectF rect;
    std::function<double(double)> x, y;
    [[nodiscard]] QPointF at(double valueX, double valueY) const { return {x(valueX), y(valueY)}; }
};
PlotArea plotArea(QCustomPlot *plot);

/// A layer with a buffer of its own: it is repainted without the layers below it. Above `below`, or "main".
QCPLayer *addBufferedLayer(QCustomPlot *plot, const QString &name, const QString &below = {});
/// Repaints this layer in the coming frame, without waiting for a replot of everything.
void replotLayer(QCPLayer *layer);
/// Calls `paint` whenever the layer is drawn, clipped to the axes; also into saved pictures.
void addPainting(QCustomPlot *plot, const QString &layer, std::function<void(QPainter &, const PlotArea &)> paint);

void setGraphPoints(QCPGraph *graph, const PlotPoints &points);
/// Round ticks, labelled by `label`, about `pixelsPerTick` apart.
void setLinearTicks(QCPAxis *axis, std::function<QString(double)> label = {}, double pixelsPerTick = 58);
void setLogTicks(QCPAxis *axis, std::function<QString(double)> label = {});
/// Axes, grid, background and legend in these colours and this font.
void applyColors(QCustomPlot *plot, const PlotColors &colors, const QFont &font);
/// The legend above the axes, where it covers no data, in as many rows as it needs.
void setLegendAbove(QCustomPlot *plot, bool shown);

/// "12 000", "1.5 M": short enough for a tick.
QString tickCount(double count);
/// A value with as many digits as ticks need, without trailing zeros.
QString tickValue(double value);

} // namespace bitwright
