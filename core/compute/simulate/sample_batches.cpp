// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/sample_batches.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace bitwright {

DataContext dataContext(const Network &network)
{
    DataContext context;
    const ModelSummary &summary = network.summary();
    context.modelPath = summary.path;
    context.needs = network.needs();
    if (!summary.inputs.empty()) {
        context.inputShape = summary.inputs.front().shape;
        context.acceptedShape = summary.inputs.front().acceptedShape();
    }
    return context;
}

std::int64_t requiredBatch(const Network &network, const Dataset &data)
{
    return data.isOneByOne() ? 1 : data.columns.empty() ? network.graph().fixedBatch : network.fixedBatch();
}

std::vector<c10::IValue> batchArguments(const Network &network, const Dataset &data, std::int64_t first, std::int64_t count)
{
    return data.arguments(first, count, requiredBatch(network, data));
}

Result<at::Tensor> outputBySample(const Network &network, const Dataset &data, const std::vector<c10::IValue> &outputs, std::int64_t count)
{
    if (outputs.empty() || !outputs.front().isTensor())
        return fail(ErrorKind::Unsupported, network.summary().path + ", its first output is not a tensor; evaluation needs scores there");
    const at::Tensor output = outputs.front().toTensor();
    if (data.isOneByOne())
        return output.unsqueeze(0);
    const std::int64_t batch = std::max(count, requiredBatch(network, data));
    if (output.dim() > 0 && output.size(0) == batch)
        return output.narrow(0, 0, count);
    // Time first in, time first out.
    for (const InputColumn &column : data.columns)
        if (column.batchAxis > 0 && column.batchAxis < output.dim() && output.size(column.batchAxis) == batch)
            return output.movedim(column.batchAxis, 0).narrow(0, 0, count).contiguous();
    return fail(ErrorKind::Unsupported, network.summary().path + ", its first output does not count samples: it gives " +
                                            (output.dim() > 0 ? std::to_string(output.size(0)) : std::string("one value")) + " for " +
                                            std::to_string(batch) + "; export the network with one answer per sample first");
}

Result<bool> givesScores(const Network &network, const Dataset &data, const JobContext &context)
{
    const auto &outputs = network.summary().outputs;
    if (!outputs.empty() && !outputs.front().shape.empty() && !data.isOneByOne())
        return outputs.front().shape.size() == 2 && outputs.front().shape[1] != 1;
    const at::NoGradGuard noGrad;
    const Executor &executor = network.executor();
    RunOptions options;
    options.stop = context.stop;
    BW_ASSIGN(const auto answers, executor.run(batchArguments(network, data, 0, 1), executor.bind(), options));
    BW_ASSIGN(const at::Tensor first, outputBySample(network, data, answers, 1));
    return first.dim() == 2 && first.size(1) > 1 && first.is_floating_point();
}

Status needsSingleInput(const Network &network, const std::string &what)
{
    const std::size_t inputs = network.graph().inputs.size();
    if (inputs == 1)
        return {};
    return fail(ErrorKind::Unsupported, network.summary().path + ", it has " + std::to_string(inputs) + " inputs; " + what +
                                            " needs a network with one");
}

} // namespace bitwright
