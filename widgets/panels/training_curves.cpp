// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/training_curves.h"

#include "plots/curve_plot.h"
#include "util/format.h"

#include <QVBoxLayout>

#include <cmath>

namespace bitwright {

namespace {

/// Weight of the newest step in the running mean: about the last twenty count.
constexpr double kNewest = 0.05;

} // namespace

TrainingCurves::TrainingCurves(EngineController &controller, QWidget *parent)
    : QWidget(parent), m_plot(new CurvePlot(tr("Training curves")))
{
    setMinimumHeight(200);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_plot);
    m_plot->setAxisTitles(tr("Step"), tr("Loss"), tr("Accuracy"));
    m_plot->setAxisFormat(CurvePlot::Axis::Right, [](double share) { return formatShare(share, 0); });
    m_plot->setEmptyMessage(tr("Loss and accuracy appear here while training"));
    m_plot->setLegendShown(true);
    m_loss = m_plot->addSeries(tr("Loss of each step"), {.look = 0, .faint = true, .legend = false, .width = 1});
    m_smoothLoss = m_plot->addSeries(tr("Loss"), {.look = 0});
    m_accuracy = m_plot->addSeries(tr("Training accuracy"), {.look = 1, .rightAxis = true});
    m_measured = m_plot->addSeries(tr("Measured after the epoch"), {.look = 2, .rightAxis = true, .markers = true});
    connect(&controller, &EngineController::trainingStarted, this, &TrainingCurves::restart);
    connect(&controller, &EngineController::trainingStep, this, &TrainingCurves::addStep);
    connect(&controller, &EngineController::trainingEpoch, this, &TrainingCurves::addEpoch);
}

void TrainingCurves::restart()
{
    m_first = true;
    m_lastStep = 0;
    m_plot->clearData();
}

void TrainingCurves::addStep(const TrainingStep &step)
{
    const double share = m_first ? 1 : kNewest;
    m_runningLoss += share * (step.loss - m_runningLoss);
    if (!std::isnan(step.metric))   // data without labels
        m_runningAccuracy += share * (step.metric - m_runningAccuracy);
    m_first = false;
    m_lastStep = double(step.step);
    m_plot->append(m_loss, m_lastStep, step.loss);
    m_plot->append(m_smoothLoss, m_lastStep, m_runningLoss);
    if (!std::isnan(step.metric))
        m_plot->append(m_accuracy, m_lastStep, m_runningAccuracy);
}

void TrainingCurves::addEpoch(const TrainingEpoch &epoch)
{
    if (isShare(epoch.trial.metric))
        m_plot->append(m_measured, m_lastStep, epoch.trial.value);
}

} // namespace bitwright
