// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "engine/trials.h"

namespace bitwright {

Status JobHost::job(JobId id, const SweepRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session());
    BW_ASSIGN(Evaluator *evaluator, session->evaluator());
    SweepOptions options;
    options.bits = request.bits;
    options.weight = request.role != "activation";
    options.activation = request.role != "weight";
    options.sqnr = request.measure == "sqnr";
    BW_ASSIGN(options.metric, defaultMetric(*session->network, evaluator->data(), context));
    options.spec = request.spec;
    options.limit = request.limit;
    std::shared_ptr<const ActivationStatistics> statistics = std::make_shared<const ActivationStatistics>();
    if (options.activation) {
        BW_ASSIGN(statistics, session->statistics({}, options.foldBatchNorm, kCalibrationSamples, context));
    }
    auto report = [&](const SweepResult &point) {
        m_emit(SweepPoint{id, point.layer, point.bits, point.value, point.delta, point.sqnrDb, point.sizeBytes});
    };
    BW_CHECK(sweep(*evaluator, session->network, options, *statistics, methodCatalog(), context, report));
    return {};
}

} // namespace bitwright
