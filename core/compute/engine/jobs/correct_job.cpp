// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "engine/trials.h"
#include "train/correct.h"

namespace bitwright {

Status JobHost::job(JobId id, const CorrectRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto start, weights(*session, request.weights));
    BW_ASSIGN(const auto data, session->calibrationData());
    BW_ASSIGN(const auto resolved, session->resolveCalibrated(request.config, *start, context));
    CorrectInput input{session->network, resolved, request.config.foldBatchNorm, *start, data, request.samples};
    const bool bias = request.step == CorrectRequest::Step::Bias;
    BW_ASSIGN(Correction correction, bias ? biasStep(input, context) : batchNormStep(input, context));
    for (const std::string &note : correction.notes)
        log(id, LogMessage::Level::Info, note);
    auto state = std::make_shared<WeightsState>();
    state->tensors = std::move(correction.parameters);
    // Unique in the session file too: the time and the job tell runs apart.
    state->name = session->stateName(std::string(bias ? "bias-corrected " : "re-estimated ") + timeText() + " job " + std::to_string(id));
    session->addState(state);
    storeWeights(id, *state);
    // The ranges that the correction was made for belong to it.
    m_emit(WeightsReady{id, withValues(request.config, resolved, false), state->name, bias ? "Correct biases" : "Re-estimate batch norm", nullptr});
    return {};
}

} // namespace bitwright
