// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "config/stored_spec.h"
#include "engine/trials.h"
#include "session/trained_weights.h"

#include <filesystem>

namespace bitwright {

Result<FineTuneInput> JobHost::trainingInput(ModelSession &session, const WeightsState &start, const ModelConfig &config,
                                             const FineTuneOptions &options, const JobContext &context)
{
    FineTuneInput input;
    input.network = session.network;
    input.start = start;
    BW_ASSIGN(input.config, session.resolveCalibrated(config, start, context));
    input.foldBatchNorm = config.foldBatchNorm;
    input.options = options;
    BW_ASSIGN(input.training, session.trainingData());
    BW_ASSIGN(input.evaluation, session.evaluator());
    BW_ASSIGN(input.metric, defaultMetric(*session.network, input.evaluation->data(), context));
    input.teacher = session.original();   // also of a network that was cut
    if (!options.teacher.empty()) {
        BW_ASSIGN(input.teacher, Network::open(options.teacher, context));
    }
    return input;
}

JobHost::KeptEpoch JobHost::keepEpoch(JobId id, ModelSession &session, const ModelConfig &config, const FineTuneInput &input,
                                      const EpochReport &epoch, const std::string &run)
{
    KeptEpoch kept;
    kept.config = withValues(config, epoch.config, true);
    // Recipes may prune: what it takes is that of this epoch's masks.
    const ModelCost cost = modelCost(afterTraining(session.network->summary()), epoch.config, input.foldBatchNorm);
    kept.trial = makeTrial(session.network->summary(), kept.config, cost, input.metric, epoch.estimate,
                           {"epoch", m_evaluationSpec, {}, input.options.seed, epoch.epoch});
    auto state = std::make_shared<WeightsState>();
    // Unique in the session file too: the time and the job tell runs apart.
    state->name = session.stateName(kTrainedPrefix + kept.trial.created + " " + run + " epoch " + std::to_string(epoch.epoch));
    state->tensors = epoch.state->tensors;
    kept.trial.weights = state->name;
    session.addState(state);
    storeWeights(id, *state);
    record(id, kept.trial);
    return kept;
}

Status JobHost::job(JobId id, const FineTuneRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto start, weights(*session, request.weights));
    BW_ASSIGN(FineTuneInput input, trainingInput(*session, *start, request.config, request.options, context));
    input.checkpoint = request.checkpoint;
    input.resume = !request.checkpoint.empty();

    FineTuneCallbacks callbacks;
    callbacks.step = [&](const StepReport &step) {
        m_emit(TrainingStep{id, step.step, step.totalSteps, step.epoch, step.loss, step.accuracy, step.learningRate, step.recipes});
    };
    callbacks.epoch = [&](const EpochReport &epoch) {
        KeptEpoch kept = keepEpoch(id, *session, request.config, input, epoch, "job " + std::to_string(id));
        TrainingEpoch event;
        event.job = id;
        event.epoch = epoch.epoch;
        event.trainLoss = epoch.loss;
        event.weights = kept.trial.weights;
        event.trial = std::move(kept.trial);
        event.config = std::move(kept.config);
        event.traces = epoch.traces;
        event.recipeNumbers = epoch.numbers;
        m_emit(std::move(event));
    };
    BW_CHECK(fineTune(input, context, callbacks));
    if (!request.checkpoint.empty()) {
        std::error_code ignored;   // a finished run leaves nothing to go on from
        std::filesystem::remove(request.checkpoint, ignored);
    }
    return {};
}

} // namespace bitwright
