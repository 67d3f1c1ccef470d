// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/export_model.h"

#include "base/replace_file.h"
#include "engine/trials.h"
#include "exporters/runtimes.h"
#include "simulate/masking.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace bitwright {

namespace {

Result<at::Tensor> answer(const Simulation &simulation, const NetworkInputs &inputs)
{
    if (inputs.size() == 1 && inputs[0].isTensor())
        return simulation.run(inputs[0].toTensor());   // fills a fixed batch up
    BW_ASSIGN(const auto outputs, simulation.runAll(inputs));
    return firstOutput(outputs);
}

Result<SimulationTrace> trace(Simulation &simulation, const NetworkInputs &inputs)
{
    SimulationTrace made;
    const auto &bindings = simulation.executor().bindings();
    simulation.observer = [&](std::size_t binding, int, const at::Tensor &quantized) {
        // The layer may go on to overwrite it.
        made.quantizedInputs[bindings[binding].info.name].push_back(quantized.clone());
    };
    auto output = answer(simulation, inputs);
    simulation.observer = {};
    if (!output)
        return std::unexpected(output.error());
    made.output = *output;
    return made;
}

/// What a layer's call reads before its quantizer, in the simulation's own pass.
Result<at::Tensor> unquantized(const Simulation &simulation, const std::string &layer, int wanted, const NetworkInputs &inputs)
{
    at::NoGradGuard noGrad;
    RunOptions options = simulation.runOptions();
    const Tap &quantize = *options.tap;
    at::Tensor seen;
    const Tap tap = [&](std::size_t binding, int call, const at::Tensor &input, bool mayOverwrite) {
        if (call == wanted && simulation.executor().bindings()[binding].info.name == layer)
            seen = input.clone();
        return quantize(binding, call, input, mayOverwrite);
    };
    options.tap = &tap;
    BW_CHECK(simulation.executor().run(inputs, simulation.parameters(), options));
    return seen;
}

} // namespace

Result<ExportReport> exportModel(const ConfiguredModel &model, const std::string &format, const std::string &path,
                                 const at::Tensor &example, const JobContext &context, std::shared_ptr<const ExportEvidence> evidence)
{
    const Exporter *exporter = findExporter(format);
    if (!exporter) {
        std::string known;
        for (const Exporter &row : exporters())
            known += (known.empty() ? "" : ", ") + row.id;
        return fail(ErrorKind::Invalid, "format " + format + ", there is no such export format; use one of " + known);
    }
    BW_CHECK(notOver(model.network->summary().path, path));
    BW_ASSIGN(ExportInput input, exportInput(model, example));
    input.evidence = std::move(evidence);
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
    BW_ASSIGN(auto made, Simulation::make(model.network, model.resolved, model.config.foldBatchNorm, model.weights));
    const std::shared_ptr<Simulation> simulation = std::move(made);
    verify.simulate = [simulation](const NetworkInputs &inputs) { return trace(*simulation, inputs); };
    verify.unquantized = [simulation](const std::string &layer, int call, const NetworkInputs &inputs) {
        return unquantized(*simulation, layer, call, inputs);
    };
    verify.network = model.network;
    verify.foldBatchNorm = model.config.foldBatchNorm;
    verify.config = model.resolved;
    const Graph &graph = model.network->graph(model.config.foldBatchNorm);
    for (std::size_t i = 0; i < graph.parameters.size(); ++i)
        verify.weights[graph.parameters[i].name] = simulation->parameters()[i];
    return {};
}

} // namespace bitwright
