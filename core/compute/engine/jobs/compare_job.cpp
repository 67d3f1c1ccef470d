// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "cost/size_model.h"
#include "engine/trials.h"
#include "quant/compare_site.h"

#include <limits>

namespace bitwright {

namespace {

constexpr const char *kEvaluationPhase = "evaluating", *kTrainingPhase = "fine-tuning";

} // namespace

Status JobHost::job(JobId id, const CompareRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto state, weightsForLook(*session, request.weights));
    BW_ASSIGN(auto source, session->previewSource(request.layer, request.role, request.foldBatchNorm, *state, request.mask));
    const LayerInfo *layer = session->network->summary().layer(request.layer);
    for (std::size_t i = 0; i < request.specs.size(); ++i) {
        if (context.stopped())
            return cancelled();
        context.progress("comparing", std::int64_t(i), std::int64_t(request.specs.size()));
        CompareReady event;
        if (auto compared = compareSite(*source, request.specs[i])) {
            event = std::move(*compared);
            if (request.role == Role::Weight && layer)
                event.sizeBits = siteSizeBits(*layer, event.spec, request.mask);
        } else {
            event.layer = request.layer;
            event.role = request.role;
            event.spec = request.specs[i];
            event.sqnrDb = std::numeric_limits<double>::quiet_NaN();
            event.error = compared.error().message;
        }
        event.job = id;
        event.index = i;
        m_emit(std::move(event));
    }
    return {};
}

Result<NetworkCompared> JobHost::evaluateCandidate(JobId id, const CompareNetworksRequest &request, const ModelConfig &config,
                                                   Metric metric, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(Evaluator *evaluator, session->evaluator());
    BW_ASSIGN(auto state, weights(*session, request.weights));
    BW_ASSIGN(const ResolvedConfig resolved, session->resolveCalibrated(config, *state, context));
    BW_ASSIGN(auto simulation, Simulation::make(session->network, resolved, config.foldBatchNorm, *state));
    EvaluationOptions options;
    options.metric = metric;
    options.limit = request.limit;
    options.incremental = false;   // no candidate shares what it computes with the next
    BW_ASSIGN(const Estimate estimate, evaluator->evaluate(*simulation, options, context));
    if (const std::string note = nonFiniteNote(estimate); !note.empty())
        log(id, LogMessage::Level::Warning, note);
    NetworkCompared event;
    event.config = withValues(config, resolved, false);
    const ModelSummary &model = session->network->summary();
    event.trial = makeTrial(model, event.config, modelCost(model, resolved, config.foldBatchNorm), metric, estimate,
                            {"evaluation", m_evaluationSpec, request.weights, request.seed, -1});
    record(id, event.trial);
    return event;
}

Result<NetworkCompared> JobHost::trainCandidate(JobId id, const CompareNetworksRequest &request, const ModelConfig &calibrated,
                                                Metric metric, std::size_t index, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto state, weights(*session, request.weights));
    FineTuneOptions training = request.training;
    training.seed = request.seed;
    BW_ASSIGN(FineTuneInput input, trainingInput(*session, *state, calibrated, training, context));
    input.metric = metric;
    input.evaluationLimit = request.limit;
    BW_ASSIGN(const FineTuneResult result, fineTune(input, context, {}));
    // The last epoch alone is kept: every epoch of every candidate would fill the session with weights.
    const std::string run = "job " + std::to_string(id) + " candidate " + std::to_string(index + 1);
    KeptEpoch kept = keepEpoch(id, *session, calibrated, input, result.history.back(), run);
    NetworkCompared event;
    event.weights = kept.trial.weights;
    event.trial = std::move(kept.trial);
    event.config = std::move(kept.config);
    return event;
}

Status JobHost::job(JobId id, const CompareNetworksRequest &request, const JobContext &context)
{
    BW_ASSIGN(const Metric metric, metricFromName(request.metric));
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_CHECK(session->evaluator());
    const bool training = request.training.epochs > 0;
    if (training)
        BW_CHECK(session->trainingData());
    for (std::size_t i = 0; i < request.candidates.size(); ++i) {
        if (context.stopped())
            return cancelled();
        const auto &[title, config] = request.candidates[i];
        JobContext one = context;
        one.report = [&](const Progress &p) {   // the longest part of a candidate moves the bar of the whole list
            constexpr std::int64_t kParts = 1000;
            const bool counts = p.total > 0 && p.phase == (training ? kTrainingPhase : kEvaluationPhase);
            context.progress(title, std::int64_t(i) * kParts + (counts ? p.done * kParts / p.total : 0),
                             std::int64_t(request.candidates.size()) * kParts);
        };
        const auto report = [&](Result<NetworkCompared> result, bool trained) {
            NetworkCompared event;
            if (result) {
                event = std::move(*result);
            } else {
                event.config = config;
                event.error = result.error().message;
            }
            event.job = id;
            event.index = i;
            event.title = title;
            event.trained = trained;
            m_emit(std::move(event));
        };
        auto before = evaluateCandidate(id, request, config, metric, one);
        if (!before && isCancelled(before.error()))
            return cancelled();
        report(before, false);
        if (!before || !training)
            continue;
        auto after = trainCandidate(id, request, before->config, metric, i, one);
        if (!after && isCancelled(after.error()))
            return cancelled();
        report(after, true);
    }
    return {};
}

} // namespace bitwright
