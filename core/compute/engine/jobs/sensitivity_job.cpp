// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "engine/trials.h"
#include "search/sensitivity.h"

namespace bitwright {

Status JobHost::job(JobId id, const SensitivityRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session());
    BW_ASSIGN(Evaluator *evaluator, session->evaluator());
    SensitivityOptions options;
    options.method = request.method;
    options.options = request.options;
    options.sparsities = request.sparsities;
    options.sqnr = request.measure == "sqnr";
    BW_ASSIGN(options.metric, defaultMetric(*session->network, evaluator->data(), context));
    options.limit = request.limit;
    Evidence evidence;
    if (const PrunerRow *row = findPruner(request.method); row && row->traits.needsData) {
        BW_ASSIGN(const auto data, session->calibrationData());
        BW_ASSIGN(evidence, collectEvidence(*session->network, options.foldBatchNorm, {}, *data, kEvidenceSamples, context));
    }
    const auto report = [&](const SensitivityResult &point) {
        m_emit(SensitivityPoint{id, point.layer, point.sparsity, point.value, point.delta, point.sqnrDb, point.sizeBytes});
    };
    BW_CHECK(sensitivity(*evaluator, session->network, options, evidence, context, report));
    return {};
}

} // namespace bitwright
