// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"
#include "quant/mid_rise.h"

namespace bitwright {
namespace {

/// Fixed grids on [-1, 1] (sign and k - 1 bits) and [0, 1], no scale (methods.md B6a).
class Wrpn final : public GridQuantizer {
public:
    Wrpn(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site) { setReady(1); }
    Status calibrate(const at::Tensor &) override { return {}; }
    Status calibrate(const SiteStatistics &) override { return {}; }

protected:
    Grid makeGrid() const override
    {
        const std::int64_t top = isWeight() ? (1 << (bits() - 1)) - 1 : (1 << bits()) - 1;
        return AffineGrid{{unitStep(int(top))}, {0.0f}, isWeight() ? -top : 0, top, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        return {passBetween(g, x, isWeight() ? -1.0f : 0.0f, 1), {}};
    }
    double sideBits() const override { return 0; }
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    if (site.role == Role::Weight && spec.bits < 2)
        return fail(ErrorKind::Unsupported, siteLabel(site, spec.method) + ", a sign and no bit leaves one level; use 2 bits or more, or a binary "
                    "method such as bwn");
    return std::make_unique<Wrpn>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "wrpn";
    t.title = "WRPN";
    t.paper = "Mishra et al., ICLR";
    t.year = 2018;
    t.family = "uniform";
    t.roles = {Role::Weight, Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.summary = "Fixed even levels in -1 to 1 (weights) and 0 to 1 (activations), published for widened networks.";
    return t;
}

} // namespace

QuantizerRow wrpnRow()
{
    return {traits(), make};
}

} // namespace bitwright
