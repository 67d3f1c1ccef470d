// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "engine/export_model.h"
#include "exporters/pack.h"

namespace bitwright {

/// A dry run of the exporter. Values of inputs that are not calibrated yet are not counted; they are some bytes of the header.
Status JobHost::job(JobId id, const PackSizeRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto state, weightsForLook(*session, request.weights));
    ConfiguredModel model{session->network, request.config, {}, *state};
    BW_ASSIGN(model.resolved, resolve(request.config, session->network->summary(), methodCatalog()));
    // the light lane has no time to see the data, but what was seen already is used
    if (const auto known = session->knownStatistics(state->name, request.config.foldBatchNorm)) {
        ResolvedConfig filled = model.resolved;
        if (fillActivations(filled, *session->network, *known))
            model.resolved = std::move(filled);
    }
    if (context.stopped())
        return cancelled();
    // weights alone: levels are fitted by a simulation, which wants its inputs calibrated
    ConfiguredModel weightsOnly = model;
    for (auto &[name, layer] : weightsOnly.resolved)
        layer.activation = {};
    BW_ASSIGN(ExportInput input, exportInput(weightsOnly, {}));
    for (auto &[name, layer] : input.config)
        layer.activation = model.resolved.at(name).activation;
    input.assignment = withValues(request.config, input.config, true);
    input.assignment.modelSha = session->network->summary().sha256;
    BW_ASSIGN(const pack::PackFile file, packModel(input, context));
    PackSizeReady event{id, std::int64_t(pack::serialize(file).size()), {}};
    for (const auto &tensor : file.tensors)
        event.layers.push_back({tensor.name, tensor.describe(), tensor.bitsPerWeight()});
    m_emit(std::move(event));
    return {};
}

} // namespace bitwright
