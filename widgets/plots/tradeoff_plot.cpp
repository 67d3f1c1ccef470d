// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/tradeoff_plot.h"

#include "plots/plot_parts.h"
#include "trial/pareto.h"
#include "util/format.h"

#include <qcustomplot.h>

#include <QToolTip>

#include <cmath>
#include <limits>

namespace bitwright {

namespace {

constexpr double kHoverReach = 11;
constexpr int kPulseMs = 60, kPulseSteps = 24;

} // namespace

TradeoffPlot::TradeoffPlot(const QString &title, QWidget *parent) : PlotFrame(title, parent)
{
    m_metric = tr("accuracy");
    const QString names[] = {tr("measured"), tr("fine-tuned"), tr("sweep"), tr("predicted")};
    addPainting(plot(), QStringLiteral("main"), [this](QPainter &painter, const PlotArea &) { paintIntervals(painter); });
    m_frontGraph = plot()->addGraph();
    m_frontGraph->setName(tr("best so far"));
    m_frontGraph->setLineStyle(QCPGraph::lsStepLeft);
    for (std::size_t i = 0; i < m_graphs.size(); ++i) {
        m_graphs[i] = plot()->addGraph();
        m_graphs[i]->setName(names[i]);
        m_graphs[i]->setLineStyle(QCPGraph::lsNone);
    }
    m_referenceGraph = plot()->addGraph();
    m_referenceGraph->setName(tr("float"));
    m_referenceGraph->setLineStyle(QCPGraph::lsNone);
    m_markLayer = addBufferedLayer(plot(), QStringLiteral("marks"));
    addPainting(plot(), QStringLiteral("marks"), [this](QPainter &painter, const PlotArea &) { paintMarks(painter); });
    setZoomAxes(true, true);
    setLegendAbove(plot(), true);
    m_pulse.setInterval(kPulseMs);
    connect(&m_pulse, &QTimer::timeout, this, [this] {
        m_phase = (m_phase + 1) % kPulseSteps;
        replotLayer(m_markLayer);
    });
    connect(this, &PlotFrame::viewChanged, this, [this] { m_following = false; });
    applyPalette();
    setCostAxis(CostAxis::Size);
    setMetric(m_metric, true);
}

TradeoffPlot::~TradeoffPlot() = default;

void TradeoffPlot::setPoints(std::vector<TradeoffPoint> points)
{
    m_points = std::move(points);
    m_hot.reset();
    refresh();
}

void TradeoffPlot::addPoint(const TradeoffPoint &point)
{
    m_points.push_back(point);
    refresh();
}

void TradeoffPlot::setPresent(std::optional<TradeoffPoint> point, bool refining)
{
    m_present = std::move(point);
    if (refining && m_present && isVisible())
        m_pulse.start();
    else
        m_pulse.stop();
    if (m_following)
        resetView();
    describe();
    replotLayer(m_markLayer);
}

void TradeoffPlot::setReference(std::optional<TradeoffPoint> point)
{
    m_reference = std::move(point);
    refresh();
}

void TradeoffPlot::setCostAxis(CostAxis axis)
{
    m_axis = axis;
    const QString titles[] = {tr("size"), tr("bit operations per sample"), tr("mean bits of a weight")};
    plot()->xAxis->setLabel(titles[std::size_t(axis)]);
    // The float network is four to thirty times as big as what is looked at: equal ratios get equal room.
    const auto label = [this](double cost) { return costText(cost); };
    if (axis == CostAxis::MeanBits)
        setLinearTicks(plot()->xAxis, label);
    else
        setLogTicks(plot()->xAxis, label);
    m_following = true;
    refresh();
}

void TradeoffPlot::setMetric(const QString &title, bool share)
{
    m_metric = title;
    m_share = share;
    plot()->yAxis->setLabel(share ? tr("%1, %").arg(title) : tr("%1, dB").arg(title));
    setLinearTicks(plot()->yAxis, [this](double value) {
        return QLocale().toString(m_share ? value * 100 : value, 'g', 4);
    }, 42);
    refresh();
}

QString TradeoffPlot::costText(double cost) const
{
    switch (m_axis) {
    case CostAxis::Size: return formatBytes(cost);
    case CostAxis::Bops: return tickCount(cost);
    case CostAxis::MeanBits: return QLocale().toString(cost, 'g', 3);
    }
    return {};
}

QString TradeoffPlot::valueText(double value) const
{
    return m_share ? formatShare(value) : formatDecibel(value);
}

void TradeoffPlot::refresh()
{
    std::vector<SizeValue> measured;
    std::array<PlotPoints, 4> byKind;
    for (const TradeoffPoint &point : m_points) {
        // A prediction and a single layer's sweep are no configuration that one could take home.
        const bool counts = point.kind == TradeoffPoint::Kind::Evaluated || point.kind == TradeoffPoint::Kind::FineTuned;
        measured.push_back({point.costOn(m_axis), counts ? point.value : std::numeric_limits<double>::quiet_NaN()});
        auto &kind = byKind[std::size_t(point.kind)];
        if (std::isfinite(point.costOn(m_axis)) && std::isfinite(point.value)) {
            kind.x.push_back(point.costOn(m_axis));
            kind.y.push_back(point.value);
        }
    }
    m_front = paretoFront(measured);
    PlotPoints line;
    for (const std::size_t i : m_front) {
        line.x.push_back(measured[i].size);
        line.y.push_back(measured[i].value);
    }
    setGraphPoints(m_frontGraph, line);
    for (std::size_t i = 0; i < byKind.size(); ++i) {
        m_graphs[i]->setData(QVector<double>(byKind[i].x.begin(), byKind[i].x.end()),
                             QVector<double>(byKind[i].y.begin(), byKind[i].y.end()));
        // The legend names only what is there.
        if (byKind[i].x.empty())
            m_graphs[i]->removeFromLegend();
        else if (!plot()->legend->hasItemWithPlottable(m_graphs[i]))
            m_graphs[i]->addToLegend();
    }
    PlotPoints reference;
    if (m_reference && std::isfinite(m_reference->costOn(m_axis)))
        reference = {{m_reference->costOn(m_axis)}, {m_reference->value}};
    setGraphPoints(m_referenceGraph, reference);
    if (m_following)
        resetView();
    describe();
    requestReplot();
}

void TradeoffPlot::resetView()
{
    constexpr double inf = std::numeric_limits<double>::infinity();
    PlotRange x{inf, -inf}, y{inf, -inf};
    const auto take = [](PlotRange &range, double value) {
        if (!std::isfinite(value))
            return;
        range.lower = std::min(range.lower, value);
        range.upper = std::max(range.upper, value);
    };
    const auto takePoint = [&](const TradeoffPoint &point) {
        take(x, point.costOn(m_axis));
        take(y, point.value);
        take(y, point.low);
        take(y, point.high);
    };
    for (const auto &point : m_points)
        takePoint(point);
    for (const auto *mark : {&m_present, &m_reference})
        if (*mark)
            takePoint(**mark);
    if (m_axis != CostAxis::MeanBits) {
        const bool known = x.lower > 0 && x.lower <= x.upper;
        plot()->xAxis->setRange(known ? x.lower / 1.25 : 1e4, known ? x.upper * 1.25 : 1e6);
    } else {
        x = x.lower <= x.upper ? paddedRange(std::min(0.0, x.lower), x.upper, 0.0) : PlotRange{0, 1};
        plot()->xAxis->setRange(x.lower, x.lower + 1.08 * std::max(x.size(), 1e-9));
    }
    y = y.lower <= y.upper ? paddedRange(y.lower, y.upper, 0.08) : PlotRange{0, 1};
    // A few tenths of a percent are no reason to fill the whole height.
    const double least = m_share ? 0.02 : 3;
    if (y.size() < least)
        y = {(y.lower + y.upper - least) / 2, (y.lower + y.upper + least) / 2};
    plot()->yAxis->setRange(y.lower, y.upper);
    m_following = true;
    requestReplot();
}

void TradeoffPlot::recolor()
{
    const PlotColors &c = colors();
    m_frontGraph->setPen(QPen(c.front, 1.6));
    const std::array shapes = {QCPScatterStyle::ssDisc, QCPScatterStyle::ssTriangle, QCPScatterStyle::ssDiamond,
                               QCPScatterStyle::ssCircle};
    const std::array fills = {c.series(0), c.series(3), c.mutedText, c.series(0)};
    for (std::size_t i = 0; i < m_graphs.size(); ++i) {
        QColor fill = fills[i];
        if (i == 2)
            fill.setAlpha(120);
        m_graphs[i]->setScatterStyle(QCPScatterStyle(shapes[i], QPen(fills[i], 1.2), i == 3 ? QBrush(Qt::NoBrush) : QBrush(fill),
                                                     i == 0 ? 7 : 8));
        m_graphs[i]->setPen(QPen(fills[i]));
    }
    m_referenceGraph->setScatterStyle(QCPScatterStyle(QCPScatterStyle::ssCross, QPen(c.text, 1.8), QBrush(Qt::NoBrush), 9));
    m_referenceGraph->setPen(QPen(c.text));
}

QPointF TradeoffPlot::pixelOf(const TradeoffPoint &point) const
{
    return toPixel(point.costOn(m_axis), point.value);
}

bool TradeoffPlot::isOnFront(std::size_t index) const
{
    return std::ranges::find(m_front, index) != m_front.end();
}

std::optional<std::size_t> TradeoffPlot::pointAt(QPointF position) const
{
    std::optional<std::size_t> best;
    double nearest = kHoverReach;
    for (std::size_t i = 0; i < m_points.size(); ++i) {
        const QPointF at = pixelOf(m_points[i]);
        const double distance = std::hypot(at.x() - position.x(), at.y() - position.y());
        if (distance <= nearest) {
            nearest = distance;
            best = i;
        }
    }
    return best;
}

void TradeoffPlot::hovered(QPointF position)
{
    const auto hot = pointAt(position);
    if (hot == m_hot)
        return;
    m_hot = hot;
    canvas()->setCursor(hot && m_points[*hot].id > 0 ? Qt::PointingHandCursor : Qt::ArrowCursor);
    QString text;
    if (hot) {
        const TradeoffPoint &point = m_points[*hot];
        text = point.title + u'\n' + tr("%1: %2 (95 %: %3 to %4)").arg(m_metric, valueText(point.value), valueText(point.low),
                                                                      valueText(point.high));
        text += u'\n' + tr("%1: %2").arg(plot()->xAxis->label(), costText(point.costOn(m_axis)));
        if (!point.details.isEmpty())
            text += u'\n' + point.details;
        if (point.id > 0)
            text += u'\n' + tr("Click to bring this configuration back");
    }
    canvas()->setToolTip(text);
    if (text.isEmpty())
        QToolTip::hideText();
    else
        QToolTip::showText(canvas()->mapToGlobal(position.toPoint()) + QPoint(12, 8), text, canvas());
    replotLayer(m_markLayer);
}

void TradeoffPlot::left()
{
    m_hot.reset();
    replotLayer(m_markLayer);
}

void TradeoffPlot::clicked(QPointF position)
{
    const auto hit = pointAt(position);
    if (hit && m_points[*hit].id > 0)
        emit trialActivated(m_points[*hit].id);
}

void TradeoffPlot::paintInterval(QPainter &painter, const TradeoffPoint &point) const
{
    const QPointF at = pixelOf(point);
    if (!std::isfinite(at.x()) || !(point.high > point.low))
        return;
    const double x = std::floor(at.x()) + 0.5;
    const double top = toPixel(0, point.high).y(), bottom = toPixel(0, point.low).y();
    painter.drawLine(QLineF(x, top, x, bottom));
    for (const double y : {top, bottom})
        painter.drawLine(QLineF(x - 3, y, x + 3, y));
}

void TradeoffPlot::paintIntervals(QPainter &painter) const
{
    const QRectF rect = plotRect();
    if (m_reference) {
        painter.setPen(QPen(colors().reference, 1, Qt::DashLine));
        const double y = std::floor(toPixel(0, m_reference->value).y()) + 0.5;
        painter.drawLine(QLineF(rect.left(), y, rect.right(), y));
    }
    if (m_points.empty() && !m_present) {
        painter.setPen(colors().mutedText);
        painter.drawText(rect.adjusted(12, 12, -12, -12), Qt::AlignCenter | Qt::TextWordWrap,
                         tr("Each measured configuration becomes a point here.\nOpen data, then change the bits of a layer."));
    }
    for (std::size_t i = 0; i < m_points.size(); ++i) {
        QColor color = m_points[i].kind == TradeoffPoint::Kind::FineTuned ? colors().series(3) : colors().series(0);
        color.setAlpha(isOnFront(i) ? 200 : 90);
        painter.setPen(QPen(color, 1));
        if (m_points[i].kind != TradeoffPoint::Kind::Swept)
            paintInterval(painter, m_points[i]);
    }
}

void TradeoffPlot::paintMarks(QPainter &painter) const
{
    if (m_hot && *m_hot < m_points.size()) {
        painter.setRenderHint(QPainter::Antialiasing, true);
        painter.setPen(QPen(colors().text, 1.4));
        painter.setBrush(Qt::NoBrush);
        painter.drawEllipse(pixelOf(m_points[*m_hot]), 8, 8);
    }
    if (m_present)
        paintPresent(painter);
}

void TradeoffPlot::paintPresent(QPainter &painter) const
{
    const double cost = m_present->costOn(m_axis);
    if (!std::isfinite(cost))
        return;
    const QRectF rect = plotRect();
    const double x = std::floor(toPixel(cost, 0).x()) + 0.5;
    painter.setRenderHint(QPainter::Antialiasing, false);
    painter.setPen(QPen(withAlpha(colors().present, 150), 1, Qt::DotLine));
    painter.drawLine(QLineF(x, rect.top(), x, rect.bottom()));
    if (!std::isfinite(m_present->value))
        return;
    painter.setPen(QPen(colors().present, 2));
    paintInterval(painter, *m_present);
    painter.setRenderHint(QPainter::Antialiasing, true);
    const QPointF at = pixelOf(*m_present);
    if (m_pulse.isActive()) {
        const double phase = double(m_phase) / kPulseSteps;
        painter.setPen(QPen(withAlpha(colors().present, int(190 * (1 - phase))), 1.6));
        painter.setBrush(Qt::NoBrush);
        painter.drawEllipse(at, 6 + 12 * phase, 6 + 12 * phase);
    }
    painter.setPen(QPen(colors().present, 2.2));
    painter.setBrush(colors().background);
    painter.drawEllipse(at, 6, 6);
    painter.setPen(Qt::NoPen);
    painter.setBrush(colors().present);
    painter.drawEllipse(at, 2.2, 2.2);
}

void TradeoffPlot::describe()
{
    const auto measured = std::ranges::count_if(m_points, [](const auto &p) { return p.kind != TradeoffPoint::Kind::Predicted; });
    QString text = tr("%n measured configuration(s)", nullptr, int(measured));
    if (!m_front.empty()) {
        const TradeoffPoint &best = m_points[m_front.back()];
        text += tr(", best %1 at %2").arg(valueText(best.value), costText(best.costOn(m_axis)));
    }
    if (m_present && std::isfinite(m_present->value))
        text += tr("; present %1 at %2").arg(valueText(m_present->value), costText(m_present->costOn(m_axis)));
    if (m_reference)
        text += tr("; float %1").arg(valueText(m_reference->value));
    setSummary(text);
}

PlotTable TradeoffPlot::table() const
{
    PlotTable result{{tr("trial"), tr("kind"), tr("size in bytes"), tr("BOPs"), tr("mean bits"), m_metric, tr("low"),
                      tr("high"), tr("on the front"), tr("what")}, {}};
    const QString kinds[] = {tr("measured"), tr("fine-tuned"), tr("sweep"), tr("predicted")};
    for (std::size_t i = 0; i < m_points.size(); ++i) {
        const TradeoffPoint &p = m_points[i];
        result.rows.push_back({p.id, kinds[std::size_t(p.kind)], p.cost[0], p.cost[1], p.cost[2], p.value, p.low, p.high,
                               isOnFront(i) ? tr("yes") : QString(), p.title});
    }
    return result;
}

} // namespace bitwright
