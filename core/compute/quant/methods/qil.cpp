// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

constexpr double kNarrowest = 1e-3, kSmallestGamma = 1e-2, kSmallestU = 1e-6;

/// What lies below centre - width is pruned, above centre + width clipped, between them bent and rounded (methods.md B12).
class Qil final : public GridQuantizer {
public:
    Qil(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site) {}

    Status takeValues()
    {
        BW_CHECK(takeGiven({"c"}, {}, true));
        BW_CHECK(takeGiven({"d"}, {"d"}, true));
        if (isWeight())
            BW_CHECK(takeGiven({"gamma"}, {"gamma"}, true));
        else if (const auto gamma = spec().values.find("gamma"); gamma != spec().values.end() && gamma->second != std::vector<double>{1})
            return fail(ErrorKind::Unsupported, label() + ", activations have no gamma; leave it out");
        for (const char *name : {"c", "d", "gamma"})
            if (hasValue(name) && value(name).size() != 1)
                return fail(ErrorKind::Invalid, label() + ", " + name + " is one number; give one");
        if (hasValue("c") && hasValue("d"))
            complete();
        return {};
    }
    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] {
            const Moments m = momentsOf(x);
            start(!m.count ? 0 : isWeight() ? std::max(std::abs(m.min), std::abs(m.max)) : m.max);
        });
    }
    Status calibrate(const SiteStatistics &s) override
    {
        start(s.moments.count ? s.moments.max : 0);
        return {};
    }
    void endStep() override
    {
        c10::NoGradGuard noGrad;
        for (const Learnable &l : learnables())
            at::Tensor(l.tensor).clamp_min_(l.name == "c" ? 0 : l.name == "d" ? kNarrowest : kSmallestGamma);
    }

protected:
    Grid makeGrid() const override
    {
        const int top = isWeight() ? (1 << (bits() - 1)) - 1 : (1 << bits()) - 1;
        const double c = double(value("c")[0]), d = double(value("d")[0]), gamma = isWeight() ? double(value("gamma")[0]) : 1;
        std::vector<double> at;   // where the magnitude reaches k + 1/2 steps
        for (int k = 0; k < top; ++k)
            at.push_back(c - d + 2 * d * std::pow((k + 0.5) / top, 1 / gamma));
        LevelTable table;
        for (int k = top; isWeight() && k > 0; --k) {
            table.levels.push_back(-float(k) / float(top));
            const double tie = -std::max(0.0, at[std::size_t(k - 1)]);
            // the tie goes to the even code; where even zero is beyond the step, the sign alone decides
            table.firsts.push_back(tie == 0 ? 0.0f : k % 2 == 0 ? firstAbove(tie) : firstFrom(tie));
        }
        table.levels.push_back(0);
        for (int k = 0; k < top; ++k) {
            const double tie = isWeight() ? std::max(0.0, at[std::size_t(k)]) : at[std::size_t(k)];
            table.firsts.push_back(tie == 0 && isWeight() ? 0.0f : k % 2 == 0 ? firstAbove(tie) : firstFrom(tie));
            table.levels.push_back(float(k + 1) / float(top));
        }
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        const double c = double(value("c")[0]), d = double(value("d")[0]), gamma = isWeight() ? double(value("gamma")[0]) : 1;
        const bool weight = isWeight();
        const auto out = fusedGradientAndSums<3>(g, x, -1, [=](float v, float from, std::int64_t, std::array<double, 3> &sums) {
            const double size = weight ? std::abs(double(v)) : double(v), sign = weight && v < 0 ? -1 : 1;
            if (!(size >= c - d && size <= c + d))
                return 0.0f;
            const double u = std::max(kSmallestU, 0.5 * (size - c) / d + 0.5);
            const double slope = gamma == 1 ? 1 : gamma * std::pow(u, gamma - 1), along = double(from) * sign * slope;
            sums[0] += along * (-0.5 / d);
            sums[1] += along * (-0.5 * (size - c) / (d * d));
            if (weight)
                sums[2] += double(from) * sign * std::pow(u, gamma) * std::log(u);
            return float(double(from) * slope * 0.5 / d);
        });
        RuleGradients gradients{out.dx, {}};
        for (std::size_t i = 0; i < (weight ? 3U : 2U); ++i)
            gradients.parameters.push_back(at::scalar_tensor(out.sums[0][i], at::kDouble));
        return gradients;
    }
    double sideBits() const override { return isWeight() ? 96 : 64; }

private:
    void start(double largest)
    {
        const float half = largest > 0 && std::isfinite(float(largest)) ? std::max(float(largest) / 2, 1e-30f) : 0.5f;
        if (!hasValue("c"))
            setValue("c", {half}, true);
        if (!hasValue("d"))
            setValue("d", {half}, true);
        complete();
    }
    void complete()
    {
        if (isWeight() && !hasValue("gamma"))
            setValue("gamma", {1.0f}, true);
        setReady(1);
    }
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    if (site.role == Role::Weight && spec.bits < 2)
        return fail(ErrorKind::Unsupported, siteLabel(site, spec.method) + ", a sign and no bit leaves one level; use 2 bits or more, or a binary "
                    "method such as bwn");
    auto quantizer = std::make_unique<Qil>(spec, site);
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "qil";
    t.title = "QIL";
    t.paper = "Jung et al., CVPR";
    t.year = 2019;
    t.family = "learned";
    t.roles = {Role::Weight, Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.values = {"c", "d", "gamma"};
    t.summary = "An interval that training learns: pruned below it, clipped above it, even levels in between.";
    addTrainingOptions(t, 1, false);
    return t;
}

} // namespace

QuantizerRow qilRow()
{
    return {traits(), make};
}

} // namespace bitwright
