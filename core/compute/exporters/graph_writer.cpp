// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/graph_writer.h"

#include "graph/executor.h"
#include "graph/shape_probe.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <memory>

namespace bitwright {

namespace {

constexpr double kTolerance = 1e-4;
/// Free sizes beside the batch, and a batch that no file is made at.
constexpr std::int64_t kFreeSize = 32, kOtherBatch = 4;

bool same(const c10::IValue &wanted, const c10::IValue &found)
{
    if (!wanted.isTensor())
        return true;
    if (!found.isTensor())
        return false;
    const at::Tensor a = wanted.toTensor().to(at::kDouble), b = found.toTensor().to(at::kDouble);
    if (a.sizes() != b.sizes())
        return false;
    const double scale = std::max(1.0, a.numel() > 0 ? a.abs().max().item<double>() : 1.0);
    return a.numel() == 0 || !((a - b).abs().max().item<double>() > kTolerance * scale);
}

} // namespace

Status checkReadBack(const Graph &graph, const std::string &path,
                     const std::function<Result<std::vector<c10::IValue>>(const std::vector<c10::IValue> &inputs)> &written)
{
    const c10::NoGradGuard noGrad;
    return guarded(path, ErrorKind::Internal, [&]() -> Status {
        auto inputs = zeroInputs(graph, {}, graph.fixedBatch > 0 ? graph.fixedBatch : kOtherBatch, kFreeSize);
        for (c10::IValue &input : inputs)
            if (input.isTensor() && input.toTensor().is_floating_point())
                input = at::linspace(-1, 1, input.toTensor().numel(), input.toTensor().options()).reshape(input.toTensor().sizes());
        const Executor executor(std::make_shared<const Graph>(graph));
        BW_ASSIGN(const auto wanted, executor.run(inputs, executor.bind()));
        BW_ASSIGN(const auto found, written(inputs));
        bool all = found.size() == wanted.size();
        for (std::size_t i = 0; all && i < wanted.size(); ++i)
            all = same(wanted[i], found[i]);
        if (!all)
            return fail(ErrorKind::Internal, path + ", what was written answers differently when read back; export to ONNX instead");
        return {};
    });
}

} // namespace bitwright
