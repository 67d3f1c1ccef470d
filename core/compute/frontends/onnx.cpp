// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_reader.h"
#include "frontends/rows.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>

namespace bitwright {

namespace {

bool probe(const std::string &path) { return onnx::looksLikeModel(path); }

Status declareInputs(OnnxReader &reader, const onnx::Model &model, Graph &graph, const std::set<std::string> &initializers)
{
    for (const onnx::ValueInfo &input : model.graph.inputs) {
        if (initializers.contains(input.name))
            continue;   // old files list their weights as inputs too
        if (!input.hasShape)
            return fail(ErrorKind::Unsupported, "input " + input.name + ", the file does not say its shape");
        GraphInput made;
        made.value = graph.addValue(input.name);
        made.info.name = input.name;
        made.info.dtype = onnx::dataTypeName(input.type);
        for (const onnx::Dimension &dimension : input.shape)
            made.info.shape.push_back(dimension.value >= 0 && dimension.name.empty() ? dimension.value : -1);
        reader.declareInput(input.name, made.value, std::int64_t(input.shape.size()));
        graph.inputs.push_back(std::move(made));
    }
    return {};
}

Status readNodes(OnnxReader &reader, const onnx::Model &model, const JobContext &context)
{
    std::map<std::string, std::string> refused;
    for (const onnx::Node &node : model.graph.nodes) {
        if (context.stopped())
            return cancelled();
        const OnnxReading read = node.domain.empty() ? findOnnxReading(node.op) : nullptr;
        const std::string name = node.domain.empty() ? node.op : node.domain + "::" + node.op;
        if (!read || node.outputs.empty()) {
            refused.try_emplace(name, "");
            continue;
        }
        reader.enter(node);
        if (auto status = read(reader); !status) {
            const bool follows = status.error().message.find("is read before it is made") != std::string::npos;
            if (follows && !refused.empty())
                continue;   // its input was refused already
            if (status.error().kind != ErrorKind::Unsupported)
                return fail(status.error().kind, "node " + (node.name.empty() ? name : node.name) + ", " + status.error().message);
            refused.try_emplace(name, status.error().message);
        }
    }
    if (refused.empty())
        return {};
    std::string list;
    for (const auto &[op, reason] : refused)
        list += (list.empty() ? "" : ", ") + op + (reason.empty() ? "" : " (" + reason + ")");
    return fail(ErrorKind::Unsupported, "these operators are not known here: " + list + "; export the network as .pt2 instead");
}

Result<Graph> build(const onnx::Model &model, const JobContext &context)
{
    if (model.hasFunctions || model.graph.hasSparse)
        return fail(ErrorKind::Unsupported, std::string("it holds ") + (model.hasFunctions ? "functions" : "sparse tensors") +
                                                " of its own; export it without them");
    Graph graph;
    graph.format = "onnx";
    OnnxReader reader(model, graph);
    std::set<std::string> initializers;
    for (const onnx::Tensor &tensor : model.graph.initializers) {
        BW_ASSIGN(at::Tensor made, tensorOf(tensor));
        reader.declareConstant(tensor, std::move(made));
        initializers.insert(tensor.name);
    }
    BW_CHECK(declareInputs(reader, model, graph, initializers));
    BW_CHECK(readNodes(reader, model, context));
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
    return graph;
}

Result<Graph> load(const std::string &path, const JobContext &context)
{
    BW_ASSIGN(const onnx::Model model, onnx::readModel(path));
    auto graph = guarded(path + ", the ONNX file does not make a network", ErrorKind::Parse, [&] { return build(model, context); });
    if (!graph && !isCancelled(graph.error()) && graph.error().message.find(path) == std::string::npos)
        return fail(graph.error().kind, path + ", " + graph.error().message, graph.error().context);
    return graph;
}

} // namespace

Frontend onnxFrontend() { return {"onnx", "ONNX", probe, load, nullptr}; }

} // namespace bitwright
