// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"

#include <QDialog>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QLabel;
class QPushButton;
class QSlider;

namespace bitwright {

class ParamForm;

/// Prunes the selected layers, or all, by a criterion to a sparsity. Each act is one undo step; the window stays usable,
/// and what it costs shows in the table and the trade-off.
class PruneDialog : public QDialog {
    Q_OBJECT
public:
    PruneDialog(Document &document, EngineController &controller, QWidget *parent = nullptr);
    [[nodiscard]] QString summaryText() const;

private:
    void setupRows();
    void showMethod();
    void updateState();
    void start();
    void measureSensitivity();
    void onEnded(quint64 job, JobOutcome outcome, const Error &error);
    [[nodiscard]] LayerNames layers() const;

    Document &m_document;
    EngineController &m_controller;
    QComboBox *m_method, *m_where, *m_target;
    ParamForm *m_options;
    ParamValues m_values;
    QSlider *m_slider;
    QDoubleSpinBox *m_sparsity;
    QCheckBox *m_global;
    QLabel *m_about, *m_summary;
    QPushButton *m_prune = nullptr, *m_clear = nullptr, *m_sensitivity = nullptr;
    JobId m_job = 0;
};

} // namespace bitwright
