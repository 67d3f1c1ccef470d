// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "base/replace_file.h"
#include "engine/export_model.h"
#include "exporters/pt2_writer.h"
#include "frontends/frontend.h"
#include "quant/quantizer.h"

#include <algorithm>
#include <filesystem>

namespace bitwright {

Status JobHost::job(JobId id, const ExportRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto state, weights(*session, request.weights));
    ConfiguredModel model{session->network, request.config, {}, *state};
    ExportReady event;
    event.job = id;
    event.path = request.path;

    BW_ASSIGN(const ResolvedConfig wanted, resolve(request.config, session->network->summary(), methodCatalog()));
    const bool plain = std::ranges::all_of(wanted, [](const auto &entry) {
        return entry.second.weight.isFloat() && entry.second.activation.isFloat() && entry.second.prune.isNone();
    });
    if (plain && !request.config.foldBatchNorm && request.format == session->network->summary().format) {
        // Nothing to configure: the network's own format takes the (trained) weights and keeps all else that the file holds.
        if (session->networkName.empty()) {
            BW_CHECK(writeWithParameters(session->network->summary().path, state->tensors, request.path));
        } else {   // a network of our own making has no file to copy
            BW_CHECK(notOver(session->network->summary().path, request.path));
            Graph graph = session->network->graph();
            for (Parameter &parameter : graph.parameters)
                if (const auto trained = state->tensors.find(parameter.name); trained != state->tensors.end())
                    parameter.tensor = trained->second;
            BW_CHECK(writeGraphPt2(graph, request.path, context));
        }
        std::error_code code;
        event.bytes = std::int64_t(std::filesystem::file_size(request.path, code));
        event.notes.push_back("nothing is quantized: float weights in the format that was opened");
        m_emit(event);
        return {};
    }
    BW_ASSIGN(model.resolved, session->resolveCalibrated(request.config, *state, context));
    auto evaluator = session->evaluator();
    const at::Tensor example = evaluator ? (*evaluator)->inputs(0, std::min<std::int64_t>(2, (*evaluator)->data().size())) : at::Tensor();
    BW_ASSIGN(const ExportReport report, exportModel(model, request.format, request.path, example, context));
    event.bytes = report.bytes;
    for (const ExportedLayer &layer : report.layers)
        event.layers.push_back({layer.name, layer.bits, layer.encoding});
    event.notes = report.notes;
    if (request.verify && request.format == "state_dict") {
        event.notes.push_back("a state dict has no operators to run: it was read back, not compared");
    } else if (request.verify && evaluator) {
        VerifyInput verify;
        verify.path = request.path;
        verify.format = request.format;
        verify.inputs = (*evaluator)->inputs(0, std::min(request.verifySamples, (*evaluator)->data().size()));
        verify.batch = (*evaluator)->batchSize(verify.batch);
        BW_CHECK(setSimulation(verify, model));
        BW_ASSIGN(const VerifyReport seen, verifyFile(verify, context));
        event.verified = true;
        event.runtime = seen.runtime;
        event.maxAbsDifference = seen.maxAbsDifference;
        event.top1Agreement = seen.top1Agreement;
        event.differingLevels = seen.differingLevels;
        event.firstDifferingLayer = seen.firstDifferingLayer;
        event.agreement = seen.layers;
        event.notes.insert(event.notes.end(), seen.notes.begin(), seen.notes.end());
    }
    m_emit(event);
    return {};
}

} // namespace bitwright
