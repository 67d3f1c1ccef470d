// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "prune/target.h"
#include "simulate/evidence.h"
#include "simulate/masking.h"

namespace bitwright {

Status JobHost::job(JobId id, const PruneRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto state, weightsForLook(*session, request.weights));
    const PrunerRow *row = findPruner(request.method);
    if (!row)
        return fail(ErrorKind::Unsupported, "method " + request.method + ", there is no such pruner; see the list of methods");
    const bool folded = request.config.foldBatchNorm;
    std::map<std::string, double> shares;
    for (const std::string &layer : request.layers)
        shares[layer] = request.sparsity;
    PruneOrder order{request.method, {}, request.global ? PruneScope::Global : PruneScope::Layer, PruneTarget::Share, request.sparsity};
    BW_ASSIGN(order.target, pruneTargetFromName(request.target));
    BW_ASSIGN(order.options, completeParams(row->traits.options, request.options, request.method));
    BW_ASSIGN(auto tasks, pruneTasks(*session->network, folded, *state, request.method, shares, request.sparsity));
    if (row->traits.needsData) {
        BW_ASSIGN(const auto data, session->calibrationData());
        BW_ASSIGN(const auto evidence, collectEvidence(*session->network, folded, *state, *data, kEvidenceSamples, context));
        addEvidence(tasks, evidence);
    }
    BW_ASSIGN(const ResolvedConfig base, resolve(request.config, session->network->summary(), methodCatalog()));
    BW_ASSIGN(const auto found, masksForTarget(order, tasks, session->network->summary(), base, folded, context));
    if (context.stopped())
        return cancelled();
    PruneReady event{id, request.config, 0, 0};
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        PruneSpec spec{request.method, found.sparsities[i], order.options, found.masks[i]};
        if (const auto before = base.find(tasks[i].site.layer); before != base.end())
            keepRemovedChannels(spec, before->second.prune, *session->network->summary().layer(tasks[i].site.layer));
        setPrune(event.config, tasks[i].site.layer, spec);
        event.kept += spec.mask.keptCount();
        event.total += spec.mask.size();
    }
    m_emit(std::move(event));
    return {};
}

} // namespace bitwright
