// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/batch_norm.h"

#include "simulate/sample_batches.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <set>

namespace bitwright {

namespace {

// Arguments of aten::batch_norm.
constexpr std::size_t kMean = 3, kVariance = 4, kMomentum = 6;

struct Statistic {
    std::size_t parameter = 0;
    double momentum = 0.1;
    at::Tensor sum;
};

std::vector<Statistic> statisticsOf(const Graph &graph)
{
    std::vector<Statistic> found;
    std::set<std::size_t> seen;   // a batch norm that runs twice has one pair of statistics
    for (const Node &node : graph.nodes) {
        if (node.op != "aten::batch_norm")
            continue;
        const auto &momentum = node.arguments[kMomentum].constant;
        for (std::size_t argument : {kMean, kVariance}) {
            if (node.arguments[argument].kind != Argument::Kind::Value)
                continue;
            const int parameter = graph.parameterOf(node.arguments[argument].value);
            const double rate = momentum.isDouble() ? momentum.toDouble() : 0.1;
            if (parameter >= 0 && rate > 0 && seen.insert(std::size_t(parameter)).second)
                found.push_back({std::size_t(parameter), rate, {}});
        }
    }
    return found;
}

} // namespace

Result<ParameterMap> reestimateBatchNorm(const Network &network, const Simulation &simulation, const Dataset &data,
                                         std::int64_t batch, std::int64_t batches, const JobContext &context)
{
    at::NoGradGuard noGrad;
    const Executor &executor = simulation.executor();
    std::vector<Statistic> statistics = statisticsOf(executor.graph());
    if (statistics.empty())
        return ParameterMap{};
    if (const std::int64_t fixed = requiredBatch(network, data); fixed > 0)
        batch = fixed;
    const std::int64_t rounds = std::min(batches, data.size() / batch);
    if (rounds == 0)
        return fail(ErrorKind::Invalid, "batch-norm re-estimation, the data holds fewer samples than one batch; use more data");
    std::vector<at::Tensor> parameters(simulation.parameters().begin(), simulation.parameters().end());
    RunOptions run = simulation.runOptions(context.stop);
    run.training = true;
    run.dropout = false;
    run.mutateBuffers = true;
    for (std::int64_t round = 0; round < rounds; ++round) {
        if (context.stopped())
            return cancelled();
        context.breathe();
        // From zero, one update leaves momentum times the batch's own statistic.
        for (const Statistic &statistic : statistics)
            parameters[statistic.parameter] = at::zeros_like(parameters[statistic.parameter]);
        BW_CHECK(executor.run(batchArguments(network, data, round * batch, batch), parameters, run));
        for (Statistic &statistic : statistics) {
            const at::Tensor value = parameters[statistic.parameter].to(at::kDouble) / statistic.momentum;
            statistic.sum = statistic.sum.defined() ? statistic.sum + value : value;
        }
        context.progress("re-estimating batch norm", round + 1, rounds);
    }
    ParameterMap buffers;
    for (const Statistic &statistic : statistics)
        buffers[executor.graph().parameters[statistic.parameter].name] = (statistic.sum / double(rounds)).to(at::kFloat);
    return buffers;
}

} // namespace bitwright
