// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"

#include <QObject>

class QLabel;
class QProgressBar;
class QStatusBar;

namespace bitwright {

/// The status bar's parts: network, data, device, size now against before, metric with its interval, activity.
class StatusLine : public QObject {
    Q_OBJECT
public:
    StatusLine(QStatusBar *bar, Document &document, EngineController &controller, const QString &device);

private:
    void updateModel();
    void updateData();
    void updateSize();
    void updateMetric();
    void updateActivity();

    Document &m_document;
    EngineController &m_controller;
    QLabel *m_model, *m_data, *m_device, *m_size, *m_metric, *m_activity;
    QProgressBar *m_progress;
    double m_packedBytes = 0;     ///< 0 while unknown
    bool m_packedIsOld = false;   ///< of the configuration before the present one
};

} // namespace bitwright
