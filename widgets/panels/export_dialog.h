// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"

#include <QAbstractTableModel>
#include <QDialog>

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QProgressBar;
class QPushButton;
class QTableView;

namespace bitwright {

/// Layer by layer: what will be written, and after the export how the written file agreed.
class ExportModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { Layer, WeightBits, ActivationBits, Encoding, MaxDifference, DifferingLevels, ColumnCount };
    explicit ExportModel(Document &document, QObject *parent = nullptr);
    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    void setResult(const std::optional<ExportReady> &result);
    /// What the ONNX file will hold for a weight under this spec.
    [[nodiscard]] static QString plannedEncoding(const QuantSpec &spec);

private:
    void reload();
    Document &m_document;
    std::vector<std::string> m_layers;
    std::optional<ExportReady> m_result;
};

/// Shows what an export writes and approximates, writes it, and shows how the written file agrees with the simulation.
class ExportDialog : public QDialog {
    Q_OBJECT
public:
    ExportDialog(Document &document, EngineController &controller, QWidget *parent = nullptr);
    void setPath(const QString &path);

private:
    void browse();
    void followFormat();
    void start();
    /// False after saying why not: the open network never, another file only when asked twice.
    bool mayWrite(const QString &path);
    void onProgress(const JobProgress &progress);
    void onEnded(quint64 job, JobOutcome outcome, const Error &error);
    void showResult(const ExportReady &result);
    void showPlan();
    void updateState();
    void setVerdict(const QString &text, const QColor &colour);

    QString m_mayReplace, m_ours;   // a path that may be written over: asked about, written by us
    Document &m_document;
    EngineController &m_controller;
    ExportModel *m_model;
    QComboBox *m_format;
    QLineEdit *m_path;
    QCheckBox *m_verify;
    QTableView *m_table;
    QLabel *m_summary, *m_notes, *m_verdict;
    QProgressBar *m_progress;
    QPushButton *m_export = nullptr, *m_close = nullptr;
    JobId m_job = 0;
};

} // namespace bitwright
