// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/export_model.h"

#include "base/replace_file.h"
#include "engine/trials.h"
#include "simulate/masking.h"

#include <algorithm>

namespace bitwright {

Result<ExportReport> exportModel(const ConfiguredModel &model, const std::string &format, const std::string &path,
                                 const at::Tensor &example, const JobContext &context)
{
    const Exporter *exporter = findExporter(format);
    if (!exporter) {
        std::string known;
        for (const Exporter &row : exporters())
            known += (known.empty() ? "" : ", ") + row.id;
        return fail(ErrorKind::Invalid, "format " + format + ", there is no such export format; use one of " + known);
    }
    BW_CHECK(notOver(model.network->summary().path, path));
    BW_ASSIGN(const ExportInput input, exportInput(model, example));
    return exporter->write(input, path, context);
}

Result<ExportInput> exportInput(const ConfiguredModel &model, const at::Tensor &example)
{
    const bool folded = model.config.foldBatchNorm;
    ExportInput input;
    input.graph = &model.network->graph(folded);
    input.bindings = model.network->executor(folded).bindings();
    input.config = model.resolved;
    if (std::ranges::any_of(model.resolved, [](const auto &entry) { return !entry.second.prune.isNone(); })) {
        BW_CHECK(fillMasks(input.config, *model.network, folded, model.weights));
        // Levels are fitted to what the masks keep; the exporter sees the zeros only.
        BW_CHECK(fillWeights(input.config, model.network, folded, model.weights));
    }
    input.parameters = maskedParameters(*model.network, folded, model.weights, input.config);
    input.assignment = withValues(model.config, input.config, true);
    input.assignment.modelSha = model.network->summary().sha256;
    if (example.defined())
        input.example.push_back(example);
    input.producerVersion = versionsText();
    return input;
}

Status setSimulation(VerifyInput &verify, const ConfiguredModel &model)
{
    BW_ASSIGN(verify.simulate, tracedSimulation(model));
    verify.network = model.network;
    BW_ASSIGN(const auto simulation, Simulation::make(model.network, model.resolved, model.config.foldBatchNorm, model.weights));
    const Graph &graph = model.network->graph(model.config.foldBatchNorm);
    for (std::size_t i = 0; i < graph.parameters.size(); ++i)
        verify.weights[graph.parameters[i].name] = simulation->parameters()[i];
    return {};
}

Result<Simulate> tracedSimulation(const ConfiguredModel &model)
{
    BW_ASSIGN(auto made, Simulation::make(model.network, model.resolved, model.config.foldBatchNorm, model.weights));
    std::shared_ptr<Simulation> simulation = std::move(made);
    return Simulate([simulation](const at::Tensor &input) -> Result<SimulationTrace> {
        SimulationTrace trace;
        const auto &bindings = simulation->executor().bindings();
        simulation->observer = [&](std::size_t binding, int, const at::Tensor &quantized) {
            // The layer may go on to overwrite it.
            trace.quantizedInputs[bindings[binding].info.name].push_back(quantized.clone());
        };
        auto output = simulation->run(input);
        simulation->observer = {};
        if (!output)
            return std::unexpected(output.error());
        trace.output = *output;
        return trace;
    });
}

} // namespace bitwright
