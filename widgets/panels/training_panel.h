// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"

#include <QByteArray>
#include <QWidget>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QFormLayout;
class QLabel;
class QProgressBar;
class QPushButton;
class QScrollArea;
class QSpinBox;
class QSplitter;
class QVBoxLayout;

namespace bitwright {

class RecipesForm;

/// Fine-tuning: its options and recipes, start, pause and cancel, how far it is, and a place for the curves.
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
    /// The options as text for the settings, and back; text that is none changes nothing.
    [[nodiscard]] QByteArray saveState() const;
    void restoreState(const QByteArray &state);

public slots:
    void start();

private:
    void setupForm(QFormLayout *form);
    void setupRecipes();
    void setupButtons(QVBoxLayout *layout);
    void setupHalves();
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
    RecipesForm *m_recipes;
    QCheckBox *m_learnedStep, *m_shift, *m_flip, *m_reestimate;
    QPushButton *m_start = nullptr, *m_pause = nullptr, *m_cancel = nullptr;
    QSplitter *m_halves = nullptr;
    QScrollArea *m_scroll = nullptr;
    QProgressBar *m_progress;
    QLabel *m_now, *m_doing, *m_hint;
    QVBoxLayout *m_layout = nullptr, *m_lower = nullptr;
    quint64 m_job = 0;
    bool m_paused = false;
};

} // namespace bitwright
