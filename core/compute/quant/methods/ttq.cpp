// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bitwright {
namespace {

constexpr double kSmallest = 1e-8;   // of a learned scale

/// -wn, 0, wp with both scales learned; the threshold follows the weight: t max |w| (methods.md B4).
class Ttq final : public GridQuantizer {
public:
    Ttq(const QuantSpec &spec, const Site &site)
        : GridQuantizer(spec, site), m_share(realParam(spec.options, "t", 0.05)), m_fromMeans(textParam(spec.options, "start") == "mean")
    {
    }
    Status takeValues() { return takeGiven({"wp", "wn"}, {"wp", "wn"}, true); }

    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] {
            observe(x);
            double sums[2] = {0, 0};
            std::size_t counts[2] = {0, 0};
            eachGroup(x, -1, [&](std::span<const float> values, std::size_t) {
                for (const float v : values) {
                    if (!std::isfinite(v) || double(std::abs(v)) <= m_threshold)
                        continue;
                    sums[v < 0] += double(std::abs(v));
                    ++counts[v < 0];
                }
            });
            const auto start = [&](std::size_t side) { return m_fromMeans && counts[side] ? float(sums[side] / double(counts[side])) : 1.0f; };
            if (!hasValue("wp"))
                setValue("wp", {start(0)}, true);
            if (!hasValue("wn"))
                setValue("wn", {start(1)}, true);
            setReady(1);
        });
    }
    Status calibrate(const SiteStatistics &) override
    {
        return fail(ErrorKind::Unsupported, label() + ", it is for weights; use another method for activations");
    }
    void observe(const at::Tensor &x) override
    {
        const Moments m = momentsOf(x);
        m_threshold = m.count ? m_share * std::max(std::abs(m.min), std::abs(m.max)) : 0;
        forgetGrid();
    }
    void endStep() override
    {
        c10::NoGradGuard noGrad;
        for (const Learnable &l : learnables())
            at::Tensor(l.tensor).clamp_min_(kSmallest);
    }

protected:
    Grid makeGrid() const override
    {
        return StepTables{{{{-value("wn")[0], 0.0f, value("wp")[0]}, {firstFrom(-m_threshold), firstAbove(m_threshold)}}}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        const float wp = value("wp")[0], wn = value("wn")[0], low = firstFrom(-m_threshold), high = firstAbove(m_threshold);
        const auto out = fusedGradientAndSums<2>(g, x, -1, [&](float v, float d, std::int64_t, std::array<double, 2> &sums) {
            sums[0] += v >= high ? double(d) : 0;
            sums[1] -= v < low ? double(d) : 0;
            return v >= high ? d * wp : v < low ? d * wn : d;
        });
        return {out.dx, {at::scalar_tensor(out.sums[0][0], at::kFloat), at::scalar_tensor(out.sums[0][1], at::kFloat)}};
    }
    double sideBits() const override { return 64; }

private:
    double m_share, m_threshold = 0;
    bool m_fromMeans;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    auto quantizer = std::make_unique<Ttq>(spec, site);
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "ttq";
    t.title = "TTQ";
    t.paper = "Zhu, Han, Mao, Dally, ICLR";
    t.year = 2017;
    t.family = "ternary";
    t.roles = {Role::Weight};
    t.minimumBits = t.maximumBits = 2;
    t.values = {"wp", "wn"};
    t.summary = "Ternary with a scale for each sign, both learned.";
    t.options = {realOption("t", 0.05, 0, 1, "The threshold as a share of the largest magnitude."),
                 choiceOption("start", {"one", "mean"}, "Where the scales start: at 1 as published, or at the mean of each side.")};
    addTrainingOptions(t, 1, false);
    return t;
}

} // namespace

QuantizerRow ttqRow()
{
    return {traits(), make};
}

} // namespace bitwright
