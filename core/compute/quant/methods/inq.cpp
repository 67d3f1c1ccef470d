// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include "tensor/guarded.h"

#include <cmath>

namespace bitwright {
namespace {

/// 0 and +-2^n2 … +-2^n1, parted at arithmetic means, a tie goes away from zero (methods.md B5).
class Inq final : public GridQuantizer {
public:
    Inq(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site) {}

    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] {
            const Moments m = momentsOf(x);
            const double largest = m.count ? std::max(std::abs(m.min), std::abs(m.max)) : 0;
            constexpr int kLowest = -100;   // normal floats
            m_top = largest > 0 ? std::max(kLowest, int(std::floor(std::log2(4 * largest / 3)))) : 0;
            // log2 of a number just below a power may be rounded up to it
            if (largest > 0 && std::ldexp(1.0, m_top) * 3 > 4 * largest)
                --m_top;
            setReady(1);
        });
    }
    Status calibrate(const SiteStatistics &) override
    {
        return fail(ErrorKind::Unsupported, label() + ", it is for weights; use apot for activations");
    }

protected:
    Grid makeGrid() const override
    {
        const int count = 1 << (bits() - 2);   // powers of each sign
        LevelTable table;
        for (int i = 0; i < count; ++i) {
            table.levels.push_back(float(-std::ldexp(1.0, m_top - i)));
            // between -2^e and -2^(e-1) the tie is -1.5 2^(e-1) and goes to the larger magnitude
            const double tie = -(i + 1 < count ? 1.5 * std::ldexp(1.0, m_top - i - 1) : std::ldexp(1.0, m_top - count));
            table.firsts.push_back(firstAbove(tie));
        }
        table.levels.push_back(0);
        for (int i = count - 1; i >= 0; --i) {
            table.firsts.push_back(firstFrom(i + 1 < count ? 1.5 * std::ldexp(1.0, m_top - i - 1) : std::ldexp(1.0, m_top - count)));
            table.levels.push_back(float(std::ldexp(1.0, m_top - i)));
        }
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &) const override { return {g, {}}; }
    double sideBits() const override { return 8; }   // the exponent

private:
    int m_top = 0;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    return std::make_unique<Inq>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "inq";
    t.title = "INQ";
    t.paper = "Zhou et al., ICLR";
    t.year = 2017;
    t.family = "powers of two";
    t.roles = {Role::Weight};
    t.minimumBits = 2;
    t.maximumBits = 8;
    t.summary = "Zero and powers of two, so that a product is a shift.";
    return t;
}

} // namespace

QuantizerRow inqRow()
{
    return {traits(), make};
}

} // namespace bitwright
