// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/plot_frame.h"
#include "stats/histogram.h"

#include <cstdint>

class QCPLayer;

namespace bitwright {

/// Minimum, maximum and spread of every output channel of a weight, side by side. Channels whose range stands out are
/// marked by colour and a tick at the top. A click chooses a channel, a click on the chosen one all again.
class ChannelStrip : public PlotFrame {
    Q_OBJECT
public:
    explicit ChannelStrip(const QString &title, QWidget *parent = nullptr);
    ~ChannelStrip() override;

    void setChannels(const std::vector<Moments> &channels);
    /// The ranges that quantization covers, one for each channel or one for all; empty for none.
    void setClips(const std::vector<PlotRange> &clips);
    /// -1 for all.
    void setSelected(std::int64_t channel);
    [[nodiscard]] std::int64_t selected() const { return m_selected; }
    [[nodiscard]] const std::vector<std::size_t> &standingOut() const { return m_outliers; }
    void setSeriesColor(int series);
    void setEmptyMessage(const QString &message);

    [[nodiscard]] PlotTable table() const override;
    void resetView() override;

signals:
    void channelActivated(qint64 channel);

protected:
    void recolor() override {}
    void clicked(QPointF position) override;
    void hovered(QPointF position) override;

private:
    [[nodiscard]] std::int64_t channelAt(QPointF position) const;
    void paintChannels(QPainter &painter) const;
    void paintColumn(QPainter &painter, std::size_t from, std::size_t to) const;
    void paintSelection(QPainter &painter) const;
    void describe();

    std::vector<Moments> m_channels;
    std::vector<PlotRange> m_clips;
    std::vector<std::size_t> m_outliers;
    std::vector<char> m_isOutlier;
    QString m_emptyMessage;
    std::int64_t m_selected = -1;
    int m_series = 0;
    QCPLayer *m_selectionLayer = nullptr;
};

} // namespace bitwright
