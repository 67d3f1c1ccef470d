// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/shape_probe.h"

#include "graph/executor.h"
#include "tensor/memory.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace bitwright {

namespace {

at::ScalarType scalarType(const std::string &name)
{
    for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort, at::kChar,
                            at::kByte, at::kBool})
        if (dtypeName(type) == name)
            return type;
    return at::kFloat;
}

constexpr std::int64_t kMostElements = std::int64_t(1) << 27;   // of one input: a file may say any size

bool isModest(const Shape &shape)
{
    std::int64_t elements = 1;
    for (const std::int64_t size : shape)
        if (__builtin_mul_overflow(elements, std::max<std::int64_t>(size, 1), &elements) || elements > kMostElements)
            return false;
    return true;
}

/// Zeros for one input, none where that is too large; free sizes other than the batch are taken as `freeSize`.
c10::IValue zerosFor(const TensorInfo &info, std::int64_t batch, std::int64_t freeSize)
{
    if (info.dtype == "int")
        return batch;
    if (info.dtype == "float")
        return 1.0;
    if (info.dtype == "bool" && info.shape.empty())
        return true;
    Shape shape = info.shape;
    for (std::size_t i = 0; i < shape.size(); ++i)
        if (shape[i] < 0)
            shape[i] = i == 0 ? batch : freeSize;
    if (!isModest(shape))
        return {};
    return at::zeros(shape, at::TensorOptions().dtype(scalarType(info.dtype)));
}

Shape shapeOf(const c10::IValue &value)
{
    return value.isTensor() && value.toTensor().defined() ? value.toTensor().sizes().vec() : Shape();
}

/// A copy of the graph whose kernels note the shapes that pass through them.
std::shared_ptr<const Graph> watched(const Graph &graph, std::vector<ShapeProbe::OfNode> &seen)
{
    auto copy = std::make_shared<Graph>(graph);
    for (std::size_t i = 0; i < copy->nodes.size(); ++i)
        copy->nodes[i].kernel = [kernel = copy->nodes[i].kernel, &note = seen[i]](torch::jit::Stack &stack) {
            if (!stack.empty())
                note.input = shapeOf(stack.front());
            kernel(stack);
            if (!stack.empty())
                note.output = shapeOf(stack.front());
        };
    return copy;
}

std::vector<at::Tensor> withoutData(const std::vector<at::Tensor> &tensors)
{
    std::vector<at::Tensor> made;
    for (const at::Tensor &tensor : tensors)
        made.push_back(tensor.defined() && tensor.is_floating_point() ? at::empty_like(tensor, at::TensorOptions(at::kMeta)) : tensor);
    return made;
}

} // namespace

std::string dtypeName(at::ScalarType type)
{
    switch (type) {
    case at::kFloat: return "float32";
    case at::kDouble: return "float64";
    case at::kHalf: return "float16";
    case at::kBFloat16: return "bfloat16";
    case at::kLong: return "int64";
    case at::kInt: return "int32";
    case at::kShort: return "int16";
    case at::kChar: return "int8";
    case at::kByte: return "uint8";
    case at::kBool: return "bool";
    default: return c10::toString(type);
    }
}

std::vector<c10::IValue> zeroInputs(const Graph &graph, const Shape &sample, std::int64_t batch, std::int64_t freeSize)
{
    const bool shapesKnown = std::ranges::all_of(
        graph.inputs, [](const GraphInput &input) { return !input.info.shape.empty() || input.info.dtype == "int" || input.info.dtype == "float" || input.info.dtype == "bool"; });
    std::vector<c10::IValue> inputs;
    for (std::size_t i = 0; shapesKnown && i < graph.inputs.size(); ++i) {
        TensorInfo info = graph.inputs[i].info;
        if (i == 0 && !sample.empty() && sample.size() + 1 == info.shape.size())
            std::ranges::copy(sample, info.shape.begin() + 1);
        inputs.push_back(zerosFor(info, batch, freeSize));
        if (inputs.back().isNone())
            return {};
    }
    return inputs;
}

ShapeProbe probeShapes(const Graph &graph, const Shape &sample)
{
    const AllocationLimit limit(availableMemory() / 2);
    ShapeProbe probe;
    probe.batch = std::max<std::int64_t>(graph.fixedBatch, 1);
    probe.nodes.resize(graph.nodes.size());
    const at::NoGradGuard noGrad;
    const Executor executor(watched(graph, probe.nodes));
    const std::vector<at::Tensor> parameters = executor.bind();
    const std::vector<at::Tensor> shapesOnly = withoutData(parameters);
    RunOptions options;
    options.inPlace = false;
    // Tensors without data know their shapes at once; where an operator asks for values, zeros are run.
    for (const auto &[freeSize, dataless] : {std::pair(32, true), {32, false}, {224, true}, {224, false}}) {
        std::vector<c10::IValue> inputs = zeroInputs(graph, sample, probe.batch, freeSize);
        if (inputs.size() != graph.inputs.size())
            return probe;
        if (dataless)
            for (c10::IValue &input : inputs)
                if (input.isTensor())
                    input = at::empty_like(input.toTensor(), at::TensorOptions(at::kMeta));
        const auto outputs = executor.run(inputs, dataless ? shapesOnly : parameters, options);
        if (!outputs)
            continue;
        probe.ok = true;
        for (std::size_t i = 0; i < outputs->size(); ++i) {
            TensorInfo info;
            info.name = i < graph.outputNames.size() ? graph.outputNames[i] : "output" + std::to_string(i);
            info.shape = shapeOf((*outputs)[i]);
            info.dtype = (*outputs)[i].isTensor() ? dtypeName((*outputs)[i].toTensor().scalar_type()) : (*outputs)[i].tagKind();
            if (graph.fixedBatch <= 0 && !info.shape.empty() && info.shape[0] == probe.batch)
                info.shape[0] = -1;
            probe.outputs.push_back(std::move(info));
        }
        return probe;
    }
    return probe;
}

} // namespace bitwright
