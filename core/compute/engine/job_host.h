// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/export_model.h"
#include "engine/model_session.h"
#include "session/engine_api.h"
#include "store/session_store.h"
#include "train/trainer.h"

#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace bitwright {

/// Runs requests on behalf of the engine; one function a request, in engine/jobs/. Heavy jobs run on one thread; previews
/// may run beside them on another and touch only what ModelSession guards.
class JobHost {
public:
    using Emit = std::function<void(Event)>;
    JobHost(const EngineOptions &options, Emit emit) : m_options(options), m_emit(std::move(emit)) {}

    Status run(JobId id, const Request &request, const JobContext &context);
    void setSession(const std::string &path);

private:
    Status job(JobId id, const OpenModelRequest &request, const JobContext &context);
    Status job(JobId id, const OpenDataRequest &request, const JobContext &context);
    Status job(JobId id, const StatisticsRequest &request, const JobContext &context);
    Status job(JobId id, const PreviewRequest &request, const JobContext &context);
    Status job(JobId id, const PruneRequest &request, const JobContext &context);
    Status job(JobId id, const CalibrateRequest &request, const JobContext &context);
    Status job(JobId id, const EvaluateRequest &request, const JobContext &context);
    Status job(JobId id, const SweepRequest &request, const JobContext &context);
    Status job(JobId id, const FineTuneRequest &request, const JobContext &context);
    Status job(JobId id, const ExportRequest &request, const JobContext &context);
    Status job(JobId id, const WeightRequest &request, const JobContext &context);
    Status job(JobId id, const SensitivityRequest &request, const JobContext &context);
    Status job(JobId id, const CorrectRequest &request, const JobContext &context);
    Status job(JobId id, const SurgeryRequest &request, const JobContext &context);
    Status job(JobId id, const PackSizeRequest &request, const JobContext &context);
    Status job(JobId id, const CompareRequest &request, const JobContext &context);
    Status job(JobId id, const CompareNetworksRequest &request, const JobContext &context);
    Status job(JobId id, const DataPreviewRequest &request, const JobContext &context);

    /// The open network, or the one made of it by surgery that these weights belong to; an error where there is none.
    Result<std::shared_ptr<ModelSession>> session(const std::string &weights = {}) const;
    /// Makes a session of a network that surgery made; the newest data and the original come from `base`.
    std::shared_ptr<ModelSession> addCut(const std::shared_ptr<ModelSession> &base, std::shared_ptr<const Network> network, const std::string &name);
    /// Reads the networks that the session file holds beside the one that was opened.
    std::map<std::string, std::shared_ptr<const ModelSummary>> loadCuts(JobId id, const std::shared_ptr<ModelSession> &base, const JobContext &context);
    /// A weights state, from memory or from the session file (heavy lane).
    Result<std::shared_ptr<const WeightsState>> weights(ModelSession &session, const std::string &name);
    /// The same on the light lane, through a connection of its own.
    Result<std::shared_ptr<const WeightsState>> weightsForLook(ModelSession &session, const std::string &name);
    /// Adds a trial to the session file where there is one; gives it a number either way.
    void record(JobId id, TrialRecord &trial);
    void storeWeights(JobId id, const WeightsState &state);
    /// The session file, opened on the heavy lane's thread; null when there is none or it cannot be written.
    SessionStore *store(JobId id);
    void log(JobId id, LogMessage::Level level, const std::string &text, const std::string &layer = {});
    /// The node up to which the live sets of the last evaluation stay good.
    std::size_t keepPoint(ModelSession &session, const ResolvedConfig &config, const std::string &variant, bool folded);
    /// All that fine-tuning `config` takes from a session, but metric, checkpoint and callbacks.
    Result<FineTuneInput> trainingInput(ModelSession &session, const WeightsState &start, const ModelConfig &config,
                                        const FineTuneOptions &options, const JobContext &context);
    /// What stays of an epoch: its trial, recorded, and its weights, a state of the session under a name that `run` tells
    /// apart.
    struct KeptEpoch { TrialRecord trial; ModelConfig config; };
    KeptEpoch keepEpoch(JobId id, ModelSession &session, const ModelConfig &config, const FineTuneInput &input, const EpochReport &epoch,
                        const std::string &run);
    /// One candidate of a comparison as it is, and after training from the values of `calibrated`.
    Result<NetworkCompared> evaluateCandidate(JobId id, const CompareNetworksRequest &request, const ModelConfig &config, Metric metric,
                                              const JobContext &context);
    Result<NetworkCompared> trainCandidate(JobId id, const CompareNetworksRequest &request, const ModelConfig &calibrated, Metric metric,
                                           std::size_t index, const JobContext &context);
    /// What a document about this model shows: statistics, trials, whether one of them measured it. Activations in
    /// `model` have their values by now.
    Result<std::shared_ptr<const ExportEvidence>> evidence(const ExportRequest &request, ModelSession &session, const ConfiguredModel &model,
                                                           const JobContext &context);
    double floatValue(ModelSession &session, Metric metric, std::int64_t limit, const JobContext &context);

    const EngineOptions &m_options;
    Emit m_emit;
    mutable std::mutex m_mutex;          // guards the three below
    std::shared_ptr<ModelSession> m_session;
    std::map<std::string, std::shared_ptr<ModelSession>> m_cuts;   ///< by network name
    std::string m_storePath;
    std::unique_ptr<SessionStore> m_store;   // heavy lane only
    std::string m_openStorePath;
    std::string m_evaluationSpec;
    std::int64_t m_lastTrial = 0;
};

} // namespace bitwright
