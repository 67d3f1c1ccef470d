// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_reader.h"

#include "graph/subgraph.h"

#include <ATen/ATen.h>

namespace bitwright {

namespace {

std::string nameOf(const OnnxReader &r)
{
    return !r.node().name.empty() ? r.node().name : r.node().outputs.empty() ? r.node().op : r.node().outputs[0];
}

std::vector<ValueId> outputsOf(OnnxReader &r)
{
    std::vector<ValueId> made;
    for (const std::string &output : r.node().outputs)
        made.push_back(r.newValue(output));
    return made;
}

void bindAll(OnnxReader &r, const std::vector<ValueId> &values)
{
    for (std::size_t i = 0; i < values.size(); ++i)
        r.bind(Argument::of(values[i]), -1, i);
}

Result<std::shared_ptr<const Graph>> cut(OnnxReader &r, BodyParts parts, const std::vector<ValueId> &captured)
{
    auto graph = std::make_shared<Graph>(cutBody(r.graph(), std::move(parts), captured));
    BW_CHECK(normalize(*graph));
    return std::shared_ptr<const Graph>(std::move(graph));
}

Status branch(OnnxReader &r)
{
    BW_ASSIGN(const Argument condition, r.input(0));
    BW_ASSIGN(BodyParts yes, r.body("then_branch", {}));
    BW_ASSIGN(BodyParts no, r.body("else_branch", {}));
    const auto captured = freeValues(yes, freeValues(no));
    BW_ASSIGN(auto then, cut(r, std::move(yes), captured));
    BW_ASSIGN(auto otherwise, cut(r, std::move(no), captured));
    const auto outputs = outputsOf(r);
    BW_ASSIGN(Node node, makeIf(nameOf(r), condition, then, otherwise, argumentsOf(captured), outputs));
    r.graph().nodes.push_back(std::move(node));
    bindAll(r, outputs);
    return {};
}

Argument orNone(OnnxReader &r, std::size_t index, Status &status)
{
    auto found = r.input(index);
    if (!found) {
        status = std::unexpected(found.error());
        return {};
    }
    return *found;
}

Status loop(OnnxReader &r)
{
    Status status;
    LoopParts parts;
    parts.trips = orNone(r, 0, status);
    parts.condition = orNone(r, 1, status);
    for (std::size_t i = 2; i < r.node().inputs.size(); ++i)
        parts.carried.push_back(orNone(r, i, status));
    BW_CHECK(status);
    std::vector<ValueId> inputs;
    for (std::size_t i = 0; i < parts.carried.size() + 2; ++i)
        inputs.push_back(r.newValue(nameOf(r) + "/" + std::to_string(i)));
    BW_ASSIGN(BodyParts body, r.body("body", inputs));
    const auto captured = freeValues(body);
    BW_ASSIGN(parts.body, cut(r, std::move(body), captured));
    parts.captured = argumentsOf(captured);
    const auto outputs = outputsOf(r);
    BW_ASSIGN(Node node, makeLoop(nameOf(r), std::move(parts), outputs));
    r.graph().nodes.push_back(std::move(node));
    bindAll(r, outputs);
    return {};
}

/// Element `trip` of x along an axis, from the end where `backwards`.
Kernel sliceKernel(std::int64_t axis, bool backwards)
{
    return [axis, backwards](torch::jit::Stack &stack) {
        const c10::IValue trip = torch::jit::pop(stack);
        const at::Tensor x = torch::jit::pop(stack).toTensor();
        const std::int64_t at = trip.isTensor() ? trip.toTensor().item<std::int64_t>() : trip.toInt(), length = x.size(axis);
        stack.emplace_back(x.select(axis, backwards ? length - 1 - at : at));
    };
}

// A scan is a loop over the elements of its inputs.
Status scan(OnnxReader &r)
{
    if (r.opset() < 9)
        return fail(ErrorKind::Unsupported, "a scan of opset 8");
    const auto scans = std::size_t(std::max<std::int64_t>(0, r.integer("num_scan_inputs", 0))), all = r.node().inputs.size();
    if (scans == 0 || scans > all)
        return fail(ErrorKind::Parse, "a scan over " + std::to_string(scans) + " of " + std::to_string(all) + " inputs");
    const std::size_t states = all - scans;
    const auto listed = [&](const char *name, std::size_t size) { return orElse(r.integers(name), size, 0); };
    const auto axes = listed("scan_input_axes", scans), directions = listed("scan_input_directions", scans);
    LoopParts parts;
    std::vector<ValueId> inputs{r.newValue(nameOf(r) + "/trip"), r.newValue(nameOf(r) + "/go")}, inner;
    Status status;
    for (std::size_t i = 0; i < states; ++i) {
        parts.carried.push_back(orNone(r, i, status));
        inputs.push_back(r.newValue(nameOf(r) + "/state" + std::to_string(i)));
        inner.push_back(inputs.back());
    }
    std::vector<Node> slices;
    for (std::size_t i = 0; i < scans; ++i) {
        Node slice;
        slice.op = "onnx::ScanSlice";
        slice.name = nameOf(r) + "/slice" + std::to_string(i);
        slice.arguments = {orNone(r, states + i, status), Argument::of(inputs[0])};
        slice.wants = {Want::None, Want::None};
        slice.kernel = sliceKernel(axes[i], directions[i] != 0);
        slice.outputs = {r.newValue(slice.name)};
        inner.push_back(slice.outputs[0]);
        slices.push_back(std::move(slice));
    }
    BW_CHECK(status);
    const Argument first = slices[0].arguments[0];
    const ValueId length = r.addOwn("onnx::ScanLength", {first}, [axis = axes[0]](torch::jit::Stack &stack) {
        stack.emplace_back(torch::jit::pop(stack).toTensor().size(axis));
    });
    parts.trips = Argument::of(length);
    BW_ASSIGN(BodyParts body, r.body("body", inner));
    body.inputs = inputs;
    body.nodes.insert(body.nodes.begin(), std::make_move_iterator(slices.begin()), std::make_move_iterator(slices.end()));
    body.outputs.insert(body.outputs.begin(), Argument::of(c10::IValue(true)));
    const std::size_t results = body.outputs.size() - 1 - states;
    const auto captured = freeValues(body);
    BW_ASSIGN(parts.body, cut(r, std::move(body), captured));
    parts.captured = argumentsOf(captured);
    std::vector<ValueId> outputs;
    for (std::size_t i = 0; i < states + results; ++i)
        outputs.push_back(r.newValue(nameOf(r) + "/out" + std::to_string(i)));
    BW_ASSIGN(Node node, makeLoop(nameOf(r), std::move(parts), outputs));
    r.graph().nodes.push_back(std::move(node));
    const auto outAxes = listed("scan_output_axes", results), outDirections = listed("scan_output_directions", results);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        Argument value = Argument::of(outputs[i]);
        if (i >= states && outDirections[i - states] != 0) {
            BW_ASSIGN(const ValueId turned, r.add("aten::flip", {value, Argument::of(c10::IValue(std::vector<std::int64_t>{0}))}));
            value = Argument::of(turned);
        }
        if (i >= states && outAxes[i - states] != 0) {
            BW_ASSIGN(const ValueId moved, r.add("aten::movedim.int", {value, Argument::of(c10::IValue(std::int64_t(0))),
                                                                      Argument::of(c10::IValue(outAxes[i - states]))}));
            value = Argument::of(moved);
        }
        r.bind(value, -1, i);
    }
    return {};
}

// Its body on each element of the first sequence; other sequences keep step with it, tensors stay.
Status sequenceMap(OnnxReader &r)
{
    std::vector<ValueId> inputs;
    std::vector<Argument> arguments;
    for (std::size_t i = 0; i < r.node().inputs.size(); ++i) {
        inputs.push_back(r.newValue(nameOf(r) + "/" + std::to_string(i)));
        BW_ASSIGN(auto argument, r.input(i));
        arguments.push_back(std::move(argument));
    }
    BW_ASSIGN(BodyParts parts, r.body("body", inputs));
    const auto captured = freeValues(parts);
    const std::size_t results = parts.outputs.size(), own = arguments.size();
    BW_ASSIGN(auto graph, cut(r, std::move(parts), captured));
    for (auto &argument : argumentsOf(captured))
        arguments.push_back(std::move(argument));
    Node node;
    node.op = "onnx::SequenceMap";
    node.name = nameOf(r);
    node.wants.assign(arguments.size(), Want::None);
    node.arguments = std::move(arguments);
    node.outputs = outputsOf(r);
    node.kernel = [body = std::make_shared<const Subgraph>(graph), own, results, all = node.arguments.size()](torch::jit::Stack &stack) {
        const std::vector<c10::IValue> in(stack.end() - std::ptrdiff_t(all), stack.end());
        stack.resize(stack.size() - all);
        TORCH_CHECK(own > 0 && in[0].isList(), "input 0 is no sequence");
        std::vector<c10::List<at::Tensor>> made(results);
        const std::size_t length = in[0].toListRef().size();
        for (std::size_t i = 0; i < length; ++i) {
            std::vector<c10::IValue> values = in;
            for (std::size_t k = 0; k < own; ++k)
                if (in[k].isList())
                    values[k] = in[k].toListRef().at(i);
            const auto out = body->run(values);
            for (std::size_t k = 0; k < results; ++k)
                made[k].push_back(out.at(k).toTensor());
        }
        for (auto &list : made)
            stack.emplace_back(std::move(list));
    };
    const auto outputs = node.outputs;
    r.graph().nodes.push_back(std::move(node));
    bindAll(r, outputs);
    return {};
}

} // namespace

std::span<const OnnxReadingRow> onnxControlReadings()
{
    static const OnnxReadingRow kRows[] = {{"If", branch}, {"Loop", loop}, {"Scan", scan}, {"SequenceMap", sequenceMap}};
    return kRows;
}

} // namespace bitwright
