// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"

#include <QWidget>

class QTableView;
class QToolButton;

namespace bitwright {

class EngineController;

/// Jobs with their progress on the left, messages on the right.
class JobsPanel : public QWidget {
    Q_OBJECT
public:
    JobsPanel(Document &document, EngineController &controller, QWidget *parent = nullptr);

private:
    QWidget *makeJobs();
    QWidget *makeLog();
    void updateButtons();
    [[nodiscard]] quint64 currentJob() const;

    Document &m_document;
    EngineController &m_controller;
    QTableView *m_jobs = nullptr, *m_log = nullptr;
    QToolButton *m_pause = nullptr, *m_cancel = nullptr, *m_clear = nullptr;
};

} // namespace bitwright
