// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/histogram_plot.h"

#include "plots/plot_parts.h"
#include "util/format.h"

#include <qcustomplot.h>

#include <QMenu>
#include <QToolTip>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bitwright {

HistogramPlot::HistogramPlot(const QString &title, QWidget *parent) : PlotFrame(title, parent)
{
    m_original = plot()->addGraph();
    m_original->setName(tr("before"));
    m_original->setAntialiased(false);
    m_resultLayer = addBufferedLayer(plot(), QStringLiteral("quantized"));
    m_levelLayer = addBufferedLayer(plot(), QStringLiteral("levels"), QStringLiteral("quantized"));
    m_result = plot()->addGraph();
    m_result->setName(tr("after quantization"));
    m_result->setLayer(m_resultLayer);
    m_result->setAntialiased(false);
    addPainting(plot(), QStringLiteral("levels"), [this](QPainter &painter, const PlotArea &area) {
        m_overlay.paint(painter, area, xRange(), colors());
        if (!m_message.isEmpty()) {
            painter.setPen(colors().mutedText);
            painter.drawText(area.rect.adjusted(12, 12, -12, -12), Qt::AlignCenter | Qt::TextWordWrap, m_message);
        }
    });
    plot()->yAxis->setLabel(tr("count"));
    plot()->yAxis->setTickLabelPadding(3);
    setLogarithmic(false);
    setLegendAbove(plot(), true);
    applyPalette();
    showMessage(tr("Nothing selected"));
}

HistogramPlot::~HistogramPlot() = default;

void HistogramPlot::setHistogram(const Histogram &histogram, bool keepView)
{
    m_message.clear();
    // Nothing was drawn before, so there is no view that anybody chose.
    keepView = keepView && !m_histogram.counts.empty();
    m_histogram = histogram;
    if (!keepView) {
        // What belonged to the last tensor does not count for this one's view; its grid will, when it comes.
        m_overlay.clear();
        m_quantized = {};
        redrawQuantized();
        resetView();
        m_awaitsGrid = true;
    }
    redrawOriginal();
    scaleCounts();
    describe();
    requestReplot();
}

void HistogramPlot::setGrid(const QuantGrid &grid, std::size_t group, const Histogram &quantized, bool provisional)
{
    m_overlay.setGrid(grid, group);
    m_overlay.setProvisional(provisional);
    m_quantized = quantized;
    redrawQuantized();
    if (m_awaitsGrid && !m_overlay.empty()) {
        m_awaitsGrid = false;
        resetView();
    }
    describe();
    const double before = plot()->yAxis->range().upper;
    scaleCounts();
    if (plot()->yAxis->range().upper != before) {
        requestReplot();
        return;
    }
    replotLayer(m_resultLayer);
    replotLayer(m_levelLayer);
}

void HistogramPlot::clearGrid()
{
    setGrid({}, 0, {}, false);
}

void HistogramPlot::showMessage(const QString &message)
{
    m_histogram = {};
    m_quantized = {};
    m_overlay.clear();
    m_message = message;
    redrawOriginal();
    redrawQuantized();
    describe();
    requestReplot();
}

void HistogramPlot::setLogarithmic(bool logarithmic)
{
    m_logarithmic = logarithmic;
    if (logarithmic)
        setLogTicks(plot()->yAxis);
    else
        setLinearTicks(plot()->yAxis, tickCount, 42);
    redrawOriginal();
    redrawQuantized();
    scaleCounts();
    requestReplot();
}

void HistogramPlot::setHandles(bool low, bool high)
{
    m_overlay.setHandles(low, high);
    replotLayer(m_levelLayer);
}

void HistogramPlot::setFreeLevels(bool free)
{
    m_overlay.setFree(free);
    replotLayer(m_levelLayer);
}

void HistogramPlot::setMixed(bool mixed)
{
    m_mixed = mixed;
}

void HistogramPlot::setLegendShown(bool shown)
{
    setLegendAbove(plot(), shown);
    requestReplot();
}

void HistogramPlot::setAxisTitle(const QString &title)
{
    plot()->xAxis->setLabel(title);
    requestReplot();
}

void HistogramPlot::setSeriesColor(int series)
{
    m_series = series;
    recolor();
    requestReplot();
}

void HistogramPlot::resetView()
{
    PlotRange range = dataRange(m_histogram);
    if (!m_overlay.empty()) {
        const PlotRange ends = m_overlay.clip();
        // A grid far wider than the data is not followed all the way: the data would be a needle.
        const double most = 1.5 * range.size();
        range.lower = std::min(range.lower, std::max(ends.lower - 0.03 * ends.size(), range.lower - most));
        range.upper = std::max(range.upper, std::min(ends.upper + 0.03 * ends.size(), range.upper + most));
    }
    setXRange(range);
    scaleCounts();
}

void HistogramPlot::zoomToClip()
{
    const PlotRange ends = m_overlay.clip();
    if (ends.size() > 0)
        setXRange(paddedRange(ends.lower, ends.upper, 0.06));
}

void HistogramPlot::scaleCounts()
{
    const double ceiling = countCeiling(m_histogram, m_logarithmic);
    // The quantized outline may stand higher, where levels crowd; it must not flatten what it is compared with. In two
    // steps, so that a drag does not draw the bars anew each frame.
    const double wanted = m_logarithmic ? 1 : m_resultTop * 1.05 / ceiling;
    plot()->yAxis->setRange(m_logarithmic ? kLogFloor : 0.0, ceiling * (wanted <= 1 ? 1 : wanted <= 1.25 ? 1.25 : 1.5));
}

void HistogramPlot::redrawOriginal()
{
    const auto columns = std::size_t(std::max(plotRect().width(), 64.0));
    setGraphPoints(m_original, stepOutline(m_histogram, xRange(), columns, m_logarithmic));
}

void HistogramPlot::redrawQuantized()
{
    PlotPoints points;
    const QuantGrid &grid = m_overlay.grid();
    if (grid.groups.size() > 1 && m_mixed && !m_quantized.counts.empty()) {
        const auto levels = grid.levelCount(m_overlay.group());
        points = smoothedOutline(m_quantized, m_overlay.clip().size() / double(std::max<std::size_t>(levels, 2) - 1),
                                 m_logarithmic);
    } else if (!grid.empty()) {
        points = quantizedOutline(m_histogram, grid, m_overlay.group(), m_logarithmic);
    }
    m_resultTop = points.y.empty() ? 0 : *std::ranges::max_element(points.y);
    setGraphPoints(m_result, points);
}

void HistogramPlot::recolor()
{
    const QColor before = colors().series(m_series);
    m_original->setPen(QPen(before, 1));
    m_original->setBrush(withAlpha(before, colors().dark ? 90 : 80));
    m_result->setPen(QPen(colors().quantized, 1.4, Qt::SolidLine));
    m_result->setBrush(Qt::NoBrush);
}

void HistogramPlot::viewMoved()
{
    redrawOriginal();
}

void HistogramPlot::resizeEvent(QResizeEvent *event)
{
    PlotFrame::resizeEvent(event);
    redrawOriginal();
}

void HistogramPlot::addActions(QMenu &menu)
{
    auto *log = menu.addAction(tr("&Logarithmic counts"));
    log->setCheckable(true);
    log->setChecked(m_logarithmic);
    connect(log, &QAction::toggled, this, &HistogramPlot::logarithmicToggled);
    auto *zoom = menu.addAction(tr("&Zoom to clip range"), this, &HistogramPlot::zoomToClip);
    zoom->setEnabled(!m_overlay.empty());
}

bool HistogramPlot::pressed(QPointF position)
{
    m_dragged = m_overlay.handleAt(position, plotArea(plot()));
    m_draggedLevel = m_dragged ? std::nullopt : m_overlay.levelAt(position, plotArea(plot()));
    return m_dragged || m_draggedLevel;
}

void HistogramPlot::dragged(QPointF position)
{
    const double at = plot()->xAxis->pixelToCoord(position.x());
    if (m_dragged)
        emit clipDragged(*m_dragged, at, false);
    else if (m_draggedLevel)
        emit levelDragged(*m_draggedLevel, at, false);
}

void HistogramPlot::released(QPointF position)
{
    if (const auto level = std::exchange(m_draggedLevel, std::nullopt))
        emit levelDragged(*level, plot()->xAxis->pixelToCoord(position.x()), true);
    if (!m_dragged)
        return;
    const ClipSide side = *m_dragged;
    m_dragged.reset();
    emit clipDragged(side, plot()->xAxis->pixelToCoord(position.x()), true);
}

void HistogramPlot::hovered(QPointF position)
{
    const auto side = m_overlay.handleAt(position, plotArea(plot()));
    setHot(side, side ? std::nullopt : m_overlay.levelAt(position, plotArea(plot())));
    tellBin(position);
}

void HistogramPlot::left()
{
    setHot(std::nullopt);
}

void HistogramPlot::setHot(std::optional<ClipSide> side, std::optional<std::size_t> level)
{
    if (side == m_overlay.hot() && level == m_overlay.hotLevel())
        return;
    m_overlay.setHot(side);
    m_overlay.setHotLevel(level);
    canvas()->setCursor(side || level ? Qt::SizeHorCursor : Qt::ArrowCursor);
    replotLayer(m_levelLayer);
}

void HistogramPlot::tellBin(QPointF position)
{
    const double x = plot()->xAxis->pixelToCoord(position.x());
    if (m_histogram.counts.empty() || x < m_histogram.lo || x > m_histogram.hi || !plotRect().contains(position)) {
        canvas()->setToolTip({});
        return;
    }
    const auto bin = std::min(std::size_t((x - m_histogram.lo) / m_histogram.binWidth()), m_histogram.counts.size() - 1);
    QString text = tr("%1 to %2: %L3 values")
                       .arg(formatReal(m_histogram.edge(bin)), formatReal(m_histogram.edge(bin + 1)))
                       .arg(qulonglong(m_histogram.counts[bin]));
    if (!m_overlay.empty())
        text += u'\n' + tr("%1 becomes %2").arg(formatReal(x),
                                                formatReal(m_overlay.grid().quantize(m_overlay.group(), x)));
    canvas()->setToolTip(text);
}

void HistogramPlot::describe()
{
    if (m_histogram.counts.empty()) {
        setSummary(m_message);
        return;
    }
    QString text = tr("%L1 values between %2 and %3")
                       .arg(qulonglong(m_histogram.total()))
                       .arg(formatReal(m_histogram.lo), formatReal(m_histogram.hi));
    if (!m_overlay.empty()) {
        const PlotRange ends = m_overlay.clip();
        text += tr("; %L1 levels from %2 to %3").arg(qulonglong(m_overlay.grid().levelCount(m_overlay.group())))
                    .arg(formatReal(ends.lower), formatReal(ends.upper));
    }
    setSummary(text);
}

PlotTable HistogramPlot::table() const
{
    PlotTable result{{tr("from"), tr("to"), tr("count"), tr("count after quantization")}, {}};
    for (std::size_t i = 0; i < m_histogram.counts.size(); ++i) {
        std::vector<QVariant> row{m_histogram.edge(i), m_histogram.edge(i + 1), qulonglong(m_histogram.counts[i])};
        row.push_back(i < m_quantized.counts.size() ? QVariant(qulonglong(m_quantized.counts[i])) : QVariant());
        result.rows.push_back(std::move(row));
    }
    return result;
}

} // namespace bitwright
