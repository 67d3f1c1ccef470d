// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"
#include "util/data_spec.h"

#include <QDialog>

#include <array>

class QComboBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;

namespace bitwright {

/// The fields of one --data SPEC.
class DataSpecEditor : public QWidget {
    Q_OBJECT
public:
    explicit DataSpecEditor(const QString &purpose, QWidget *parent = nullptr);
    [[nodiscard]] DataSpec spec() const;
    void setSpec(const DataSpec &spec);

signals:
    void edited();

private:
    void setupRows();
    void updateRows();
    void browse();

    QComboBox *m_kind, *m_sample, *m_split;
    QLineEdit *m_path, *m_size, *m_mean, *m_std;
    QPushButton *m_browse;
    QSpinBox *m_limit, *m_first;
    QFormLayout *m_form;
    QWidget *m_pathRow;
};

/// Chooses evaluation, calibration and training data; does not block the window. Opens them on OK.
class DataDialog : public QDialog {
    Q_OBJECT
public:
    explicit DataDialog(EngineController &controller, QWidget *parent = nullptr);
    [[nodiscard]] DataSelection selection() const;

private:
    void update();
    EngineController &m_controller;
    std::array<DataSpecEditor *, 3> m_editors{};
    QLabel *m_problem, *m_preview;
    QPushButton *m_ok = nullptr;
};

} // namespace bitwright
