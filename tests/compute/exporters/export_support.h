// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// One network on its way out: calibrated, written, run by somebody else, compared.

#include "exporters/child_python.h"
#include "exporters/exporter.h"
#include "exporters/runtimes.h"
#include "exporters/verify.h"
#include "frontends/frontend.h"
#include "graph_builder.h"
#include "sample_networks.h"
#include "simulate/simulation.h"

#include <ATen/ATen.h>
#include <QProcess>
#include <QString>
#include <QStringList>

namespace bitwright::testing {

/// A hand-made network with data of its input's shape.
struct Case {
    std::shared_ptr<const Network> network;
    at::Tensor inputs;
};

struct Exported {
    ExportReport report;
    std::shared_ptr<Simulation> simulation;
    ResolvedConfig config;
};

inline Dataset datasetOf(const at::Tensor &inputs)
{
    Dataset data;
    data.images = inputs;
    if (!inputs.is_floating_point()) {
        InputColumn ids;
        ids.values = inputs;
        ids.type = inputs.scalar_type();
        data.columns.push_back(std::move(ids));
    }
    return data;
}

/// Calibrates `config` on the inputs and writes the file.
inline Result<Exported> exportCase(const Case &made, const ModelConfig &assignment, const std::string &path,
                                   const std::string &format = "onnx")
{
    Exported exported;
    const Network &network = *made.network;
    const bool folded = assignment.foldBatchNorm;
    BW_ASSIGN(exported.config, resolve(assignment, network.summary(), methodCatalog()));
    const Dataset data = datasetOf(made.inputs);
    BW_ASSIGN(const auto statistics, collectActivations(network, folded, {}, data, 0, {}));
    BW_CHECK(fillActivations(exported.config, network, statistics));
    BW_ASSIGN(auto simulation, Simulation::make(made.network, exported.config, folded));
    exported.simulation = std::move(simulation);
    ExportInput input;
    input.graph = &network.graph(folded);
    input.bindings = network.executor(folded).bindings();
    input.parameters = network.parameters(folded);
    input.config = exported.config;
    input.assignment = withValues(assignment, exported.config, false);
    input.example = {made.inputs.narrow(0, 0, 1)};
    input.producerVersion = "test";
    BW_ASSIGN(exported.report, findExporter(format)->write(input, path, {}));
    return exported;
}

inline Result<SimulationTrace> trace(Simulation &simulation, const NetworkInputs &inputs)
{
    SimulationTrace made;
    simulation.observer = [&](std::size_t binding, int, const at::Tensor &values) {
        made.quantizedInputs[simulation.executor().bindings()[binding].info.name].push_back(values.clone());
    };
    auto outputs = simulation.runAll(inputs);
    simulation.observer = {};
    if (!outputs)
        return std::unexpected(outputs.error());
    made.output = (*outputs)[0].toTensor();
    return made;
}

inline Result<VerifyReport> verifyCase(const Case &made, const Exported &exported, const std::string &path, bool ownReader,
                                       const std::string &format = "onnx")
{
    VerifyInput input;
    input.path = path;
    input.format = format;
    input.inputs = made.inputs;
    input.ownReaderOnly = ownReader;
    input.simulate = [&](const NetworkInputs &rows) { return trace(*exported.simulation, rows); };
    return verifyFile(input, {});
}

/// What onnx.checker says of a file; empty when it is content.
inline QString checkerMessage(const QStringList &paths)
{
    QProcess process;
    process.start(QString::fromStdString(pythonProgram()),
                  QStringList{QStringLiteral("-c"), QStringLiteral("import sys, onnx\nfor p in sys.argv[1:]:\n onnx.checker.check_model(p, full_check=True)\n")} + paths);
    if (!process.waitForFinished(60000))
        return QStringLiteral("the checker did not end");
    return process.exitCode() == 0 ? QString() : QString::fromLocal8Bit(process.readAllStandardError());
}

} // namespace bitwright::testing
