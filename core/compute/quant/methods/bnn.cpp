// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/binary.h"

namespace bitwright {
namespace {

/// sign(x), no scale; weights by identity, activations where |x| <= 1 (methods.md B2).
class Bnn final : public GridQuantizer {
public:
    Bnn(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site) { setReady(1); }
    Status calibrate(const at::Tensor &) override { return {}; }
    Status calibrate(const SiteStatistics &) override { return {}; }
    void constrain(at::Tensor &weight) override { clampLatent(weight); }

protected:
    Grid makeGrid() const override { return signSteps({1.0f}, site().nonNegative); }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        return {isWeight() ? g : passBetween(g, x, -1, 1), {}};
    }
    double sideBits() const override { return 0; }
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    return std::make_unique<Bnn>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t = binaryTraits("bnn", "BNN", "Hubara et al., NIPS", 2016, {Role::Weight, Role::Activation});
    t.summary = "Plus or minus one by the sign, weights and activations, no scale: a batch norm behind the layer sets it.";
    return t;
}

} // namespace

QuantizerRow bnnRow()
{
    return {traits(), make};
}

} // namespace bitwright
