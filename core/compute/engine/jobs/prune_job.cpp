// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "simulate/masking.h"

namespace bitwright {

Status JobHost::job(JobId id, const PruneRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session());
    BW_ASSIGN(auto state, weightsForLook(*session, request.weights));
    const std::map<std::string, double> shares = [&] {
        std::map<std::string, double> made;
        for (const std::string &layer : request.layers)
            made[layer] = request.sparsity;
        return made;
    }();
    BW_ASSIGN(const auto tasks, pruneTasks(*session->network, request.config.foldBatchNorm, *state, shares, request.sparsity));
    BW_ASSIGN(const auto masks, pruneMasks(request.method, request.options, tasks,
                                           request.global ? PruneScope::Global : PruneScope::Layer));
    if (context.stopped())
        return cancelled();
    BW_ASSIGN(const ParamValues options, completeParams(findPruner(request.method)->traits.options, request.options, request.method));
    PruneReady event{id, request.config, 0, 0};
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        setPrune(event.config, tasks[i].site.layer, {request.method, request.sparsity, options, masks[i]});
        event.kept += masks[i].keptCount();
        event.total += masks[i].size();
    }
    m_emit(std::move(event));
    return {};
}

} // namespace bitwright
