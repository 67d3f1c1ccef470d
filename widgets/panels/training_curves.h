// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"
#include "bridge/engine_controller.h"

#include <QWidget>

namespace bitwright {

class CurvePlot;
class LevelHistoryPlot;

/// Loss and metric of the fine-tuning as it goes: each step faint, smoothed over it, the measurement after each epoch. Below
/// them the levels of the selected layer's weight over the epochs.
class TrainingCurves : public QWidget {
    Q_OBJECT
public:
    /// Both must outlive the widget.
    TrainingCurves(Document &document, EngineController &controller, QWidget *parent = nullptr);
    [[nodiscard]] CurvePlot &plot() const { return *m_plot; }
    [[nodiscard]] LevelHistoryPlot &levels() const { return *m_levels; }

private:
    void restart();
    void addStep(const TrainingStep &step);
    void addEpoch(const TrainingEpoch &epoch);

    void showLevels();

    Document &m_document;
    EngineController &m_controller;
    CurvePlot *m_plot;
    LevelHistoryPlot *m_levels;
    int m_loss = 0, m_smoothLoss = 0, m_accuracy = 0, m_measured = 0;
    double m_runningLoss = 0, m_runningAccuracy = 0, m_lastStep = 0;
    bool m_first = true;
};

} // namespace bitwright
