// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/policies/policies.h"
#include "train/training_state.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace bitwright {

void addScalePenalty(const at::Tensor &scale, double strength)
{
    const at::NoGradGuard noGrad;
    if (at::Tensor gradient = scale.grad(); gradient.defined())
        gradient.add_(scale.sign(), strength);
}

namespace {

constexpr std::size_t kGamma = 1;   // argument of aten::batch_norm

/// Liu 2017, network slimming. One-dimensional tensors have no weight decay, so the two do not pull at once.
class SlimmingTerm final : public TrainingPolicy {
public:
    explicit SlimmingTerm(const ParamValues &options) : m_strength(realParam(options, "strength")) {}

    Status beginRun(TrainingState &state, const RunPlan &, const JobContext &) override
    {
        const Graph &graph = state.network().graph();
        std::vector<std::string> seen;   // a batch norm that runs twice has one scale
        for (const Node &node : graph.nodes) {
            if (node.op != "aten::batch_norm" || node.arguments[kGamma].kind != Argument::Kind::Value)
                continue;
            const int parameter = graph.parameterOf(node.arguments[kGamma].value);
            if (parameter < 0 || std::ranges::find(seen, graph.parameters[std::size_t(parameter)].name) != seen.end())
                continue;
            seen.push_back(graph.parameters[std::size_t(parameter)].name);
            if (at::Tensor scale = state.variable(seen.back()); scale.defined() && scale.requires_grad())
                m_scales.push_back(std::move(scale));
        }
        if (m_scales.empty())
            return fail(ErrorKind::Unsupported, "recipe slimming, the network has no batch norm with a scale; prune it with l1 instead");
        return {};
    }

    Status beforeStep(TrainingState &) override
    {
        for (const at::Tensor &scale : m_scales)
            addScalePenalty(scale, m_strength);
        return {};
    }

    Status endEpoch(TrainingState &, int) override
    {
        const at::NoGradGuard noGrad;
        double sum = 0, count = 0;
        for (const at::Tensor &scale : m_scales) {
            sum += scale.abs().sum().item<double>();
            count += double(scale.numel());
        }
        m_mean = sum / count;
        return {};
    }

    std::map<std::string, double> numbers() const override { return {{"mean_scale", m_mean}}; }

private:
    double m_strength, m_mean = 0;
    std::vector<at::Tensor> m_scales;
};

} // namespace

PolicyRow slimmingTermRow()
{
    return {"slimming", [](const ParamValues &options, const FineTuneInput &input) -> Result<std::unique_ptr<TrainingPolicy>> {
                if (input.foldBatchNorm) {
                    return fail(ErrorKind::Invalid, "recipe slimming, it trains the scales of batch norms and these are folded away; set "
                                                    "fold_batch_norm to false in the assignment");
                }
                return std::make_unique<SlimmingTerm>(options);
            }};
}

} // namespace bitwright
