// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/shape_trace.h"

#include "graph/executor.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace bitwright {

namespace {

at::ScalarType scalarType(const std::string &name)
{
    static const std::pair<const char *, at::ScalarType> kNames[] = {
        {"float64", at::kDouble}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16}, {"int64", at::kLong},
        {"int32", at::kInt},      {"int16", at::kShort},  {"int8", at::kChar},         {"uint8", at::kByte},
        {"bool", at::kBool}};
    for (const auto &[text, type] : kNames) {
        if (name == text)
            return type;
    }
    return at::kFloat;
}

Result<std::vector<c10::IValue>> makeInputs(const Graph &graph, const std::vector<at::Tensor> &example, std::int64_t batch,
                                            std::vector<std::string> *notes)
{
    std::vector<c10::IValue> inputs;
    for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
        const TensorInfo &info = graph.inputs[i].info;
        std::vector<std::int64_t> shape(info.shape.begin(), info.shape.end());
        const bool given = i < example.size() && example[i].defined();
        if (given && shape.size() != std::size_t(example[i].dim()))
            shape = example[i].sizes().vec();
        else if (given)
            for (const auto axis : info.freeDimensions)
                shape[std::size_t(axis)] = -1;
        if (shape.empty() && info.dtype.empty())
            return fail(ErrorKind::Invalid, "input " + info.name + ", its shape is unknown; give data, from which it is learned");
        for (std::size_t axis = 0; axis < shape.size(); ++axis) {
            if (axis == 0 && (shape[0] < 0 || given) && graph.fixedBatch <= 0) {
                shape[0] = batch;
            } else if (shape[axis] < 0) {
                if (!given)
                    return fail(ErrorKind::Invalid, "input " + info.name + ", dimension " + std::to_string(axis) +
                                                        " is free; give data, from which its size is learned");
                shape[axis] = example[i].size(std::int64_t(axis));
                if (notes)
                    notes->push_back("input " + info.name + " is written for size " + std::to_string(shape[axis]) +
                                     " in dimension " + std::to_string(axis));
            }
        }
        if (graph.fixedBatch > 0 && !shape.empty() && shape[0] < 0)
            shape[0] = graph.fixedBatch;
        inputs.emplace_back(at::zeros(shape, at::TensorOptions(scalarType(info.dtype))));
    }
    return inputs;
}

// The values that some node computes, in the order in which they leave the widened graph.
std::vector<ValueId> computedValues(const Graph &graph)
{
    std::vector<ValueId> values;
    for (const Node &node : graph.nodes) {
        for (ValueId value : node.outputs) {
            if (value != kNoValue)
                values.push_back(value);
        }
    }
    return values;
}

void collectValues(const Argument &argument, std::vector<ValueId> &out)
{
    if (argument.kind == Argument::Kind::Value)
        out.push_back(argument.value);
    for (const Argument &item : argument.list)
        collectValues(item, out);
}

void describe(TracedValue &traced, const c10::IValue &value)
{
    traced.known = true;
    if (value.isTensor() && value.toTensor().defined()) {
        traced.tensor = true;
        traced.type = value.toTensor().scalar_type();
        traced.shape = value.toTensor().sizes().vec();
    } else if (value.isTensorList()) {
        for (const at::Tensor &item : value.toTensorVector())
            traced.listShapes.push_back(item.sizes().vec());
    } else if (value.isTuple()) {
        for (const auto &item : value.toTupleRef().elements()) {
            if (item.isTensor() && item.toTensor().defined())
                traced.listShapes.push_back(item.toTensor().sizes().vec());
        }
    }
    if (traced.constant || (!traced.tensor && traced.listShapes.empty()))
        traced.value = value;
}

void markFree(std::vector<std::int64_t> &shape, c10::IntArrayRef other)
{
    for (std::size_t axis = 0; axis < shape.size() && axis < other.size(); ++axis) {
        if (shape[axis] != other[axis])
            shape[axis] = -1;
    }
}

void compare(TracedValue &traced, const c10::IValue &other)
{
    if (traced.constant)
        return;
    if (traced.tensor) {
        if (other.isTensor())
            markFree(traced.shape, other.toTensor().sizes());
    } else if (!traced.listShapes.empty() && other.isTensorList()) {
        const auto items = other.toTensorVector();
        for (std::size_t i = 0; i < items.size() && i < traced.listShapes.size(); ++i)
            markFree(traced.listShapes[i], items[i].sizes());
    } else if (traced.listShapes.empty() && !traced.value.isNone()) {
        if (traced.value.isInt() && other.isInt())
            traced.batchDependent = traced.value.toInt() != other.toInt();
        else if (traced.value.isIntList() && other.isIntList())
            traced.batchDependent = traced.value.toIntVector() != other.toIntVector();
        else if (traced.value.isDouble() && other.isDouble())
            traced.batchDependent = traced.value.toDouble() != other.toDouble();
    }
}

} // namespace

Result<ShapeTrace> traceShapes(const Graph &graph, const ParameterMap &parameters, const std::vector<at::Tensor> &example)
{
    c10::NoGradGuard noGrad;
    ShapeTrace trace;
    trace.values.resize(graph.valueNames.size());
    for (const Parameter &parameter : graph.parameters) {
        TracedValue &traced = trace.values[std::size_t(parameter.value)];
        traced.constant = true;
        const auto found = parameters.find(parameter.name);
        describe(traced, found == parameters.end() ? parameter.tensor : found->second);
    }
    for (const Node &node : graph.nodes) {
        std::vector<ValueId> read;
        for (const Argument &argument : node.arguments)
            collectValues(argument, read);
        bool constant = true;
        for (ValueId value : read)
            constant &= trace.values[std::size_t(value)].constant;
        for (ValueId value : node.outputs) {
            if (value != kNoValue)
                trace.values[std::size_t(value)].constant = constant;
        }
    }
    auto widened = std::make_shared<Graph>(graph);
    const std::vector<ValueId> wanted = computedValues(graph);
    widened->outputs.clear();
    widened->outputNames.clear();
    for (ValueId value : wanted) {
        widened->outputs.push_back(Argument::of(value));
        widened->outputNames.push_back(graph.valueNames[std::size_t(value)]);
    }
    const Executor executor(widened);
    const auto bound = executor.bind(parameters);
    RunOptions options;
    options.inPlace = false;
    const auto run = [&](std::int64_t batch, std::vector<std::string> *notes) -> Result<std::vector<c10::IValue>> {
        BW_ASSIGN(auto inputs, makeInputs(graph, example, batch, notes));
        BW_ASSIGN(auto results, executor.run(inputs, bound, options));
        results.insert(results.begin(), inputs.begin(), inputs.end());
        return results;
    };
    std::vector<ValueId> ids;
    for (const GraphInput &input : graph.inputs)
        ids.push_back(input.value);
    ids.insert(ids.end(), wanted.begin(), wanted.end());
    const bool mayVary = graph.fixedBatch <= 0;
    BW_ASSIGN(const auto first, run(2, &trace.notes));
    for (std::size_t i = 0; i < ids.size(); ++i)
        describe(trace.values[std::size_t(ids[i])], first[i]);
    if (!mayVary)
        return trace;
    auto second = run(3, nullptr);
    if (!second) {
        trace.notes.push_back("the network does not run with another batch size, so the file insists on batch 2");
        return trace;
    }
    for (std::size_t i = 0; i < ids.size(); ++i)
        compare(trace.values[std::size_t(ids[i])], (*second)[i]);
    for (const GraphInput &input : graph.inputs) {
        const auto &shape = trace.values[std::size_t(input.value)].shape;
        trace.freeBatch |= !shape.empty() && shape[0] < 0;
    }
    return trace;
}

} // namespace bitwright
