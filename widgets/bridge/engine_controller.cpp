// SPDX-License-Identifier: GPL-3.0-or-later
#include "bridge/engine_controller.h"

#include "models/jobs_model.h"
#include "models/log_model.h"
#include "session/weights_name.h"
#include "util/format.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

/// A frame of what the eye follows; slower than any panel repaints.
constexpr int kThrottleMs = 33;
/// Long enough that a burst of keys becomes one request, short enough to feel immediate.
constexpr int kDebounceMs = 30;
/// The packed size comes after previews and the first estimate.
constexpr int kPackDelayMs = 300;

/// Events that a person waits for; the others may wait for the next frame.
bool isUrgent(const Event &event)
{
    return std::holds_alternative<PreviewReady>(event) || std::holds_alternative<WeightReady>(event) || std::holds_alternative<JobEnded>(event) ||
           std::holds_alternative<DataPreviewReady>(event) ||
           std::holds_alternative<ModelOpened>(event) || std::holds_alternative<EvaluationReady>(event);
}


/// An assignment without what was calibrated or learned.
ModelConfig choicesOf(ModelConfig config)
{
    for (auto &[name, patch] : config.layers) {
        patch.weight.values.clear();
        patch.activation.values.clear();
    }
    return config;
}

} // namespace

EngineController::EngineController(EngineApi &engine, Document &document, QObject *parent)
    : QObject(parent), m_engine(engine), m_document(document), m_jobs(new JobsModel(this)), m_log(new LogModel(this))
{
    for (QTimer *timer : {&m_previewTimer, &m_evaluationTimer}) {
        timer->setSingleShot(true);
        timer->setInterval(kDebounceMs);
    }
    m_drainTimer.setSingleShot(true);
    m_packTimer.setSingleShot(true);
    m_packTimer.setInterval(kPackDelayMs);
    connect(&m_packTimer, &QTimer::timeout, this, &EngineController::askPackSize);
    connect(&document, &Document::changed, this, [this] {
        supersede(m_packSize);   // it would keep the previews of this change waiting
        m_packTimer.start();
    });
    connect(&document, &Document::modelChanged, &m_packTimer, qOverload<>(&QTimer::start));
    connect(&m_previewTimer, &QTimer::timeout, this, &EngineController::askPreviews);
    connect(&m_evaluationTimer, &QTimer::timeout, this, &EngineController::askEvaluation);
    connect(&m_drainTimer, &QTimer::timeout, this, &EngineController::drain);
    connect(&document, &Document::changed, this, &EngineController::onChanged);
    connect(&document, &Document::selectionChanged, this, &EngineController::onSelectionChanged);
    connect(&document, &Document::dragEnded, this, [this] {
        if (m_live)
            m_evaluationTimer.start();
    });
    m_sinceDrain.start();
    m_engine.setSink([this](Event event) { receive(std::move(event)); });
}

EngineController::~EngineController()
{
    m_engine.setSink({});
}

// ---- from engine threads to the GUI thread ----

void EngineController::receive(Event event)
{
    const std::scoped_lock lock(m_mutex);
    const bool urgent = isUrgent(event);
    if (auto *progress = std::get_if<JobProgress>(&event))
        m_progress[progress->job] = std::move(*progress);
    else
        m_incoming.push_back(std::move(event));
    if (urgent ? m_urgentPosted : m_wakePosted)
        return;
    (urgent ? m_urgentPosted : m_wakePosted) = true;
    QMetaObject::invokeMethod(this, urgent ? &EngineController::drain : &EngineController::wake, Qt::QueuedConnection);
}

void EngineController::wake()
{
    const qint64 elapsed = m_sinceDrain.elapsed();
    if (elapsed >= kThrottleMs)
        drain();
    else if (!m_drainTimer.isActive())
        m_drainTimer.start(int(kThrottleMs - elapsed));
}

void EngineController::drain()
{
    std::vector<Event> events;
    std::map<JobId, JobProgress> progress;
    {
        const std::scoped_lock lock(m_mutex);
        events.swap(m_incoming);
        progress.swap(m_progress);
        m_wakePosted = m_urgentPosted = false;
    }
    m_drainTimer.stop();
    m_sinceDrain.restart();
    for (const auto &[job, event] : progress)
        handle(event);
    for (const Event &event : events)
        std::visit([this](const auto &each) { handle(each); }, event);
    updateBusy();
}

bool EngineController::isBusy() const
{
    return !m_active.empty() || m_previewTimer.isActive() || m_evaluationTimer.isActive();
}

void EngineController::updateBusy()
{
    const bool busy = isBusy();
    if (busy != m_busy) {
        m_busy = busy;
        emit busyChanged(busy);
    }
}

// ---- asking ----

JobId EngineController::submit(Request request, bool visible)
{
    const QString title = visible ? toQString(requestTitle(request)) : QString();
    const JobId job = m_engine.submit(std::move(request));
    m_active.insert(job);
    if (visible)
        m_jobs->add(job, title);
    updateBusy();
    return job;
}

void EngineController::supersede(JobId &job)
{
    if (job && m_active.contains(job))
        m_engine.cancel(job);
    job = 0;
}

JobId EngineController::openModel(const QString &path)
{
    // The lane of the heavy jobs is first in, first out: nothing of the old network may stand in the way.
    for (const JobId job : std::set(m_active))
        m_engine.cancel(job);
    m_modelJob = 0;
    return m_modelJob = submit(OpenModelRequest{path.toStdString()});
}

JobId EngineController::openData(const DataSelection &data)
{
    supersede(m_dataJob);
    m_data = data;
    return m_dataJob = submit(OpenDataRequest{data.evaluation, data.calibration, data.training});
}

JobId EngineController::previewData(const std::string &spec)
{
    supersede(m_dataPreview);
    if (!m_document.model() || spec.empty())
        return 0;
    return m_dataPreview = submit(DataPreviewRequest{.spec = spec}, false);
}

void EngineController::cancelDataPreview()
{
    supersede(m_dataPreview);
}

JobId EngineController::collectStatistics()
{
    supersede(m_statistics);
    StatisticsRequest request;
    request.weights = m_document.state().weights;
    request.foldBatchNorm = m_document.config().foldBatchNorm;
    return m_statistics = submit(std::move(request));
}

JobId EngineController::evaluate()
{
    m_evaluationTimer.stop();
    supersede(m_evaluation);
    if (!m_document.model())
        return 0;
    EvaluateRequest request;
    request.config = m_document.config();
    request.metric = metric();
    request.weights = m_document.state().weights;
    return m_evaluation = submit(std::move(request));
}

JobId EngineController::calibrate()
{
    return m_document.model() ? submit(CalibrateRequest{.config = m_document.config(), .weights = m_document.state().weights}) : 0;
}

JobId EngineController::prune(PruneRequest request)
{
    if (!m_document.model())
        return 0;
    supersede(m_prune);
    request.config = m_document.config();
    request.weights = m_document.state().weights;
    m_pruneFrom = m_document.state();
    return m_prune = submit(std::move(request));
}

JobId EngineController::sweep(const SweepRequest &request)
{
    supersede(m_sweep);
    m_results.sweep.clear();
    m_sweep = submit(request);
    emit sweepStarted();
    return m_sweep;
}

JobId EngineController::measureSensitivity(const SensitivityRequest &request)
{
    supersede(m_sensitivity);
    m_results.sensitivity.clear();
    m_results.sensitivityAsked = request;
    m_sensitivity = submit(request);
    emit sensitivityStarted();
    return m_sensitivity;
}

JobId EngineController::correct(CorrectRequest::Step step)
{
    if (!m_document.model())
        return 0;
    supersede(m_correct);
    CorrectRequest request;
    request.config = m_document.config();
    request.weights = m_document.state().weights;
    request.step = step;
    m_correctFrom = m_document.state();
    return m_correct = submit(std::move(request));
}

JobId EngineController::cutChannels()
{
    if (!m_document.model())
        return 0;
    supersede(m_correct);
    m_correctFrom = m_document.state();
    return m_correct = submit(SurgeryRequest{m_document.config(), m_document.state().weights});
}

JobId EngineController::fineTune(const FineTuneOptions &options)
{
    if (!m_document.model())
        return 0;
    // A running estimate of what is about to change is wasted work.
    supersede(m_evaluation);
    m_results.trainingSteps.clear();
    m_results.trainingEpochs.clear();
    FineTuneRequest request;
    request.config = m_document.config();
    request.options = options;
    request.weights = m_document.state().weights;
    m_trainingFrom = m_document.state();
    m_training = submit(std::move(request));
    emit trainingStarted(m_training);
    return m_training;
}

JobId EngineController::askWeight(const std::string &layer, const std::string &criterion, const ParamValues &options)
{
    supersede(m_weight);
    if (!m_document.isQuantizable(layer))
        return 0;
    WeightRequest request;
    request.layer = layer;
    request.weights = m_document.state().weights;
    request.foldBatchNorm = m_document.config().foldBatchNorm;
    request.criterion = criterion;
    request.options = options;
    return m_weight = submit(std::move(request), false);
}

JobId EngineController::compare(const std::string &layer, Role role, std::vector<QuantSpec> specs)
{
    supersede(m_compare);
    if (!m_document.isQuantizable(layer) || specs.empty())
        return 0;
    CompareRequest request;
    request.layer = layer;
    request.role = role;
    request.specs = std::move(specs);
    request.foldBatchNorm = m_document.config().foldBatchNorm;
    request.weights = m_document.state().weights;
    if (role == Role::Weight)
        request.mask = m_document.mask(layer);
    return m_compare = submit(std::move(request), false);
}

JobId EngineController::compareNetworks(CompareNetworksRequest request)
{
    supersede(m_networks);
    if (!m_document.model() || request.candidates.empty())
        return 0;
    request.metric = metric();
    request.weights = m_document.state().weights;
    return m_networks = submit(std::move(request));
}

JobId EngineController::exportModel(const ExportRequest &request)
{
    m_results.lastExport.reset();
    return submit(request);
}

void EngineController::cancel(JobId job)
{
    if (m_active.contains(job))
        m_engine.cancel(job);
}

void EngineController::cancelNewest()
{
    if (const JobsModel::Job *job = m_jobs->foremost())
        cancel(job->id);
}

void EngineController::setPaused(JobId job, bool paused)
{
    if (!m_active.contains(job))
        return;
    m_engine.setPaused(job, paused);
    m_jobs->setPaused(job, paused);
}

void EngineController::setLive(bool live)
{
    m_live = live;
    if (live)
        m_evaluationTimer.start();
    else
        m_evaluationTimer.stop();
    updateBusy();
}

void EngineController::setMetric(const std::string &metric)
{
    m_metric = metric;
    m_results.estimate.reset();
    m_results.floatValue.reset();
    emit estimateInvalidated();
    if (m_live)
        m_evaluationTimer.start();
    updateBusy();
}

std::string EngineController::metric() const
{
    if (!m_results.data || m_metric == "sqnr")
        return m_metric;
    const std::string &possible = m_results.data->metric;
    const bool needsLabels = m_metric == "top1" || m_metric == "top5";
    if (possible == "sqnr" || (needsLabels && !m_results.data->labelled))
        return possible == "sqnr" ? possible : "agreement";
    return m_metric;
}

void EngineController::setPreviewChannel(std::int64_t channel)
{
    if (m_channel == channel)
        return;
    m_channel = channel;
    askPreview(Role::Weight);
}

void EngineController::setSession(const QString &path)
{
    m_engine.setSession(path.toStdString());
}

void EngineController::setTrials(std::vector<TrialRecord> trials)
{
    m_results.trials = std::move(trials);
    emit trialsReset();
}

void EngineController::reset()
{
    m_previewTimer.stop();
    m_evaluationTimer.stop();
    for (JobId *job : {&m_statistics, &m_evaluation, &m_sweep, &m_training, &m_errorJob, &m_weight})
        supersede(*job);
    for (auto &[site, job] : m_previews)
        supersede(job);
    m_previews.clear();
    for (JobId *job : {&m_sensitivity, &m_correct, &m_compare, &m_networks, &m_dataPreview})
        supersede(*job);
    m_results = {};
    m_data = {};
    m_channel = -1;
    emit trialsReset();
    emit estimateInvalidated();
}

// ---- live behaviour ----

void EngineController::onChanged(const ChangeEvent &event)
{
    // Started, not restarted: a drag that never rests is still followed by previews.
    if (!event.calibration && !m_previewTimer.isActive())
        m_previewTimer.start();
    if (event.calibration)
        return;
    if (event.weights || event.diff.network)
        collectStatistics();
    m_results.estimate.reset();
    emit estimateInvalidated();
    if (m_live && !event.interactive) {
        supersede(m_evaluation);
        m_evaluationTimer.start();
    }
    updateBusy();
}

void EngineController::onSelectionChanged()
{
    m_channel = -1;
    m_previewTimer.start();
    updateBusy();
}

void EngineController::askPreviews()
{
    askPreview(Role::Weight);
    askPreview(Role::Activation);
    askNextError();
    updateBusy();
}

void EngineController::askPreview(Role role)
{
    const std::string &layer = m_document.currentLayer();
    const QuantSpec *spec = m_document.spec(layer, role);
    const Results::Site site{layer, role};
    // Previews of other layers are no longer wanted.
    for (auto &[other, job] : m_previews) {
        if (other == site || other.first != layer)
            supersede(job);
    }
    if (!spec || spec->isFloat()) {
        m_results.previews.erase(site);
        return;
    }
    if (role == Role::Activation && !m_results.statisticsOf(layer, role))
        return;   // asked again when its distribution arrives
    PreviewRequest request;
    request.layer = layer;
    request.role = role;
    request.spec = *spec;
    request.foldBatchNorm = m_document.config().foldBatchNorm;
    request.weights = m_document.state().weights;
    if (role == Role::Weight)
        request.mask = m_document.mask(layer);
    request.channel = role == Role::Weight ? m_channel : -1;
    m_previews[site] = submit(std::move(request), false);
}

void EngineController::askNextError()
{
    if (m_errorJob)
        return;
    const bool fold = m_document.config().foldBatchNorm;
    const std::string &weights = m_document.state().weights;
    for (const auto &[name, config] : m_document.resolved()) {
        const QuantSpec &spec = config.weight;
        if (spec.isFloat())
            continue;
        const auto known = m_results.weightErrors.find(name);
        if (known != m_results.weightErrors.end() && known->second.isOf(spec, fold, weights, config.prune.mask))
            continue;
        PreviewRequest request;
        request.layer = name;
        request.spec = spec;
        request.foldBatchNorm = fold;
        request.weights = weights;
        request.mask = config.prune.mask;
        request.errorAgainstBits = false;
        request.bins = 16;
        m_errorJob = submit(std::move(request), false);
        return;
    }
}

void EngineController::askEvaluation()
{
    if (m_results.data)
        evaluate();
    updateBusy();
}

void EngineController::askPackSize()
{
    supersede(m_packSize);
    if (m_document.model())
        m_packSize = submit(PackSizeRequest{m_document.config(), m_document.state().weights}, false);
}

// ---- events, on the GUI thread ----

void EngineController::handle(const JobStarted &event)
{
    m_jobs->setTitle(event.job, toQString(event.title));
    m_jobs->setStarted(event.job);
}

void EngineController::handle(const JobProgress &event)
{
    if (!m_active.contains(event.job))
        return;
    m_jobs->setProgress(event);
    emit jobProgress(event);
}

void EngineController::handle(const JobEnded &event)
{
    if (m_active.erase(event.job) == 0)
        return;
    m_jobs->setEnded(event);
    const bool failed = event.outcome == JobOutcome::Failed;
    for (auto &[site, job] : m_previews) {
        if (job != event.job)
            continue;
        job = 0;
        if (failed) {
            m_results.previews.erase(site);
            emit previewFailed(site.first, site.second, toQString(event.error.message));
        }
    }
    if (event.job == m_errorJob) {
        m_errorJob = 0;
        if (event.outcome == JobOutcome::Finished)
            askNextError();
    } else if (failed && m_jobs->job(event.job)) {
        m_log->add({event.job, LogMessage::Level::Error, event.error.message, {}});
    }
    if (event.job == m_weight) {
        m_weight = 0;
        if (failed)
            emit weightFailed(toQString(event.error.message));
    }
    if (event.job == m_dataPreview) {
        m_dataPreview = 0;
        if (failed)
            emit dataPreviewFailed(toQString(event.error.message));
    }
    if (event.job == m_training && event.outcome == JobOutcome::Finished)
        takeTrained();
    for (JobId *job : {&m_modelJob, &m_dataJob, &m_statistics, &m_evaluation, &m_sweep, &m_training, &m_prune}) {
        if (*job == event.job)
            *job = 0;
    }
    for (JobId *job : {&m_sensitivity, &m_correct, &m_compare, &m_networks})
        if (*job == event.job)
            *job = 0;
    emit jobEnded(event.job, event.outcome, event.error);
}

void EngineController::handle(const ModelOpened &event)
{
    if (event.job != m_modelJob)
        return;
    reset();
    m_results.inputs = event.inputs;
    emit modelOpened(event.model, event.cut);
    collectStatistics();
}

void EngineController::handle(const DataOpened &event)
{
    // The first one of a job is the evaluation data; calibration and training data follow.
    if (event.job != m_dataJob || (m_results.data && m_results.data->job == event.job))
        return;
    m_results.data = event;
    m_results.floatValue.reset();
    m_results.estimate.reset();   // of other data
    emit estimateInvalidated();
    emit dataOpened(event);
    collectStatistics();
    m_previewTimer.start();
    if (m_live)
        m_evaluationTimer.start();
}

void EngineController::handle(const DataPreviewReady &event)
{
    if (event.job == m_dataPreview)
        emit dataPreviewReady(event);
}

void EngineController::handle(const StatisticsReady &event)
{
    if (event.job != m_statistics)
        return;
    m_results.statistics[{event.layer, event.role}] = event;
    emit statisticsReady(event);
    if (event.role == Role::Activation && event.layer == m_document.currentLayer())
        askPreview(Role::Activation);
}

void EngineController::handle(const PreviewReady &event)
{
    const auto remember = [&] {
        if (event.request.role != Role::Weight || event.request.channel >= 0)
            return;
        m_results.weightErrors[event.request.layer] = {event.request.spec, event.request.foldBatchNorm, event.request.weights, event.request.mask, event.mse, event.sqnrDb};
        emit weightErrorChanged(event.request.layer);
    };
    if (event.job == m_errorJob) {
        remember();
        return;
    }
    const Results::Site site{event.request.layer, event.request.role};
    const auto it = m_previews.find(site);
    if (it == m_previews.end() || it->second != event.job)
        return;
    m_results.previews[site] = event;
    remember();
    emit previewReady(event);
}

void EngineController::handle(const PruneReady &event)
{
    if (event.job != m_prune)
        return;
    if (isStill(m_pruneFrom))
        m_document.setState({event.config, m_pruneFrom.weights}, tr("Prune, %1 kept").arg(formatShare(double(event.kept) / double(std::max<std::int64_t>(event.total, 1)), 1)));
    emit pruneReady(event);
}

void EngineController::handle(const CalibrationReady &event)
{
    m_document.absorbCalibration(event.config);
    emit calibrationReady(event);
}

void EngineController::handle(const EvaluationReady &event)
{
    // Finished measurements are kept even when the configuration has moved on: they were paid for.
    if (event.final)
        addTrial(event.trial);
    if (event.job != m_evaluation)
        return;
    m_results.estimate = event;
    if (std::isfinite(event.floatValue))
        m_results.floatValue = event.floatValue;
    m_document.absorbCalibration(event.config);
    emit evaluationReady(event);
}

void EngineController::handle(const SweepPoint &event)
{
    if (event.job != m_sweep)
        return;
    m_results.sweep.push_back(event);
    emit sweepPoint(event);
}

void EngineController::handle(const TrainingStep &event)
{
    if (event.job != m_training)
        return;
    m_results.trainingSteps.push_back(event);
    emit trainingStep(event);
}

void EngineController::handle(const TrainingEpoch &event)
{
    addTrial(event.trial);
    if (event.job != m_training)
        return;
    m_results.trainingEpochs.push_back(event);
    emit trainingEpoch(event);
}

void EngineController::handle(const ExportReady &event)
{
    m_results.lastExport = event;
    emit exportReady(event);
}

void EngineController::handle(const WeightReady &event)
{
    if (event.job == m_weight)
        emit weightReady(event);
}

void EngineController::handle(const SensitivityPoint &event)
{
    if (event.job != m_sensitivity)
        return;
    m_results.sensitivity.push_back(event);
    emit sensitivityPoint(event);
}

void EngineController::handle(const WeightsReady &event)
{
    if (event.model)
        m_document.addNetwork(networkOf(event.weights), event.model);
    if (event.job != m_correct)
        return;
    if (isStill(m_correctFrom))
        m_document.setState({event.config, event.weights}, toQString(event.title));
    else
        m_log->add({event.job, LogMessage::Level::Info,
                    tr("%1: finished, but the configuration was changed meanwhile and does not take it over; ask again").arg(toQString(event.title)).toStdString(), {}});
}

void EngineController::handle(const PackSizeReady &event)
{
    if (event.job != m_packSize)
        return;
    emit packSizeReady(event);
}

void EngineController::handle(const CompareReady &event)
{
    if (event.job == m_compare)
        emit compareReady(event);
}

void EngineController::handle(const NetworkCompared &event)
{
    // What was measured stays, also of a comparison that another one replaced.
    if (event.error.empty())
        addTrial(event.trial);
    if (event.job == m_networks)
        emit networkCompared(event);
}

void EngineController::handle(const LogMessage &event)
{
    m_log->add(event);
}

bool EngineController::isStill(const DocumentState &state) const
{
    return choicesOf(m_document.config()) == choicesOf(state.config) && m_document.state().weights == state.weights;
}

void EngineController::takeTrained()
{
    const auto &epochs = m_results.trainingEpochs;
    if (epochs.empty())
        return;
    const auto best = std::ranges::max_element(epochs, {}, [](const TrainingEpoch &each) { return each.trial.value; });
    if (isStill(m_trainingFrom)) {
        m_document.setState({best->config, best->weights}, tr("Take fine-tuned weights"));
        return;
    }
    m_log->add({m_training, LogMessage::Level::Info,
                tr("Fine-tuning has finished, but the configuration was changed meanwhile; click its point in Trade-off to take it")
                    .toStdString(), {}});
}

void EngineController::addTrial(const TrialRecord &trial)
{
    const auto same = [&](const TrialRecord &each) { return each.id == trial.id; };
    if (trial.id > 0 && std::ranges::any_of(m_results.trials, same))
        return;
    m_results.trials.push_back(trial);
    emit trialAdded(trial);
}

} // namespace bitwright
