// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "simulate/masking.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>

namespace bitwright {

namespace {

std::shared_ptr<const std::vector<float>> copied(const at::Tensor &tensor)
{
    const at::Tensor plain = tensor.to(at::kFloat).contiguous();
    const float *first = plain.const_data_ptr<float>();
    return std::make_shared<const std::vector<float>>(first, first + plain.numel());
}

Result<std::shared_ptr<const std::vector<float>>> scoresOf(const WeightRequest &request, const PruneSite &site)
{
    const PrunerRow *row = findPruner(request.criterion);
    if (!row)
        return fail(ErrorKind::Unsupported, "method " + request.criterion + ", there is no such pruner; see the list of methods");
    if (row->traits.needsData)
        return fail(ErrorKind::Unsupported, "method " + request.criterion + ", it looks at data and cannot colour a weight alone; "
                                                "choose a criterion of the weights");
    BW_ASSIGN(const ParamValues options, completeParams(row->traits.options, request.options, request.criterion));
    BW_ASSIGN(const PruneScores found, row->score(site, options, 0));
    return copied(found.scores);
}

} // namespace

Status JobHost::job(JobId id, const WeightRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto state, weightsForLook(*session, request.weights));
    BW_ASSIGN(const auto tasks, pruneTasks(*session->network, request.foldBatchNorm, *state, "", {{request.layer, 0.0}}, 0));
    if (context.stopped())
        return cancelled();
    const PruneSite &site = tasks.front().site;
    return guarded(request.layer, ErrorKind::Numeric, [&]() -> Status {
        WeightReady event;
        event.job = id;
        event.request = request;
        event.shape = site.weight.sizes().vec();
        event.channelAxis = site.channelAxis;
        event.values = copied(site.weight);
        if (!request.criterion.empty()) {
            BW_ASSIGN(event.scores, scoresOf(request, site));
        }
        if (context.stopped())
            return cancelled();
        m_emit(std::move(event));
        return {};
    });
}

} // namespace bitwright
