// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/channel_strip.h"

#include "plots/plot_parts.h"
#include "util/format.h"

#include <qcustomplot.h>

#include <algorithm>
#include <cmath>

namespace bitwright {

ChannelStrip::ChannelStrip(const QString &title, QWidget *parent) : PlotFrame(title, parent)
{
    m_selectionLayer = addBufferedLayer(plot(), QStringLiteral("selection"));
    addPainting(plot(), QStringLiteral("main"), [this](QPainter &painter, const PlotArea &) { paintChannels(painter); });
    addPainting(plot(), QStringLiteral("selection"),
                [this](QPainter &painter, const PlotArea &) { paintSelection(painter); });
    setLinearTicks(plot()->xAxis, [](double x) {
        return x >= 0 && std::abs(x - std::round(x)) < 1e-6 ? QString::number(std::lround(x)) : QString();
    }, 46);
    setLinearTicks(plot()->yAxis, {}, 24);
    plot()->xAxis->setLabel(tr("output channel"));
    plot()->xAxis->grid()->setVisible(false);
    applyPalette();
    resetView();
}

ChannelStrip::~ChannelStrip() = default;

void ChannelStrip::setChannels(const std::vector<Moments> &channels)
{
    m_channels = channels;
    std::vector<double> spans;
    for (const Moments &m : channels)
        spans.push_back(std::max(std::abs(m.min), std::abs(m.max)));
    m_outliers = outliers(spans, 1.5);
    // In a wide layer of like channels the quartiles lie so close that half of them would stand out by a hair.
    if (!m_outliers.empty()) {
        constexpr double kNoticeable = 0.3;
        auto sorted = spans;
        std::ranges::nth_element(sorted, sorted.begin() + std::ptrdiff_t(sorted.size() / 2));
        const double middle = sorted[sorted.size() / 2];
        std::erase_if(m_outliers, [&](std::size_t i) { return std::abs(spans[i] - middle) < kNoticeable * middle; });
    }
    m_isOutlier.assign(channels.size(), 0);
    for (const std::size_t i : m_outliers)
        m_isOutlier[i] = 1;
    if (m_selected >= std::int64_t(channels.size()))
        m_selected = -1;
    resetView();
    describe();
}

void ChannelStrip::setClips(const std::vector<PlotRange> &clips)
{
    m_clips = clips;
    requestReplot();
}

void ChannelStrip::setSelected(std::int64_t channel)
{
    m_selected = channel;
    describe();
    replotLayer(m_selectionLayer);
}

void ChannelStrip::setSeriesColor(int series)
{
    m_series = series;
    requestReplot();
}

void ChannelStrip::setEmptyMessage(const QString &message)
{
    m_emptyMessage = message;
    requestReplot();
}

void ChannelStrip::resetView()
{
    double low = 0, high = 0;
    for (const Moments &m : m_channels) {
        low = std::min(low, m.min);
        high = std::max(high, m.max);
    }
    const PlotRange y = paddedRange(low, high, 0.08);
    plot()->yAxis->setRange(y.lower, y.upper);
    setXRange({-0.5, std::max(double(m_channels.size()), 1.0) - 0.5});
}

std::int64_t ChannelStrip::channelAt(QPointF position) const
{
    if (!plotRect().adjusted(0, -2, 0, 2).contains(position))
        return -1;
    const auto channel = std::int64_t(std::lround(plot()->xAxis->pixelToCoord(position.x())));
    return channel >= 0 && channel < std::int64_t(m_channels.size()) ? channel : -1;
}

void ChannelStrip::clicked(QPointF position)
{
    const std::int64_t channel = channelAt(position);
    if (channel >= 0)
        emit channelActivated(channel == m_selected ? -1 : channel);
}

void ChannelStrip::hovered(QPointF position)
{
    const std::int64_t channel = channelAt(position);
    if (channel < 0) {
        canvas()->setToolTip({});
        return;
    }
    const Moments &m = m_channels[std::size_t(channel)];
    QString text = tr("channel %1\nfrom %2 to %3\nmean %4, std %5")
                       .arg(QString::number(channel), formatReal(m.min), formatReal(m.max), formatReal(m.mean()),
                            formatReal(m.std()));
    if (m_isOutlier[std::size_t(channel)])
        text += u'\n' + tr("range stands out");
    canvas()->setToolTip(text);
}

void ChannelStrip::paintChannels(QPainter &painter) const
{
    if (m_channels.empty()) {
        painter.setPen(colors().mutedText);
        painter.drawText(plotRect().adjusted(6, 4, -6, -4), Qt::AlignCenter | Qt::TextWordWrap, m_emptyMessage);
        return;
    }
    // Several channels may share a pixel: their ranges are drawn as one, so that no extreme is lost.
    const double perPixel = xRange().size() / std::max(plotRect().width(), 1.0);
    const auto step = std::size_t(std::max(1.0, std::ceil(perPixel * 2)));
    const double first = std::max(0.0, std::floor(xRange().lower)), last = std::ceil(xRange().upper);
    for (std::size_t i = std::size_t(first) / step * step; i < m_channels.size() && double(i) <= last; i += step)
        paintColumn(painter, i, std::min(i + step, m_channels.size()));
}

void ChannelStrip::paintColumn(QPainter &painter, std::size_t from, std::size_t to) const
{
    Moments all = m_channels[from];
    bool standsOut = m_isOutlier[from];
    for (std::size_t i = from + 1; i < to; ++i) {
        all.merge(m_channels[i]);
        standsOut = standsOut || m_isOutlier[i];
    }
    const auto x = [&](double v) { return plot()->xAxis->coordToPixel(v); };
    const auto y = [&](double v) { return plot()->yAxis->coordToPixel(v); };
    const double left = x(double(from) - 0.5), right = x(double(to) - 0.5);
    const double gap = right - left > 5 ? (right - left) * 0.18 : 0;
    const QColor color = standsOut ? colors().error : colors().series(m_series);
    painter.fillRect(QRectF(QPointF(left + gap, y(all.max)), QPointF(right - gap, y(all.min))), withAlpha(color, 105));
    const double mean = all.mean(), std = all.std();
    painter.fillRect(QRectF(QPointF(left + gap, y(mean + std)), QPointF(right - gap, y(mean - std))), withAlpha(color, 190));
    if (standsOut) {
        const double middle = (left + right) / 2, top = plotRect().top() + 1;
        painter.setRenderHint(QPainter::Antialiasing, true);
        painter.setPen(Qt::NoPen);
        painter.setBrush(color);
        painter.drawPolygon(QPolygonF({QPointF(middle - 3.5, top), QPointF(middle + 3.5, top), QPointF(middle, top + 6)}));
        painter.setRenderHint(QPainter::Antialiasing, false);
    }
    const std::size_t clip = std::min(from, m_clips.empty() ? 0 : m_clips.size() - 1);
    if (m_clips.empty())
        return;
    painter.setPen(QPen(colors().level, 1.4));
    for (const double end : {m_clips[clip].lower, m_clips[clip].upper})
        painter.drawLine(QLineF(left + gap / 2, y(end), right - gap / 2, y(end)));
}

void ChannelStrip::paintSelection(QPainter &painter) const
{
    if (m_selected < 0 || m_selected >= std::int64_t(m_channels.size()))
        return;
    const double left = plot()->xAxis->coordToPixel(double(m_selected) - 0.5);
    const double right = plot()->xAxis->coordToPixel(double(m_selected) + 0.5);
    QRectF frame(left, plotRect().top() + 0.5, std::max(right - left, 3.0), plotRect().height() - 1);
    painter.setPen(QPen(colors().present, 1.6));
    painter.setBrush(withAlpha(colors().present, 40));
    painter.drawRect(frame);
}

void ChannelStrip::describe()
{
    if (m_channels.empty()) {
        setSummary(m_emptyMessage);
        return;
    }
    QString text = tr("%n channel(s)", nullptr, int(m_channels.size()));
    if (!m_outliers.empty())
        text += tr(", %n with a range that stands out", nullptr, int(m_outliers.size()));
    if (m_selected >= 0)
        text += tr(", channel %1 chosen").arg(m_selected);
    setSummary(text);
}

PlotTable ChannelStrip::table() const
{
    PlotTable result{{tr("channel"), tr("minimum"), tr("maximum"), tr("mean"), tr("std"), tr("stands out")}, {}};
    for (std::size_t i = 0; i < m_channels.size(); ++i) {
        const Moments &m = m_channels[i];
        result.rows.push_back({qulonglong(i), m.min, m.max, m.mean(), m.std(), m_isOutlier[i] ? tr("yes") : QString()});
    }
    return result;
}

} // namespace bitwright
