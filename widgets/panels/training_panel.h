// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"

#include <QWidget>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QFormLayout;
class QLabel;
class QProgressBar;
class QPushButton;
class QSpinBox;
class QVBoxLayout;

namespace bitwright {

/// Fine-tuning: its options, start, pause and cancel, how far it is, and a place for the curves.
class TrainingPanel : public QWidget {
    Q_OBJECT
public:
    TrainingPanel(Document &document, EngineController &controller, QWidget *parent = nullptr);
    [[nodiscard]] FineTuneOptions options() const;
    void setOptions(const FineTuneOptions &options);
    /// Takes ownership and shows it below the form.
    void setCurves(QWidget *curves);
    /// Why fine-tuning cannot start now; empty when it can.
    [[nodiscard]] QString obstacle() const;

public slots:
    void start();

private:
    void setupForm(QFormLayout *form);
    void setupButtons(QVBoxLayout *layout);
    void showStep(const TrainingStep &step);
    void showEpoch(const TrainingEpoch &epoch);
    void onProgress(const JobProgress &progress);
    void updateState();
    void applyLearnedStep();
    [[nodiscard]] bool learnsSteps() const;

    Document &m_document;
    EngineController &m_controller;
    QSpinBox *m_epochs, *m_batch, *m_seed;
    QComboBox *m_optimizer, *m_schedule;
    QDoubleSpinBox *m_rate, *m_momentum, *m_decay, *m_smoothing;
    QCheckBox *m_learnedStep, *m_shift, *m_flip, *m_reestimate;
    QPushButton *m_start = nullptr, *m_pause = nullptr, *m_cancel = nullptr;
    QProgressBar *m_progress;
    QLabel *m_now, *m_hint;
    QVBoxLayout *m_layout = nullptr;
    quint64 m_job = 0;
    bool m_paused = false;
};

} // namespace bitwright
