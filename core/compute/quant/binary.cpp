// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/binary.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>

namespace bitwright {

StepTables signSteps(const std::vector<float> &scales, bool nonNegative)
{
    StepTables steps;
    for (const float a : scales)
        steps.groups.push_back({{-a, a}, {nonNegative ? std::numeric_limits<float>::min() : 0.0f}});
    return steps;
}

std::vector<float> meanMagnitudes(const at::Tensor &x, int axis)
{
    std::vector<float> means(axis < 0 ? 1 : std::size_t(x.size(axis)), 0.0f);
    eachGroup(x, axis, [&](std::span<const float> values, std::size_t group) {
        const Moments m = momentsOf(values);
        means[group] = m.count ? float(m.sumAbs / double(m.count)) : 0.0f;
    });
    return means;
}

void clampLatent(at::Tensor &weight)
{
    c10::NoGradGuard noGrad;
    weight.clamp_(-1, 1);
}

MethodTraits binaryTraits(std::string id, std::string title, std::string paper, int year, std::vector<Role> roles)
{
    MethodTraits t;
    t.id = std::move(id);
    t.title = std::move(title);
    t.paper = std::move(paper);
    t.year = year;
    t.family = "binary";
    t.roles = std::move(roles);
    t.minimumBits = t.maximumBits = 1;
    return t;
}

BinaryWeight::BinaryWeight(const QuantSpec &spec, const Site &site)
    : GridQuantizer(spec, site), m_exact(textParam(spec.options, "gradient", "exact") == "exact")
{
}

Status BinaryWeight::calibrate(const at::Tensor &x)
{
    return guarded(label(), ErrorKind::Numeric, [&] {
        m_alpha = meanMagnitudes(x, axisOf(x));
        setReady(m_alpha.size());
    });
}

GridQuantizer::Grid BinaryWeight::makeGrid() const
{
    std::vector<float> scales;
    for (std::size_t i = 0; i < groupCount(); ++i)
        scales.push_back(alpha(i));
    return signSteps(scales);
}

RuleGradients BinaryWeight::backward(const at::Tensor &g, const at::Tensor &x) const
{
    const int axis = axisOf(x);
    const double n = std::max(1.0, double(x.numel()) / double(std::max<std::size_t>(1, groupCount())));
    if (!m_exact) {
        return {fusedGradient(g, x, axis, [&](float v, float d, std::int64_t group) {
                    return d * (float(1 / n) + (std::abs(v) < 1 ? alpha(std::size_t(group)) : 0.0f));
                }), {}};
    }
    const auto sums = fusedSums<1>(g, x, axis, [](float v, float d, std::int64_t, std::array<double, 1> &sum) {
        if (!std::isnan(v))
            sum[0] += double(v >= 0 ? d : -d);
    });
    return {fusedGradient(g, x, axis, [&](float v, float d, std::int64_t group) {
                const auto shared = float(sums[std::size_t(group)][0] / n);
                return (std::abs(v) < 1 ? d * alpha(std::size_t(group)) : 0.0f) + (v >= 0 ? shared : -shared);
            }), {}};
}

ParamSpec binaryGradientOption()
{
    return choiceOption("gradient", {"exact", "paper"}, "Weights: the chain rule through the scale too, or the paper's shorter form.");
}

Status onlyForWeights(const std::string &label)
{
    return fail(ErrorKind::Unsupported, label + ", it is for weights; use another method for activations");
}

} // namespace bitwright
