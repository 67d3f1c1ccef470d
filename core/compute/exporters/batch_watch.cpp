// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/batch_watch.h"

#include "graph/executor.h"
#include "graph/shape_probe.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <memory>
#include <set>

namespace bitwright {

namespace {

using Stack = torch::jit::Stack;

/// Free sizes beside the batch.
constexpr std::int64_t kFreeSize = 32;

c10::IValue outline(const c10::IValue &value)
{
    const auto meta = [](const at::Tensor &tensor) {
        return tensor.defined() ? at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(at::kMeta)) : tensor;
    };
    if (value.isTensor())
        return meta(value.toTensor());
    if (value.isTensorList()) {
        std::vector<at::Tensor> all;
        for (const at::Tensor &each : value.toTensorVector())
            all.push_back(meta(each));
        return all;
    }
    return value;
}

} // namespace

Result<BatchWatch> BatchWatch::of(const Graph &graph)
{
    const c10::NoGradGuard noGrad;
    BatchWatch watch;
    watch.batches = graph.fixedBatch > 0 ? std::vector<std::int64_t>{graph.fixedBatch} : std::vector<std::int64_t>{2, 3, 5};
    watch.runs.assign(watch.batches.size(), std::vector<NodeRun>(graph.nodes.size()));
    for (std::size_t pass = 0; pass < watch.batches.size(); ++pass) {
        auto copy = std::make_shared<Graph>(graph);
        for (std::size_t i = 0; i < copy->nodes.size(); ++i)
            copy->nodes[i].kernel = [kernel = graph.nodes[i].kernel, &note = watch.runs[pass][i]](Stack &stack) {
                for (const c10::IValue &value : stack)
                    note.in.push_back(outline(value));
                kernel(stack);
                for (const c10::IValue &value : stack)
                    note.out.push_back(outline(value));
            };
        const Executor executor(copy);
        RunOptions options;
        options.inPlace = false;
        const auto inputs = zeroInputs(graph, {}, watch.batches[pass], kFreeSize);
        if (inputs.size() != graph.inputs.size())
            return fail(ErrorKind::Unsupported, "the shape of an input is unknown; give the network a fixed input shape");
        const auto outputs = executor.run(inputs, executor.bind(), options);
        if (!outputs)
            return std::unexpected(outputs.error());
    }
    return watch;
}

Result<Linear> BatchWatch::linear(const std::vector<std::int64_t> &values) const
{
    Linear number{0, values.front()};
    if (values.size() > 1) {
        number.factor = (values[1] - values[0]) / (batches[1] - batches[0]);
        number.offset = values[0] - number.factor * batches[0];
    }
    for (std::size_t i = 0; i < values.size(); ++i)
        if (number.factor * batches[i] + number.offset != values[i])
            return fail(ErrorKind::Unsupported, "a size does not follow the batch in a way that the file can say");
    return number;
}

std::vector<bool> BatchWatch::neededNodes(const Graph &graph) const
{
    std::set<ValueId> read;
    const auto mark = [&](const Argument &argument, const auto &self) -> void {
        if (argument.kind == Argument::Kind::Value)
            read.insert(argument.value);
        for (const Argument &element : argument.list)
            self(element, self);
    };
    for (const Argument &output : graph.outputs)
        mark(output, mark);
    std::vector<bool> needed(graph.nodes.size());
    for (std::size_t i = graph.nodes.size(); i-- > 0;) {
        const Node &node = graph.nodes[i];
        needed[i] = std::ranges::any_of(node.outputs, [&](ValueId value) { return read.contains(value); });
        const Stack &in = runs[0][i].in;
        for (std::size_t k = 0; needed[i] && k < node.arguments.size() && k < in.size(); ++k)
            if (in[k].isTensor() || in[k].isTensorList() || (in[k].isList() && !in[k].isIntList()) || in[k].isTuple())
                mark(node.arguments[k], mark);
    }
    return needed;
}

} // namespace bitwright
