// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/curve_plot.h"

#include "plots/plot_parts.h"

#include <qcustomplot.h>

#include <cmath>
#include <limits>

namespace bitwright {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

QCPScatterStyle markerOf(int look, const QColor &color, const QColor &background)
{
    constexpr std::array shapes = {QCPScatterStyle::ssDisc, QCPScatterStyle::ssSquare, QCPScatterStyle::ssTriangle,
                                   QCPScatterStyle::ssDiamond, QCPScatterStyle::ssTriangleInverted};
    const auto shape = shapes[std::size_t(look) % shapes.size()];
    return QCPScatterStyle(shape, QPen(color, 1.2), QBrush(shape == QCPScatterStyle::ssDisc ? color : background), 6);
}

} // namespace

CurvePlot::CurvePlot(const QString &title, QWidget *parent) : PlotFrame(title, parent), m_axes(3, {{}, {}, kNaN, kNaN})
{
    m_markerLayer = addBufferedLayer(plot(), QStringLiteral("marker"));
    addPainting(plot(), QStringLiteral("marker"), [this](QPainter &painter, const PlotArea &) { paintMarker(painter); });
    plot()->axisRect()->setRangeDragAxes(plot()->xAxis, plot()->yAxis);
    connect(this, &PlotFrame::viewChanged, this, [this] { m_following = false; });
    applyPalette();
    fit();
}

CurvePlot::~CurvePlot() = default;

void CurvePlot::setAxisTitles(const QString &x, const QString &left, const QString &right)
{
    axis(Axis::X).title = x;
    axis(Axis::Left).title = left;
    axis(Axis::Right).title = right;
    plot()->xAxis->setLabel(x);
    plot()->yAxis->setLabel(left);
    plot()->yAxis2->setLabel(right);
    plot()->yAxis2->setVisible(!right.isEmpty());
    requestReplot();
}

void CurvePlot::setAxisFormat(Axis which, std::function<QString(double)> format)
{
    axis(which).format = format;
    QCPAxis *axes[] = {plot()->xAxis, plot()->yAxis, plot()->yAxis2};
    setLinearTicks(axes[std::size_t(which)], std::move(format), which == Axis::X ? 58 : 42);
    requestReplot();
}

void CurvePlot::setIntegerX(bool integer)
{
    setLinearTicks(plot()->xAxis,
                   integer ? [](double x) { return std::abs(x - std::round(x)) < 1e-6 ? QString::number(std::lround(x)) : QString(); }
                           : std::function<QString(double)>(),
                   integer ? 26 : 58);
}

void CurvePlot::setLegendShown(bool shown)
{
    setLegendAbove(plot(), shown);
    requestReplot();
}

int CurvePlot::addSeries(const QString &name, SeriesStyle style)
{
    QCPGraph *graph = plot()->addGraph(plot()->xAxis, style.rightAxis ? plot()->yAxis2 : plot()->yAxis);
    graph->setName(name);
    if (!style.legend)
        graph->removeFromLegend();
    m_series.push_back({name, style, {}, graph});
    recolor();
    return int(m_series.size()) - 1;
}

void CurvePlot::setData(int series, PlotPoints points)
{
    m_series[std::size_t(series)].points = std::move(points);
    refresh();
}

void CurvePlot::append(int series, double x, double y)
{
    auto &points = m_series[std::size_t(series)].points;
    points.x.push_back(x);
    points.y.push_back(y);
    refresh();
}

void CurvePlot::clearData()
{
    for (auto &series : m_series)
        series.points = {};
    m_following = true;
    refresh();
}

void CurvePlot::setMarker(std::optional<double> x)
{
    m_marker = x;
    describe();
    replotLayer(m_markerLayer);
}

void CurvePlot::setLimits(Axis which, double lower, double upper)
{
    axis(which).lower = lower;
    axis(which).upper = upper;
    refresh();
}

void CurvePlot::setEmptyMessage(const QString &message)
{
    m_emptyMessage = message;
    requestReplot();
}

void CurvePlot::resetView()
{
    m_following = true;
    refresh();
}

void CurvePlot::refresh()
{
    const auto columns = std::size_t(std::max(plotRect().width(), 100.0));
    for (auto &series : m_series)
        setGraphPoints(series.graph, decimate(series.points, columns));
    if (m_following)
        fit();
    describe();
    requestReplot();
}

void CurvePlot::fit()
{
    constexpr double inf = std::numeric_limits<double>::infinity();
    PlotRange ranges[3] = {{inf, -inf}, {inf, -inf}, {inf, -inf}};
    const auto take = [](PlotRange &range, double value) {
        if (!std::isfinite(value))
            return;
        range.lower = std::min(range.lower, value);
        range.upper = std::max(range.upper, value);
    };
    for (const auto &series : m_series)
        for (std::size_t i = 0; i < series.points.size(); ++i) {
            take(ranges[0], series.points.x[i]);
            take(ranges[series.style.rightAxis ? 2 : 1], series.points.y[i]);
        }
    QCPAxis *axes[] = {plot()->xAxis, plot()->yAxis, plot()->yAxis2};
    for (std::size_t i = 0; i < 3; ++i) {
        PlotRange range = ranges[i].lower <= ranges[i].upper ? paddedRange(ranges[i].lower, ranges[i].upper, i ? 0.07 : 0.03)
                                                             : PlotRange{0, 1};
        if (std::isfinite(m_axes[i].lower))
            range.lower = m_axes[i].lower;
        if (std::isfinite(m_axes[i].upper))
            range.upper = m_axes[i].upper;
        axes[i]->setRange(range.lower, range.upper);
    }
}

void CurvePlot::recolor()
{
    for (auto &series : m_series) {
        const SeriesStyle &style = series.style;
        QColor color = colors().series(style.look);
        if (style.faint)
            color.setAlpha(90);
        series.graph->setPen(QPen(color, style.faint ? 1 : style.width, style.faint ? Qt::SolidLine : dashOf(style.look)));
        series.graph->setLineStyle(style.line ? QCPGraph::lsLine : QCPGraph::lsNone);
        series.graph->setScatterStyle(style.markers ? markerOf(style.look, color, colors().background)
                                                    : QCPScatterStyle(QCPScatterStyle::ssNone));
    }
}

void CurvePlot::viewMoved()
{
    requestReplot();
}

QString CurvePlot::format(Axis which, double value) const
{
    return axis(which).format ? axis(which).format(value) : tickValue(value);
}

void CurvePlot::hovered(QPointF position)
{
    QString text;
    if (plotRect().contains(position)) {
        const double x = plot()->xAxis->pixelToCoord(position.x());
        double shownX = kNaN;
        QStringList lines;
        for (const auto &series : m_series) {
            if (series.points.x.empty() || series.style.faint)
                continue;
            auto at = std::ranges::lower_bound(series.points.x, x);
            if (at != series.points.x.begin() && (at == series.points.x.end() || x - *(at - 1) < *at - x))
                --at;
            const auto index = std::size_t(at - series.points.x.begin());
            shownX = *at;
            lines << series.name + QStringLiteral(": ")
                         + format(series.style.rightAxis ? Axis::Right : Axis::Left, series.points.y[index]);
        }
        if (!lines.isEmpty())
            text = axis(Axis::X).title + u' ' + QLocale().toString(shownX, 'g', 6) + u'\n' + lines.join(u'\n');
    }
    canvas()->setToolTip(text);
}

void CurvePlot::clicked(QPointF position)
{
    if (plotRect().contains(position))
        emit xActivated(plot()->xAxis->pixelToCoord(position.x()));
}

void CurvePlot::paintMarker(QPainter &painter) const
{
    const QRectF rect = plotRect();
    const bool empty = std::ranges::all_of(m_series, [](const Series &s) { return s.points.x.empty(); });
    if (empty && !m_emptyMessage.isEmpty()) {
        painter.setPen(colors().mutedText);
        painter.drawText(rect.adjusted(6, 6, -6, -6), Qt::AlignCenter | Qt::TextWordWrap, m_emptyMessage);
        return;
    }
    if (!m_marker)
        return;
    const double x = std::floor(plot()->xAxis->coordToPixel(*m_marker)) + 0.5;
    painter.setPen(QPen(colors().present, 1, Qt::DashLine));
    painter.drawLine(QLineF(x, rect.top(), x, rect.bottom()));
    painter.setRenderHint(QPainter::Antialiasing, true);
    painter.setPen(QPen(colors().present, 2));
    painter.setBrush(colors().background);
    for (const auto &series : m_series) {
        const auto at = std::ranges::find_if(series.points.x, [&](double v) { return std::abs(v - *m_marker) < 1e-9; });
        if (at == series.points.x.end())
            continue;
        const double y = series.points.y[std::size_t(at - series.points.x.begin())];
        const QCPAxis *value = series.style.rightAxis ? plot()->yAxis2 : plot()->yAxis;
        painter.drawEllipse(QPointF(x, value->coordToPixel(y)), 4.5, 4.5);
    }
}

void CurvePlot::describe()
{
    QStringList parts;
    for (const auto &series : m_series) {
        if (series.points.x.empty())
            continue;
        const auto [low, high] = std::ranges::minmax(series.points.y);
        const Axis value = series.style.rightAxis ? Axis::Right : Axis::Left;
        parts << tr("%1: %n point(s), from %2 to %3, last %4", nullptr, int(series.points.size()))
                     .arg(series.name, format(value, low), format(value, high), format(value, series.points.y.back()));
    }
    if (m_marker)
        parts << tr("present: %1").arg(*m_marker);
    setSummary(parts.isEmpty() ? (m_emptyMessage.isEmpty() ? tr("no data yet") : m_emptyMessage)
                               : parts.join(QStringLiteral("; ")));
}

PlotTable CurvePlot::table() const
{
    PlotTable result{{tr("series"), axis(Axis::X).title, tr("value")}, {}};
    for (const auto &series : m_series)
        for (std::size_t i = 0; i < series.points.size(); ++i)
            result.rows.push_back({series.name, series.points.x[i], series.points.y[i]});
    return result;
}

} // namespace bitwright
