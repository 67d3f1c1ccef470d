// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "engine/trials.h"

#include <chrono>
#include <cmath>
#include <limits>

namespace bitwright {

Status JobHost::job(JobId id, const CalibrateRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto state, weights(*session, request.weights));
    BW_ASSIGN(const ResolvedConfig resolved, session->resolveCalibrated(request.config, *state, context, request.samples));
    m_emit(CalibrationReady{id, withValues(request.config, resolved, false)});
    return {};
}

Status JobHost::job(JobId id, const EvaluateRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(const Metric metric, metricFromName(request.metric));
    BW_ASSIGN(Evaluator *evaluator, session->evaluator());
    BW_ASSIGN(auto state, weights(*session, request.weights));
    BW_ASSIGN(const ResolvedConfig resolved, session->resolveCalibrated(request.config, *state, context));
    const bool folded = request.config.foldBatchNorm;
    BW_ASSIGN(auto simulation, Simulation::make(session->network, resolved, folded, *state, &session->weightCache));

    EvaluationOptions options;
    options.metric = metric;
    options.limit = request.limit;
    options.keepAt = keepPoint(*session, resolved, state->name + (folded ? "|folded" : "|plain"), folded);
    const ModelCost cost = modelCost(session->network->summary(), resolved, folded);
    EvaluationReady event;
    event.job = id;
    event.config = withValues(request.config, resolved, false);
    BW_ASSIGN(auto original, this->session());   // the float network stays what everything is measured against
    const auto known = original->floatValues.find({request.metric, request.limit});
    event.floatValue = known == original->floatValues.end() ? std::numeric_limits<double>::quiet_NaN() : known->second;
    auto trialOf = [&](const Estimate &estimate) {
        return makeTrial(session->network->summary(), event.config, cost, metric, estimate,
                         {"evaluation", m_evaluationSpec, request.weights, request.seed, -1});
    };
    using Clock = std::chrono::steady_clock;
    Clock::time_point last{};
    BW_ASSIGN(const Estimate estimate, evaluator->evaluate(*simulation, options, context, [&](const Estimate &running) {
        const auto now = Clock::now();
        if (running.final || now - last < std::chrono::milliseconds(50))
            return;
        last = now;
        event.trial = trialOf(running);
        m_emit(event);
    }));
    if (const std::string note = nonFiniteNote(estimate); !note.empty())
        log(id, LogMessage::Level::Warning, note);
    event.final = true;
    event.trial = trialOf(estimate);
    bool isFloat = request.weights.empty();
    for (const auto &[name, layer] : resolved)
        isFloat = isFloat && layer.weight.isFloat() && layer.activation.isFloat() && layer.prune.isNone();
    if (isFloat)
        original->floatValues[{request.metric, request.limit}] = estimate.value;
    if (request.record)
        record(id, event.trial);
    if (std::isnan(event.floatValue) && (isFloat || !needsReference(metric)))
        event.floatValue = isFloat ? estimate.value : floatValue(*original, metric, request.limit, context);
    m_emit(event);
    return {};
}

} // namespace bitwright
