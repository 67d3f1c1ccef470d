// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"
#include "util/data_spec.h"

#include <QDialog>
#include <QTimer>

#include <array>

class QComboBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;
class QTabWidget;

namespace bitwright {

class RandomForm;
class SamplesView;

/// The fields of one --data SPEC.
class DataSpecEditor : public QWidget {
    Q_OBJECT
public:
    /// `inputs` are the network's: random data asks for what they leave open, and kinds that cannot serve them are grey.
    explicit DataSpecEditor(const QString &purpose, const std::vector<InputNeed> &inputs = {}, QWidget *parent = nullptr);
    [[nodiscard]] DataFields spec() const;
    void setSpec(const DataFields &spec);

signals:
    void edited();

private:
    void setupRows();
    void setupKinds();
    void updateRows();
    void browse();

    std::vector<InputNeed> m_inputs;
    QComboBox *m_kind, *m_sample, *m_split;
    QLineEdit *m_path, *m_size, *m_mean, *m_std;
    QPushButton *m_browse;
    QSpinBox *m_limit, *m_first, *m_count, *m_seed;
    RandomForm *m_random;
    QLabel *m_arrays;
    QFormLayout *m_form;
    QWidget *m_pathRow;
};

/// Chooses evaluation, calibration and training data; does not block the window. Says what the network reads, and shows the
/// first samples of the tab in front with what the network says about them. Opens them on OK.
class DataDialog : public QDialog {
    Q_OBJECT
public:
    explicit DataDialog(EngineController &controller, QWidget *parent = nullptr);
    ~DataDialog() override;
    [[nodiscard]] DataSelection selection() const;

private:
    QWidget *setupInputs();
    QWidget *setupEditors();
    void setupPreview();
    void update();
    void askPreview();
    EngineController &m_controller;
    QTabWidget *m_tabs = nullptr;
    SamplesView *m_samples = nullptr;
    QTimer m_previewTimer;
    std::string m_previewed;           ///< the spec that the samples are of, or are awaited of
    std::array<DataSpecEditor *, 3> m_editors{};
    QLabel *m_problem, *m_preview;
    QPushButton *m_ok = nullptr;
};

} // namespace bitwright
