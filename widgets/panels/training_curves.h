// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"

#include <QWidget>

namespace bitwright {

class CurvePlot;

/// Loss and metric of the fine-tuning as it goes: each step faint, smoothed over it, the measurement after each epoch.
class TrainingCurves : public QWidget {
    Q_OBJECT
public:
    explicit TrainingCurves(EngineController &controller, QWidget *parent = nullptr);
    [[nodiscard]] CurvePlot &plot() const { return *m_plot; }

private:
    void restart();
    void addStep(const TrainingStep &step);
    void addEpoch(const TrainingEpoch &epoch);

    CurvePlot *m_plot;
    int m_loss = 0, m_smoothLoss = 0, m_accuracy = 0, m_measured = 0;
    double m_runningLoss = 0, m_runningAccuracy = 0, m_lastStep = 0;
    bool m_first = true;
};

} // namespace bitwright
