// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/threshold_plot.h"

#include "plots/plot_colors.h"
#include "util/format.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QPainterPath>

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

constexpr int kBins = 200;
constexpr double kAxis = 17, kEdge = 6, kTop = 10;
constexpr double kKeySteps = 200, kPageSteps = 20;

/// 1, 2 or 5 times a power of ten, about `count` of them up to `top`.
double roundStep(double top, double count)
{
    const double rough = top / std::max(1.0, count), power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (factor * power >= rough)
            return factor * power;
    return 10 * power;
}

} // namespace

ThresholdPlot::ThresholdPlot(QWidget *parent) : QWidget(parent)
{
    setAccessibleName(tr("Magnitudes and threshold"));
    setToolTip(tr("How many weights have which magnitude. Drag the handle: what is left of it is pruned. Arrow keys move it, a double click takes it away."));
    setFocusPolicy(Qt::StrongFocus);
    setMinimumSize(160, 64);
}

QRectF ThresholdPlot::area() const
{
    return QRectF(rect()).adjusted(kEdge, kTop, -kEdge, -kAxis);
}

void ThresholdPlot::setValues(std::span<const float> values)
{
    float top = 0;
    for (const float value : values)
        if (std::isfinite(value))
            top = std::max(top, std::abs(value));
    m_top = top;
    m_counts.assign(kBins, 0);
    const float factor = top > 0 ? float(kBins) / top : 0;
    for (const float value : values)
        if (std::isfinite(value))
            ++m_counts[std::size_t(std::min(kBins - 1, int(std::abs(value) * factor)))];
    m_keptBars = {};
    update();
}

void ThresholdPlot::clear()
{
    m_counts.clear();
    m_top = m_threshold = 0;
    setAccessibleDescription({});
    update();
}

void ThresholdPlot::setThreshold(double threshold)
{
    m_threshold = threshold;
    setAccessibleDescription(tr("threshold %1, largest magnitude %2").arg(formatReal(threshold), formatReal(m_top)));
    update();
}

void ThresholdPlot::setLogarithmic(bool logarithmic)
{
    m_logarithmic = logarithmic;
    m_keptBars = {};
    update();
}

double ThresholdPlot::pixelOf(double magnitude) const
{
    return area().left() + (m_top > 0 ? magnitude / m_top : 0) * area().width();
}

double ThresholdPlot::magnitudeAt(double pixel) const
{
    return std::clamp((pixel - area().left()) / area().width(), 0.0, 1.0) * m_top;
}

void ThresholdPlot::paintEvent(QPaintEvent *)
{
    QPainter painter(this);
    const PlotColors colours = plotColors(palette());
    const QRectF space = area();
    painter.fillRect(QRectF(rect()).adjusted(0, 0, 0, -kAxis + 1), colours.background);
    if (m_counts.empty() || m_top <= 0)
        return;
    if (m_keptBars.isNull())
        drawBars();
    const double cut = pixelOf(m_threshold);
    painter.save();
    painter.setClipRect(QRectF(cut, 0, width() - cut, height()));
    painter.drawPixmap(0, 0, m_keptBars);
    painter.setClipRect(QRectF(0, 0, cut, height()));
    painter.drawPixmap(0, 0, m_prunedBars);
    painter.restore();
    painter.setPen(QPen(colours.axis, 1));
    painter.drawLine(space.bottomLeft(), space.bottomRight());

    QFont small = font();
    small.setPointSizeF(std::max(7.0, small.pointSizeF() * 0.85));
    painter.setFont(small);
    painter.setPen(colours.mutedText);
    const double step = roundStep(m_top, space.width() / 70);
    for (double at = 0; at <= m_top * 1.0001; at += step) {
        const double x = pixelOf(at);
        const QString text = formatReal(at, 3);
        const double half = painter.fontMetrics().horizontalAdvance(text) / 2.0;
        const double left = std::clamp(x - half, 1.0, std::max(1.0, width() - 2 * half - 1));
        painter.drawText(QRectF(left, space.bottom() + 1, 2 * half + 2, kAxis - 1), Qt::AlignCenter, text);
    }
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setPen(QPen(colours.handle, hasFocus() ? 2.2 : 1.6));
    painter.drawLine(QPointF(cut, kTop - 4), QPointF(cut, space.bottom()));
    painter.setBrush(hasFocus() ? palette().color(QPalette::Highlight) : colours.handle);
    painter.drawPolygon(QPolygonF({QPointF(cut - 5.5, 1), QPointF(cut + 5.5, 1), QPointF(cut, kTop)}));
}

void ThresholdPlot::drawBars()
{
    const PlotColors colours = plotColors(palette());
    const QRectF space = area();
    const auto tall = [&](std::int64_t count) { return m_logarithmic ? std::log10(1.0 + double(count)) : double(count); };
    const double most = tall(*std::ranges::max_element(m_counts));
    QPainterPath path(space.bottomLeft());
    for (std::size_t i = 0; i < m_counts.size(); ++i) {
        const double y = space.bottom() - (most > 0 ? tall(m_counts[i]) / most : 0) * space.height();
        path.lineTo(space.left() + double(i) / kBins * space.width(), y);
        path.lineTo(space.left() + double(i + 1) / kBins * space.width(), y);
    }
    path.lineTo(space.bottomRight());
    path.closeSubpath();
    for (QPixmap *bars : {&m_keptBars, &m_prunedBars}) {
        *bars = QPixmap(size() * devicePixelRatioF());
        bars->setDevicePixelRatio(devicePixelRatioF());
        bars->fill(Qt::transparent);
    }
    QPainter(&m_keptBars).fillPath(path, colours.original);
    QPainter pruned(&m_prunedBars);
    pruned.fillPath(path, withAlpha(colours.mutedText, 60));
    pruned.fillPath(path, QBrush(colours.mutedText, Qt::BDiagPattern));   // pruned is hatched, as in the picture
}

void ThresholdPlot::resizeEvent(QResizeEvent *event)
{
    m_keptBars = {};
    QWidget::resizeEvent(event);
}

void ThresholdPlot::changeEvent(QEvent *event)
{
    if (event->type() == QEvent::PaletteChange) {
        m_keptBars = {};
        update();
    }
    QWidget::changeEvent(event);
}

void ThresholdPlot::drag(double pixel, bool finished)
{
    setThreshold(magnitudeAt(pixel));
    emit thresholdDragged(m_threshold, finished);
}

void ThresholdPlot::mousePressEvent(QMouseEvent *event)
{
    if (event->button() != Qt::LeftButton || m_top <= 0)
        return;
    m_dragging = true;
    drag(event->position().x(), false);
}

void ThresholdPlot::mouseMoveEvent(QMouseEvent *event)
{
    setCursor(m_top > 0 ? Qt::SizeHorCursor : Qt::ArrowCursor);
    if (m_dragging)
        drag(event->position().x(), false);
}

void ThresholdPlot::mouseReleaseEvent(QMouseEvent *event)
{
    if (std::exchange(m_dragging, false))
        drag(event->position().x(), true);
}

void ThresholdPlot::mouseDoubleClickEvent(QMouseEvent *)
{
    if (m_top <= 0)
        return;
    setThreshold(0);
    emit thresholdDragged(0, true);
}

void ThresholdPlot::keyPressEvent(QKeyEvent *event)
{
    double steps = 0;
    switch (event->key()) {
    case Qt::Key_Left: steps = -1; break;
    case Qt::Key_Right: steps = 1; break;
    case Qt::Key_PageDown: steps = -kPageSteps; break;
    case Qt::Key_PageUp: steps = kPageSteps; break;
    case Qt::Key_Home: steps = -kKeySteps; break;
    case Qt::Key_End: steps = kKeySteps; break;
    default: QWidget::keyPressEvent(event); return;
    }
    if (m_top <= 0)
        return;
    setThreshold(std::clamp(m_threshold + steps * m_top / kKeySteps, 0.0, m_top));
    emit thresholdDragged(m_threshold, true);
}

} // namespace bitwright
