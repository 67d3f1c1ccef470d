// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/binary.h"

#include <cmath>

namespace bitwright {
namespace {

/// BWN's levels; released gradient: g where |w| <= 1, the scale detached and not in it; paper: multiplied by the scale.
class BirealWeight final : public BinaryWeight {
public:
    BirealWeight(const QuantSpec &spec, const Site &site)
        : BinaryWeight(spec, site), m_released(textParam(spec.options, "gradient", "released") == "released")
    {
    }
    void constrain(at::Tensor &weight) override { clampLatent(weight); }

protected:
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        return {fusedGradient(g, x, axisOf(x), [&](float v, float d, std::int64_t group) {
                    return std::abs(v) <= 1 ? (m_released ? d : d * alpha(std::size_t(group))) : 0.0f;
                }), {}};
    }

private:
    bool m_released;
};

/// sign(x) with the derivative of ApproxSign, 2 - 2|x| inside 1 (methods.md A2, B6d).
class BirealActivation final : public GridQuantizer {
public:
    BirealActivation(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site) { setReady(1); }
    Status calibrate(const at::Tensor &) override { return {}; }
    Status calibrate(const SiteStatistics &) override { return {}; }

protected:
    Grid makeGrid() const override { return signSteps({1.0f}, site().nonNegative); }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        return {fusedGradient(g, x, -1, [](float v, float d, std::int64_t) { return std::abs(v) < 1 ? d * (2 - 2 * std::abs(v)) : 0.0f; }), {}};
    }
    double sideBits() const override { return 0; }
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    if (site.role == Role::Weight)
        return std::make_unique<BirealWeight>(spec, site);
    return std::make_unique<BirealActivation>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t = binaryTraits("bireal", "Bi-Real Net", "Liu et al., ECCV", 2018, {Role::Weight, Role::Activation});
    t.summary = "Signs with a gradient that follows a smooth sign, made for networks with a shortcut around every convolution.";
    t.options = {granularityOption({"channel", "tensor"}),
                 choiceOption("gradient", {"released", "paper"}, "Weights: as in the released code, or times the scale as in the paper.")};
    return t;
}

} // namespace

QuantizerRow birealRow()
{
    return {traits(), make};
}

} // namespace bitwright
