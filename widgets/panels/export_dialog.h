// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"

#include <QAbstractTableModel>
#include <QDialog>

#include <atomic>
#include <memory>

class QCheckBox;
class QComboBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QProgressBar;
class QPushButton;
class QTableView;

namespace bitwright {

class ElidedLabel;

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
    [[nodiscard]] bool hasResult() const { return m_result.has_value(); }
    void setFormat(const ExportFormat &format);
    /// What a file of this format will hold for a weight under this spec.
    [[nodiscard]] static QString plannedEncoding(const ExportFormat &format, const QuantSpec &spec);

private:
    void reload();
    Document &m_document;
    ExportFormat m_format;
    std::vector<std::string> m_layers;
    std::optional<ExportReady> m_result;
};

/// Shows what an export writes and cannot express, writes it, and shows how the written file agrees with the simulation.
/// The formats are the engine's table. Of a document there is nothing to run; a PDF of the same is written beside it.
class ExportDialog : public QDialog {
    Q_OBJECT
public:
    ExportDialog(Document &document, EngineController &controller, QWidget *parent = nullptr);
    ~ExportDialog() override;
    void setPath(const QString &path);
    /// Chooses a format by its id, or the first document among them.
    void setFormat(const QString &id);
    void setDocument();

private:
    /// The chosen row of the table; null where the engine has none.
    [[nodiscard]] const ExportFormat *format() const;
    [[nodiscard]] QString suggestedPath() const;
    /// What one press of the button writes.
    [[nodiscard]] QStringList files() const;
    [[nodiscard]] bool isWriting() const { return m_job != 0 || m_pdfRuns; }
    void makeForm();
    void makeTable();
    void makeButtons();
    void browse();
    void followFormat();
    void start();
    /// False after saying why not: the open network never, another file only when asked twice.
    bool mayWrite();
    void cancel();
    void writePdf(const ExportReady &result);
    void showWritten(const ExportReady &result);
    void onProgress(const JobProgress &progress);
    void onEnded(quint64 job, JobOutcome outcome, const Error &error);
    void showResult(const ExportReady &result);
    void showPlan();
    void updateState();
    void setVerdict(const QString &text, const QColor &colour);

    QString m_suggested;            // the path that followFormat() may change as a whole
    QStringList m_mayReplace;       // files that may be written over: asked about
    QStringList m_ours;             // and those that were written here
    Document &m_document;
    EngineController &m_controller;
    ExportModel *m_model;
    QFormLayout *m_form;
    QComboBox *m_format;
    ElidedLabel *m_about;
    QLineEdit *m_path;
    QCheckBox *m_verify, *m_pdf;
    QTableView *m_table;
    QLabel *m_summary, *m_notes, *m_verdict;
    QProgressBar *m_progress;
    QPushButton *m_export = nullptr, *m_cancel = nullptr, *m_open = nullptr, *m_close = nullptr;
    JobId m_job = 0;
    bool m_pdfRuns = false;
    std::shared_ptr<std::atomic<bool>> m_stopPdf = std::make_shared<std::atomic<bool>>(false);
};

} // namespace bitwright
