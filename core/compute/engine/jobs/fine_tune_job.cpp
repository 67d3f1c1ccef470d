// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "engine/trials.h"
#include "train/trainer.h"

#include <filesystem>

namespace bitwright {

Status JobHost::job(JobId id, const FineTuneRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto start, weights(*session, request.weights));
    FineTuneInput input;
    input.network = session->network;
    input.start = *start;
    BW_ASSIGN(input.config, session->resolveCalibrated(request.config, *start, context));
    input.foldBatchNorm = request.config.foldBatchNorm;
    input.options = request.options;
    BW_ASSIGN(input.training, session->trainingData());
    BW_ASSIGN(input.evaluation, session->evaluator());
    input.metric = defaultMetric(input.evaluation->data());
    input.checkpoint = request.checkpoint;
    input.resume = !request.checkpoint.empty();
    input.teacher = session->original();   // also of a network that was cut
    if (!request.options.teacher.empty()) {
        BW_ASSIGN(input.teacher, Network::open(request.options.teacher, context));
    }

    FineTuneCallbacks callbacks;
    callbacks.step = [&](const StepReport &step) {
        m_emit(TrainingStep{id, step.step, step.totalSteps, step.epoch, step.loss, step.accuracy, step.learningRate, step.recipes});
    };
    callbacks.epoch = [&](const EpochReport &epoch) {
        auto state = std::make_shared<WeightsState>();
        TrainingEpoch event;
        event.job = id;
        event.epoch = epoch.epoch;
        event.trainLoss = epoch.loss;
        event.config = withValues(request.config, epoch.config, true);
        event.recipeNumbers = epoch.numbers;
        // Recipes may prune: what it takes is that of this epoch's masks.
        const ModelCost cost = modelCost(session->network->summary(), epoch.config, input.foldBatchNorm);
        event.trial = makeTrial(session->network->summary(), event.config, cost, input.metric, epoch.estimate,
                                {"epoch", m_evaluationSpec, {}, request.options.seed, epoch.epoch});
        // Unique in the session file too: the time and the job tell runs apart.
        state->name = session->stateName("fine-tuned " + event.trial.created + " job " + std::to_string(id) + " epoch " + std::to_string(epoch.epoch));
        state->tensors = epoch.state->tensors;
        event.weights = event.trial.weights = state->name;
        session->addState(state);
        storeWeights(id, *state);
        record(id, event.trial);
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
