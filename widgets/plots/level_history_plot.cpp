// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/level_history_plot.h"

#include "plots/plot_parts.h"
#include "util/format.h"

#include <qcustomplot.h>

#include <cmath>

namespace bitwright {

namespace {

/// Beyond this many lines they get finer.
constexpr std::size_t kMany = 24;

} // namespace

LevelHistoryPlot::LevelHistoryPlot(const QString &title, QWidget *parent) : PlotFrame(title, parent)
{
    addPainting(plot(), QStringLiteral("main"), [this](QPainter &painter, const PlotArea &) { paint(painter); });
    plot()->xAxis->setLabel(tr("Epoch"));
    plot()->yAxis->setLabel(tr("Level"));
    setLinearTicks(plot()->xAxis, [](double x) { return std::abs(x - std::round(x)) < 1e-6 ? QString::number(std::lround(x)) : QString(); }, 40);
    setZoomAxes(true, true);
    applyPalette();
    resetView();
}

LevelHistoryPlot::~LevelHistoryPlot() = default;

void LevelHistoryPlot::setHistory(std::vector<Epoch> history)
{
    m_history = std::move(history);
    resetView();
    describe();
}

void LevelHistoryPlot::setEmptyMessage(const QString &message)
{
    m_message = message;
    describe();
    requestReplot();
}

void LevelHistoryPlot::resetView()
{
    double lower = 0, upper = 0;
    for (const Epoch &epoch : m_history) {
        if (epoch.levels.empty())
            continue;
        lower = std::min(lower, epoch.levels.front());
        upper = std::max(upper, epoch.levels.back());
    }
    const PlotRange values = lower < upper ? paddedRange(lower, upper, 0.08) : PlotRange{-1, 1};
    plot()->yAxis->setRange(values.lower, values.upper);
    setXRange(m_history.empty() ? PlotRange{0.5, 1.5} : PlotRange{m_history.front().epoch - 0.5, m_history.back().epoch + 0.5});
}

void LevelHistoryPlot::paint(QPainter &painter) const
{
    const QRectF rect = plotRect();
    if (m_history.empty()) {
        painter.setPen(colors().mutedText);
        painter.drawText(rect.adjusted(6, 6, -6, -6), Qt::AlignCenter | Qt::TextWordWrap, m_message);
        return;
    }
    QVector<QLineF> lines;
    std::size_t most = 0;
    for (std::size_t i = 0; i < m_history.size(); ++i) {
        const Epoch &epoch = m_history[i];
        const bool goesOn = i + 1 < m_history.size() && m_history[i + 1].levels.size() == epoch.levels.size();
        most = std::max(most, epoch.levels.size());
        for (std::size_t k = 0; k < epoch.levels.size(); ++k) {
            const QPointF from = toPixel(epoch.epoch - 0.5, epoch.levels[k]), to = toPixel(epoch.epoch + 0.5, epoch.levels[k]);
            const double y = std::floor(from.y()) + 0.5;
            lines << QLineF(from.x(), y, to.x(), y);
            if (goesOn)
                lines << QLineF(to.x(), y, to.x(), std::floor(toPixel(0, m_history[i + 1].levels[k]).y()) + 0.5);
        }
    }
    painter.setPen(QPen(withAlpha(colors().level, most > kMany ? 110 : 220), most > kMany ? 1 : 1.5));
    painter.drawLines(lines);
}

void LevelHistoryPlot::describe()
{
    if (m_history.empty() || m_history.back().levels.empty()) {
        setSummary(m_message);
        return;
    }
    const Epoch &last = m_history.back();
    setSummary(tr("%1 levels over %2 epochs, at last from %3 to %4").arg(last.levels.size()).arg(m_history.size())
                   .arg(formatReal(last.levels.front()), formatReal(last.levels.back())));
}

PlotTable LevelHistoryPlot::table() const
{
    PlotTable result{{tr("epoch"), tr("level"), tr("value")}, {}};
    for (const Epoch &epoch : m_history)
        for (std::size_t k = 0; k < epoch.levels.size(); ++k)
            result.rows.push_back({epoch.epoch, qulonglong(k), epoch.levels[k]});
    return result;
}

} // namespace bitwright
