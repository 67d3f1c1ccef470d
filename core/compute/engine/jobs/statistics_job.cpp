// SPDX-License-Identifier: GPL-3.0-or-later
// Distributions of weights and layer inputs.
#include "engine/job_host.h"

#include "graph/stored_layers.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>

namespace bitwright {

Status JobHost::job(JobId id, const StatisticsRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto state, weights(*session, request.weights));
    const Executor &executor = session->network->executor(request.foldBatchNorm);
    const auto bound = executor.bind(session->network->parameters(request.foldBatchNorm, state->tensors));
    for (const LayerBinding &binding : executor.bindings()) {
        if (context.stopped())
            return cancelled();
        const int parameter = executor.graph().parameterOf(binding.weight);
        if (parameter < 0)
            continue;
        const at::Tensor weight = realWeight(binding, bound[std::size_t(parameter)]);
        m_emit(StatisticsReady{id, binding.info.name, Role::Weight, momentsOf(weight),
                               histogramOf(weight, shownBins(std::uint64_t(weight.numel()), std::size_t(request.bins))), channelMoments(weight, binding.info.channelAxis)});
    }
    if (!session->calibrationData())
        return {};
    BW_ASSIGN(auto statistics, session->statistics(*state, false, request.samples, context));
    for (const auto &[layer, site] : *statistics) {
        const std::size_t bins = shownBins(site.moments.count, std::size_t(request.bins));
        m_emit(StatisticsReady{id, layer, Role::Activation, site.moments,
                               rebin(site.histogram, site.moments.min, site.moments.max, bins), {}});
    }
    return {};
}

} // namespace bitwright
