// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/plot_frame.h"

#include <vector>

namespace bitwright {

/// Levels over the epochs of a training: a step line for each level, its value upwards.
class LevelHistoryPlot : public PlotFrame {
    Q_OBJECT
public:
    explicit LevelHistoryPlot(const QString &title, QWidget *parent = nullptr);
    ~LevelHistoryPlot() override;

    struct Epoch {
        int epoch = 0;
        std::vector<double> levels;   ///< ascending
    };
    /// By growing epoch.
    void setHistory(std::vector<Epoch> history);
    [[nodiscard]] const std::vector<Epoch> &history() const { return m_history; }
    void setEmptyMessage(const QString &message);

    [[nodiscard]] PlotTable table() const override;
    void resetView() override;

private:
    void paint(QPainter &painter) const;
    void describe();

    std::vector<Epoch> m_history;
    QString m_message;
};

} // namespace bitwright
