// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/training_curves.h"

#include "plots/curve_plot.h"
#include "plots/level_history_plot.h"
#include "util/format.h"

#include <QSplitter>
#include <QVBoxLayout>

#include <cmath>

namespace bitwright {

namespace {

/// Weight of the newest step in the running mean: about the last twenty count.
constexpr double kNewest = 0.05;

} // namespace

TrainingCurves::TrainingCurves(Document &document, EngineController &controller, QWidget *parent)
    : QWidget(parent), m_document(document), m_controller(controller), m_plot(new CurvePlot(tr("Training curves"))),
      m_levels(new LevelHistoryPlot(tr("Levels over the epochs")))
{
    m_plot->setMinimumHeight(140);
    m_levels->setMinimumHeight(96);
    m_levels->setToolTip(tr("The levels of the selected layer's weight after each epoch"));
    auto *splitter = new QSplitter(Qt::Vertical);
    splitter->setChildrenCollapsible(false);
    splitter->addWidget(m_plot);
    splitter->addWidget(m_levels);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 2);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(splitter);
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
    connect(&document, &Document::selectionChanged, this, &TrainingCurves::showLevels);
    connect(&document, &Document::modelChanged, this, &TrainingCurves::showLevels);
    showLevels();
}

void TrainingCurves::showLevels()
{
    const std::string &layer = m_document.currentLayer();
    std::vector<LevelHistoryPlot::Epoch> history;
    for (const TrainingEpoch &epoch : m_controller.results().trainingEpochs)
        if (const auto trace = epoch.traces.find(layer); trace != epoch.traces.end() && !trace->second.levels.empty())
            history.push_back({epoch.epoch, trace->second.levels});
    // Room for it only where something was trained.
    m_levels->setVisible(!m_controller.results().trainingEpochs.empty());
    m_levels->setEmptyMessage(layer.empty() ? tr("Select a layer to see its levels over the epochs")
                                            : tr("%1 had no quantized weight in this training").arg(toQString(layer)));
    m_levels->setHistory(std::move(history));
}

void TrainingCurves::restart()
{
    m_first = true;
    m_lastStep = 0;
    m_plot->clearData();
    showLevels();
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
    showLevels();
}

} // namespace bitwright
