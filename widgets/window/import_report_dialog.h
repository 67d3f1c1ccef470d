// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "network/model_summary.h"

#include <QDialog>

namespace bitwright {

/// The one line that says why a file cannot be run, weights without a network or an operator that is not known; empty
/// where it can.
QString missingToRun(const ModelSummary &model);

/// What opening a file found: each layer with its status and reason. Copies as text; does not block the window.
class ImportReportDialog : public QDialog {
    Q_OBJECT
public:
    explicit ImportReportDialog(const ModelSummary &model, QWidget *parent = nullptr);
    /// The report as lines of tab-separated columns, as Copy puts it on the clipboard.
    [[nodiscard]] QString text() const { return m_text; }

private:
    QString m_text;
};

} // namespace bitwright
