// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/inline_functions.h"
#include "frontends/onnx/onnx_reader.h"
#include "frontends/rows.h"
#include "graph/stored_layers.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

namespace bitwright {

namespace {

bool probe(const std::string &path) { return onnx::looksLikeModel(path); }

Status declareInputs(OnnxReader &reader, const onnx::Model &model, Graph &graph, const std::set<std::string> &initializers)
{
    for (const onnx::ValueInfo &input : model.graph.inputs) {
        if (initializers.contains(input.name))
            continue;   // old files list their weights as inputs too
        GraphInput made;
        made.value = graph.addValue(input.name);
        made.info.name = input.name;
        made.info.dtype = onnx::dataTypeName(input.type);
        for (const onnx::Dimension &dimension : input.shape)
            made.info.shape.push_back(dimension.value >= 0 && dimension.name.empty() ? dimension.value : -1);
        reader.declareInput(input.name, made.value, input.hasShape ? std::int64_t(input.shape.size()) : -1, input.type);
        graph.inputs.push_back(std::move(made));
    }
    return {};
}

// What is not known here, or reads what such a node would make, becomes an obstacle: the rest is still shown.
Status readNodes(OnnxReader &reader, const onnx::Model &model, Graph &graph, const JobContext &context)
{
    for (const onnx::Node &node : model.graph.nodes) {
        if (context.stopped())
            return cancelled();
        auto status = reader.read(node);
        if (status)
            continue;
        const std::string op = node.domain.empty() ? node.op : node.domain + "::" + node.op;
        const std::string place = "node " + (node.name.empty() ? (node.outputs.empty() ? op : node.outputs[0]) : node.name);
        if (status.error().kind != ErrorKind::Unsupported)
            return fail(status.error().kind, place + " (" + op + "), " + status.error().message);
        const std::string why = place + ", the operator " + op +
                                (status.error().message.empty() ? " is not known here" : " cannot be run here: " + status.error().message);
        graph.obstacles.push_back(why + "; export the network as .pt2, or leave this operator out");
        reader.placeObstacle(node, why);
    }
    return {};
}

Result<Graph> build(onnx::Model &model, const JobContext &context)
{
    Graph graph;
    graph.format = "onnx";
    BW_CHECK(inlineFunctions(model));
    OnnxReader reader(model, graph);
    std::set<std::string> initializers;
    for (const onnx::Tensor &tensor : model.graph.initializers) {
        BW_ASSIGN(at::Tensor made, tensorOf(tensor, model.file));
        reader.declareConstant(tensor, std::move(made));
        initializers.insert(tensor.name);
    }
    for (const onnx::SparseTensor &sparse : model.graph.sparse) {
        BW_ASSIGN(at::Tensor made, tensorOf(sparse));
        reader.declareConstant(sparse.values, std::move(made));
        initializers.insert(sparse.values.name);
    }
    for (const auto *values : {&model.graph.values, &model.graph.outputs})
        for (const onnx::ValueInfo &value : *values)
            reader.declareValue(value);
    BW_CHECK(declareInputs(reader, model, graph, initializers));
    BW_CHECK(readNodes(reader, model, graph, context));
    for (const onnx::ValueInfo &output : model.graph.outputs) {
        BW_ASSIGN(auto value, reader.output(output.name));
        graph.outputs.push_back(std::move(value));
        graph.outputNames.push_back(output.name);
    }
    if (graph.outputs.empty())
        return fail(ErrorKind::Parse, "it has no outputs");
    if (!graph.inputs.empty() && !graph.inputs[0].info.shape.empty() && graph.inputs[0].info.shape[0] > 0)
        graph.fixedBatch = graph.inputs[0].info.shape[0];
    BW_CHECK(normalize(graph));
    noteIntegerWeights(graph);
    return graph;
}

Result<Graph> load(const std::string &path, const JobContext &context)
{
    BW_ASSIGN(onnx::Model model, onnx::readModel(path));
    return onnxGraph(std::move(model), path, context);
}

} // namespace

Result<Graph> onnxGraph(onnx::Model model, const std::string &path, const JobContext &context)
{
    auto graph = guarded(path + ", the ONNX file does not make a network", ErrorKind::Parse, [&] { return build(model, context); });
    if (!graph && !isCancelled(graph.error()) && graph.error().message.find(path) == std::string::npos)
        return fail(graph.error().kind, path + ", " + graph.error().message, graph.error().context);
    return graph;
}

Frontend onnxFrontend() { return {"onnx", "ONNX", probe, load, nullptr}; }

} // namespace bitwright
