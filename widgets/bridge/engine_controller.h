// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"
#include "bridge/results.h"
#include "session/engine_api.h"

#include <QElapsedTimer>
#include <QObject>
#include <QTimer>

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

namespace bitwright {

class JobsModel;
class LogModel;

/// What a person chose as data, each a --data SPEC; empty for none.
struct DataSelection {
    std::string evaluation, calibration, training;
    [[nodiscard]] bool empty() const { return evaluation.empty() && calibration.empty() && training.empty(); }
    friend bool operator==(const DataSelection &, const DataSelection &) = default;
};

/// The only object that touches threads on the Qt side. It hands requests to the engine, receives events on engine
/// threads, posts one queued call to itself and emits them as signals on the GUI thread, at most every 33 ms: of the
/// progress of a job the newest wins, nothing else is lost. Events of jobs that were superseded are dropped.
/// While `live`, an edit of the document is followed by previews of the current layer and an evaluation.
class EngineController : public QObject {
    Q_OBJECT
public:
    /// Both must outlive the controller.
    EngineController(EngineApi &engine, Document &document, QObject *parent = nullptr);
    ~EngineController() override;

    [[nodiscard]] const Results &results() const { return m_results; }
    [[nodiscard]] const Catalog &catalog() const { return m_engine.catalog(); }
    [[nodiscard]] const std::vector<ExportFormat> &exportFormats() const { return m_engine.exportFormats(); }
    [[nodiscard]] JobsModel *jobs() const { return m_jobs; }
    [[nodiscard]] LogModel *log() const { return m_log; }
    [[nodiscard]] const DataSelection &data() const { return m_data; }
    /// The metric that live evaluations measure: the chosen one, or what the data can tell where that needs labels.
    [[nodiscard]] std::string metric() const;
    [[nodiscard]] bool isLive() const { return m_live; }
    /// True while anything is running, waiting or about to be asked.
    [[nodiscard]] bool isBusy() const;
    /// The running or waiting evaluation, sweep or fine-tuning; 0 when none.
    [[nodiscard]] JobId evaluationJob() const { return m_evaluation; }
    [[nodiscard]] JobId sweepJob() const { return m_sweep; }
    [[nodiscard]] JobId trainingJob() const { return m_training; }

    // ---- what may be asked; each returns at once ----
    JobId openModel(const QString &path);
    JobId openData(const DataSelection &data);
    /// The first samples of a --data SPEC and what the network says about them, for the eye; supersedes the last.
    JobId previewData(const std::string &spec);
    /// Nobody waits for it any more.
    void cancelDataPreview();
    JobId collectStatistics();
    /// The present configuration on the whole evaluation data; supersedes a running evaluation.
    JobId evaluate();
    JobId calibrate();
    JobId sweep(const SweepRequest &request);
    /// Prunes one layer at a time to several sparsities; supersedes a running one.
    JobId measureSensitivity(const SensitivityRequest &request);
    /// Repairs what pruning and quantizing moved; the new weights become the document's as one undo step.
    JobId correct(CorrectRequest::Step step);
    /// Takes the channels out that masks emptied; the smaller network becomes the document's as one undo step.
    JobId cutChannels();
    /// Fills in configuration and weights; the masks become the document's as one undo step.
    JobId prune(PruneRequest request);
    JobId fineTune(const FineTuneOptions &options);
    /// One layer's values for the picture of its mask, under the document's weights state; supersedes the last.
    JobId askWeight(const std::string &layer, const std::string &criterion = {}, const ParamValues &options = {});
    /// Each of these specs on one site of the present weights; supersedes the last comparison of a layer.
    JobId compare(const std::string &layer, Role role, std::vector<QuantSpec> specs);
    /// Each of these assignments on the whole data, one after the other; a job that a person sees. Supersedes a running one.
    JobId compareNetworks(CompareNetworksRequest request);
    [[nodiscard]] JobId networkComparisonJob() const { return m_networks; }
    JobId exportModel(const ExportRequest &request);
    void cancel(JobId job);
    /// The job that a person would mean by Esc: the newest visible one that still runs or waits.
    void cancelNewest();
    void setPaused(JobId job, bool paused);
    void setLive(bool live);
    void setMetric(const std::string &metric);
    /// Weight previews show this output channel only; -1 for all. Falls back to -1 with another layer.
    void setPreviewChannel(std::int64_t channel);
    [[nodiscard]] std::int64_t previewChannel() const { return m_channel; }
    /// Trials are also written to this session file from now on.
    void setSession(const QString &path);
    /// Trials of the session that was opened, shown beside those measured from now on.
    void setTrials(std::vector<TrialRecord> trials);
    /// A previously known model's data, statistics and trials no longer hold.
    void reset();

signals:
    /// `cut` are the smaller networks that the session holds of it.
    void modelOpened(const std::shared_ptr<const bitwright::ModelSummary> &model, const bitwright::Document::Networks &cut = {});
    void dataOpened(const bitwright::DataOpened &event);
    void dataPreviewReady(const bitwright::DataPreviewReady &event);
    /// The data that was looked at last cannot be opened; one sentence says why.
    void dataPreviewFailed(const QString &why);
    void statisticsReady(const bitwright::StatisticsReady &event);
    void previewReady(const bitwright::PreviewReady &event);
    /// The preview of a site could not be made; one sentence says why.
    void previewFailed(const std::string &layer, bitwright::Role role, const QString &why);
    /// results().weightErrors has a newer entry for this layer.
    void weightErrorChanged(const std::string &layer);
    void pruneReady(const bitwright::PruneReady &event);
    void calibrationReady(const bitwright::CalibrationReady &event);
    void evaluationReady(const bitwright::EvaluationReady &event);
    /// The estimate no longer belongs to the present configuration; a new one is on its way when live.
    void estimateInvalidated();
    void trialAdded(const bitwright::TrialRecord &trial);
    void trialsReset();
    void sweepStarted();
    void sweepPoint(const bitwright::SweepPoint &event);
    void trainingStarted(quint64 job);
    void trainingStep(const bitwright::TrainingStep &event);
    void trainingEpoch(const bitwright::TrainingEpoch &event);
    void exportReady(const bitwright::ExportReady &event);
    void weightReady(const bitwright::WeightReady &event);
    /// The weight that was asked for last could not be given; one sentence says why.
    void weightFailed(const QString &why);
    void sensitivityStarted();
    void sensitivityPoint(const bitwright::SensitivityPoint &event);
    void packSizeReady(const bitwright::PackSizeReady &event);
    void compareReady(const bitwright::CompareReady &event);
    void networkCompared(const bitwright::NetworkCompared &event);
    void jobProgress(const bitwright::JobProgress &event);
    /// One for each job that was asked for here, also a superseded one.
    void jobEnded(quint64 job, bitwright::JobOutcome outcome, const bitwright::Error &error);
    void busyChanged(bool busy);

private:
    void receive(Event event);   // engine threads
    void wake();
    void drain();
    void updateBusy();
    JobId submit(Request request, bool visible = true);
    void supersede(JobId &job);
    void onChanged(const ChangeEvent &event);
    void onSelectionChanged();
    void askPreviews();
    void askPreview(Role role);
    void askNextError();
    void askEvaluation();
    void askPackSize();
    void addTrial(const TrialRecord &trial);
    void takeTrained();
    /// Whether the document still holds these weights and choices; calibrated values may have come meanwhile.
    [[nodiscard]] bool isStill(const DocumentState &state) const;

    void handle(const JobStarted &event);
    void handle(const JobProgress &event);
    void handle(const JobEnded &event);
    void handle(const ModelOpened &event);
    void handle(const DataOpened &event);
    void handle(const DataPreviewReady &event);
    void handle(const StatisticsReady &event);
    void handle(const PreviewReady &event);
    void handle(const PruneReady &event);
    void handle(const CalibrationReady &event);
    void handle(const EvaluationReady &event);
    void handle(const SweepPoint &event);
    void handle(const TrainingStep &event);
    void handle(const TrainingEpoch &event);
    void handle(const ExportReady &event);
    void handle(const WeightReady &event);
    void handle(const SensitivityPoint &event);
    void handle(const WeightsReady &event);
    void handle(const PackSizeReady &event);
    void handle(const CompareReady &event);
    void handle(const NetworkCompared &event);
    void handle(const LogMessage &event);

    EngineApi &m_engine;
    Document &m_document;
    JobsModel *m_jobs;
    LogModel *m_log;
    Results m_results;
    DataSelection m_data;
    std::string m_metric = "top1";
    bool m_live = true;
    bool m_busy = false;
    std::int64_t m_channel = -1;

    JobId m_modelJob = 0, m_dataJob = 0, m_statistics = 0, m_evaluation = 0, m_sweep = 0, m_training = 0, m_prune = 0, m_weight = 0;
    JobId m_sensitivity = 0, m_correct = 0, m_compare = 0, m_networks = 0, m_dataPreview = 0;
    std::map<Results::Site, JobId> m_previews;   // newest asked for, by site
    std::set<JobId> m_active;                    // asked for, not ended
    DocumentState m_pruneFrom;                   // what the masks were asked for
    DocumentState m_trainingFrom;                // what the fine-tuning started from
    DocumentState m_correctFrom;                 // what the repair was asked for
    JobId m_errorJob = 0;                        // the one preview that runs for the table's SQNR column

    QTimer m_previewTimer, m_evaluationTimer, m_drainTimer;
    QTimer m_packTimer;                          // longer than the others: nobody waits for the packed size
    JobId m_packSize = 0;
    QElapsedTimer m_sinceDrain;

    std::mutex m_mutex;   // guards what follows: engine threads write, the GUI thread takes
    std::vector<Event> m_incoming;
    std::map<JobId, JobProgress> m_progress;
    bool m_wakePosted = false, m_urgentPosted = false;
};

} // namespace bitwright
