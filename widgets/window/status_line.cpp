// SPDX-License-Identifier: GPL-3.0-or-later
#include "window/status_line.h"

#include "models/jobs_model.h"
#include "util/format.h"
#include "util/theme.h"

#include <QFileInfo>
#include <QFrame>
#include <QLabel>
#include <QLocale>
#include <QProgressBar>
#include <QStatusBar>

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

QLabel *part(QStatusBar *bar, const QString &name)
{
    auto *label = new QLabel;
    label->setAccessibleName(name);
    bar->addWidget(label);
    return label;
}

} // namespace

StatusLine::StatusLine(QStatusBar *bar, Document &document, EngineController &controller, const QString &device)
    : QObject(bar), m_document(document), m_controller(controller), m_model(part(bar, tr("Network"))),
      m_data(part(bar, tr("Data"))), m_device(part(bar, tr("Device"))), m_size(part(bar, tr("Size"))),
      m_metric(part(bar, tr("Metric"))), m_activity(new QLabel), m_progress(new QProgressBar)
{
    m_activity->setAccessibleName(tr("Activity"));
    m_activity->setObjectName(QStringLiteral("activity"));
    m_progress->setAccessibleName(tr("Progress"));
    m_progress->setFixedWidth(130);
    m_progress->setMaximumHeight(bar->fontMetrics().height() + 2);
    m_progress->setTextVisible(false);
    bar->addPermanentWidget(m_activity);
    bar->addPermanentWidget(m_progress);
    bar->setSizeGripEnabled(false);
    m_device->setText(device);
    m_device->setToolTip(tr("Where the network is computed"));

    connect(&document, &Document::modelChanged, this, [this] {
        m_packedBytes = 0;
        updateModel();
    });
    connect(&document, &Document::changed, this, [this] { m_packedIsOld = true; });
    connect(&controller, &EngineController::packSizeReady, this, [this](const PackSizeReady &event) {
        m_packedBytes = double(event.bytes);
        m_packedIsOld = false;
        updateSize();
    });
    connect(&document, &Document::modelChanged, this, &StatusLine::updateSize);
    connect(&document, &Document::changed, this, &StatusLine::updateSize);
    connect(&document, &Document::baselineChanged, this, &StatusLine::updateSize);
    connect(&controller, &EngineController::dataOpened, this, &StatusLine::updateData);
    connect(&controller, &EngineController::trialsReset, this, &StatusLine::updateData);
    connect(&controller, &EngineController::evaluationReady, this, &StatusLine::updateMetric);
    connect(&controller, &EngineController::estimateInvalidated, this, &StatusLine::updateMetric);
    connect(controller.jobs(), &JobsModel::activityChanged, this, &StatusLine::updateActivity);
    updateModel();
    updateData();
    updateSize();
    updateMetric();
    updateActivity();
}

void StatusLine::updateModel()
{
    const ModelSummary *model = m_document.model();
    m_model->setText(model ? QFileInfo(toQString(model->path)).fileName() : tr("No network"));
    m_model->setToolTip(model ? tr("%1\n%2, %3 parameters, %4 nodes").arg(toQString(model->path), toQString(model->format),
                                                                          QLocale().toString(qint64(model->parameters)))
                                    .arg(model->nodes)
                              : tr("Open a network with Ctrl+O"));
    m_device->setVisible(model);
    updateData();
}

void StatusLine::updateData()
{
    const auto &data = m_controller.results().data;
    m_data->setVisible(m_document.model());
    m_data->setText(data ? tr("%1, %2 samples").arg(isRandomData(data->spec) ? tr("Random data") : toQString(data->spec), QLocale().toString(qint64(data->samples))) : tr("No data"));
    m_data->setToolTip(data ? tr("Evaluation: %1\nCalibration: %2\nTraining: %3")
                                  .arg(toQString(dataLabel(m_controller.data().evaluation)), toQString(dataLabel(m_controller.data().calibration)),
                                       toQString(dataLabel(m_controller.data().training)))
                            : tr("Choose data with Ctrl+D; without it only weights can be looked at"));
}

void StatusLine::updateSize()
{
    m_size->setVisible(m_document.model());
    if (!m_document.model())
        return;
    const double now = double(m_document.cost().sizeBytes()), before = double(m_document.baselineCost().sizeBytes());
    m_size->setText(now == before ? formatBytes(now)
                                  : (m_document.hasBaseline() ? tr("%1 of %2 pinned (%3)") : tr("%1 of %2 (%3)"))
                                        .arg(formatBytes(now), formatBytes(before), formatRatio(before / std::max(1.0, now))));
    if (m_packedBytes > 0)
        m_size->setText(tr("%1, packed %2").arg(m_size->text(), formatBytes(m_packedBytes)) + (m_packedIsOld ? QStringLiteral(" …") : QString()));
    m_size->setToolTip(tr("Size of the network now and %1, in decimal units; packed is the whole file that the export \"Pack\" writes; BOPs %2 of %3")
                           .arg(m_document.hasBaseline() ? tr("as pinned") : tr("as float"), formatCount(m_document.cost().bops),
                                formatCount(m_document.baselineCost().bops)));
}

void StatusLine::updateMetric()
{
    const Results &results = m_controller.results();
    m_metric->setVisible(results.estimate.has_value() || (m_document.model() && results.data));
    if (!results.estimate) {
        m_metric->setText(m_controller.isLive() ? tr("measuring…") : tr("not measured"));
        m_metric->setToolTip(tr("Space measures the present configuration"));
        return;
    }
    const TrialRecord &trial = results.estimate->trial;
    QString text = tr("%1 %2").arg(metricTitle(trial.metric), formatMetric(trial.metric, trial.value, trial.low, trial.high));
    if (results.floatValue && isShare(trial.metric) && !m_document.isFloat())
        text += tr(" (%1 to float)").arg(formatShareChange(trial.value - *results.floatValue));
    if (isRandomData(trial.data))
        text += tr(" on random data");
    m_metric->setText(results.estimate->final ? text : text + QStringLiteral(" …"));
    m_metric->setToolTip(tr("Measured on %1 samples, with its 95 % interval").arg(QLocale().toString(qint64(trial.samples))) +
                         (isRandomData(trial.data) ? tr("\nRandom data: it tells how close the network stays to its float self, nothing about its task") : QString()));
}

void StatusLine::updateActivity()
{
    const JobsModel *jobs = m_controller.jobs();
    const JobsModel::Job *job = jobs->foremost();
    m_progress->setVisible(job);
    if (!job) {
        m_activity->setText(m_document.model() ? tr("Ready") : QString());
        return;
    }
    const double left = job->timeLeft();
    QString text = job->title;
    if (left >= 1)
        text = tr("%1, %2 left").arg(job->title, formatDuration(left));
    if (jobs->activeCount() > 1)
        text = tr("%1 (+%2)").arg(text).arg(jobs->activeCount() - 1);
    m_activity->setText(text);
    const double fraction = job->fraction();
    m_progress->setRange(0, fraction < 0 ? 0 : 1000);
    m_progress->setValue(int(std::max(0.0, fraction) * 1000));
}

} // namespace bitwright
