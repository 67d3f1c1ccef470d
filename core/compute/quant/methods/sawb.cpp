// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"
#include "quant/mid_rise.h"

#include "tensor/guarded.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bitwright {
namespace {

/// c1 and c2 for 2 to 8 bits: as IBM ships them, 6 and 7 by the same fit over six distributions (methods.md B11).
constexpr std::array<std::array<double, 2>, 7> kCoefficients{
    {{3.12, -2.064}, {7.509, -6.892}, {12.68, -12.80}, {17.74, -18.64}, {22.309, -23.790}, {27.622, -29.977}, {31.76, -35.04}}};

/// The clip from two moments of the weight, 2^b evenly spaced levels without a zero between.
class Sawb final : public GridQuantizer {
public:
    Sawb(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site) {}

    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] {
            const Moments m = momentsOf(x);
            const double n = std::max<double>(1, double(m.count)), largest = m.count ? std::max(std::abs(m.min), std::abs(m.max)) : 0;
            const auto &[c1, c2] = kCoefficients[std::size_t(bits() - 2)];
            const double alpha = c1 * std::sqrt(m.sumSquares / n) + c2 * m.sumAbs / n;
            // bounded distributions would be given a clip beyond their largest value at 8 bits
            m_alpha = float(alpha > 0 && std::isfinite(alpha) ? std::min(alpha, largest) : largest);
            setReady(1);
        });
    }
    Status calibrate(const SiteStatistics &) override
    {
        return fail(ErrorKind::Unsupported, label() + ", its clip is fitted to weights; use pact for activations");
    }

protected:
    Grid makeGrid() const override { return StepTables{{midRise(double(m_alpha), bits())}, -1}; }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override { return {passBetween(g, x, -m_alpha, m_alpha), {}}; }

private:
    float m_alpha = 0;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    return std::make_unique<Sawb>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "sawb";
    t.title = "SAWB";
    t.paper = "Choi et al., SysML";
    t.year = 2019;
    t.family = "distribution";
    t.roles = {Role::Weight};
    t.minimumBits = 2;
    t.maximumBits = 8;
    t.summary = "Evenly spaced levels within a clip that two moments of the weights give.";
    return t;
}

} // namespace

QuantizerRow sawbRow()
{
    return {traits(), make};
}

} // namespace bitwright
