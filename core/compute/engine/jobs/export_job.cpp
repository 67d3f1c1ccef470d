// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "base/replace_file.h"
#include "engine/export_model.h"
#include "engine/trials.h"
#include "engine/write_trained.h"
#include "exporters/pt2_writer.h"
#include "quant/quantizer.h"
#include "report/measured_trial.h"
#include "report/report_text.h"
#include "simulate/sample_batches.h"

#include <algorithm>
#include <filesystem>

namespace bitwright {

namespace {

/// What a person types to get the same page. The assignment is on the page itself.
std::vector<std::string> commandsFor(const ExportRequest &request, const ModelSummary &model, const std::string &data)
{
    std::vector<std::string> commands{"# the assignment at the end of this page, saved as assignment.json:"};
    if (!request.weights.empty())
        commands.push_back("# the weights " + request.weights + " are of a session: export them first and name that file instead");
    commands.push_back("bitwright-cli export " + shellWord(model.path) + " --config assignment.json" + (data.empty() ? "" : " --data " + shellWord(data)) +
                       " --format " + request.format + " -o " + shellWord(request.path));
    return commands;
}

} // namespace

Result<std::shared_ptr<const ExportEvidence>> JobHost::evidence(const ExportRequest &request, ModelSession &session, const ConfiguredModel &model,
                                                                const JobContext &context)
{
    auto made = std::make_shared<ExportEvidence>();
    made->summary = session.network->summary();
    made->config = withValues(request.config, model.resolved, false);
    made->weights = request.weights;
    made->calibrated = rangeCount(model.resolved) > 0;
    if (auto data = session.calibrationData()) {
        BW_ASSIGN(const auto seen, session.statistics(model.weights, request.config.foldBatchNorm, kCalibrationSamples, context));
        made->statistics = *seen;
        if (made->calibrated) {
            // Only what this data gives again was found on it; learned ranges and those of a file may be others.
            auto again = session.resolveCalibrated(withoutRanges(request.config), model.weights, context);
            if (again && 2 * sharedRanges(model.resolved, *again) > rangeCount(model.resolved)) {
                made->calibrationData = (*data)->spec;
                made->calibrationSamples = std::min(kCalibrationSamples, (*data)->size());
            }
        }
    }
    for (const TrialRecord &trial : request.trials)
        if (trial.modelSha == made->summary.sha256)
            made->trials.push_back(trial);
    if (const TrialRecord *trial = measuredTrial(made->trials, made->summary, made->config, request.weights, methodCatalog())) {
        made->measured = *trial;
        made->seed = trial->seed;
    }
    made->commands = commandsFor(request, made->summary, m_evaluationSpec);
    made->created = timeText();
    return std::shared_ptr<const ExportEvidence>(std::move(made));
}

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
            BW_CHECK(writeTrained(session->network, state->tensors, request.path, context));
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
    const at::Tensor example = evaluator && (*evaluator)->data().isSingle() ? (*evaluator)->inputs(0, std::min<std::int64_t>(2, (*evaluator)->data().size())) : at::Tensor();
    const Exporter *exporter = findExporter(request.format);
    std::shared_ptr<const ExportEvidence> shown;
    if (exporter && exporter->document) {
        BW_ASSIGN(shown, evidence(request, *session, model, context));
    }
    BW_ASSIGN(const ExportReport report, exportModel(model, request.format, request.path, example, context, std::move(shown)));
    event.bytes = report.bytes;
    for (const ExportedLayer &layer : report.layers)
        event.layers.push_back({layer.name, layer.bits, layer.encoding});
    event.notes = report.notes;
    event.report = report.document;
    // Weights alone are compared as they are; all else is run.
    const bool weightsAlone = exporter && !exporter->capabilities.operators && !exporter->capabilities.activations;
    if (request.verify && (evaluator || weightsAlone) && !event.report) {
        VerifyInput verify;
        verify.path = request.path;
        verify.format = request.format;
        if (evaluator) {
            const Dataset &data = (*evaluator)->data();
            verify.samples = std::min(request.verifySamples, data.size());
            verify.rows = [&, network = session->network](std::int64_t first, std::int64_t count) { return batchArguments(*network, data, first, count); };
            verify.batch = (*evaluator)->batchSize(verify.batch);
        }
        BW_CHECK(setSimulation(verify, model));
        BW_ASSIGN(const VerifyReport seen, verifyFile(verify, context));
        event.verified = true;
        event.runtime = seen.runtime;
        event.maxAbsDifference = seen.maxAbsDifference;
        event.top1Agreement = seen.top1Agreement;
        event.differingLevels = seen.differingLevels;
        event.firstDifferingLayer = seen.firstDifferingLayer;
        event.agreement = seen.layers;
        for (LayerAgreement &tensor : event.agreement)   // a layer's weight stands for the layer
            if (weightsAlone && tensor.layer.ends_with(".weight"))
                tensor.layer.resize(tensor.layer.size() - std::string_view(".weight").size());
        event.notes.insert(event.notes.end(), seen.notes.begin(), seen.notes.end());
        if (!seen.reason.empty())
            event.notes.push_back(seen.reason);
    }
    m_emit(event);
    return {};
}

} // namespace bitwright
