// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include "quant/calibrators/calibrators.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

constexpr double kShare = 0.999;      // of the values below the first clip
constexpr float kSmallest = 1e-6f;

/// Clip [0, alpha], or [lower, alpha], with learned ends (methods.md B10).
class Pact final : public GridQuantizer {
public:
    Pact(const QuantSpec &spec, const Site &site)
        : GridQuantizer(spec, site), m_plus(textParam(spec.options, "variant") == "plus"), m_twoSided(textParam(spec.options, "variant") == "two_sided")
    {
    }
    Status takeValues()
    {
        if (!m_twoSided && spec().values.contains("lower"))
            return fail(ErrorKind::Invalid, label() + ", only the two-sided variant has a lower clip; set variant=two_sided or leave lower out");
        BW_CHECK(takeGiven({"alpha"}, m_twoSided ? std::vector<std::string>{} : std::vector<std::string>{"alpha"}, true));
        BW_CHECK(takeGiven({"lower"}, {}, true));
        for (const char *name : {"alpha", "lower"})
            if (hasValue(name) && value(name).size() != 1)
                return fail(ErrorKind::Invalid, label() + ", " + name + " is one number; give one");
        if (hasValue("alpha") && hasValue("lower") && !(value("lower")[0] < value("alpha")[0]))
            return fail(ErrorKind::Invalid, label() + ", lower must be below alpha; correct the values");
        if (hasValue("alpha") && (hasValue("lower") || !m_twoSided))
            setReady(1);
        return {};
    }
    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] {
            eachGroup(x, -1, [&](std::span<const float> values, std::size_t) {
                std::vector<float> sorted = finiteOf(values);
                const auto quantile = [&](double share) {
                    if (sorted.empty())
                        return 1.0f;
                    const double at = share * double(sorted.size() - 1);
                    const auto below = std::size_t(at);
                    std::ranges::nth_element(sorted, sorted.begin() + std::ptrdiff_t(below));
                    const float a = sorted[below];
                    const float b = below + 1 < sorted.size() ? *std::min_element(sorted.begin() + std::ptrdiff_t(below) + 1, sorted.end()) : a;
                    return float(double(a) + (at - double(below)) * (double(b) - double(a)));
                };
                start(quantile(1 - kShare), quantile(kShare));
            });
        });
    }
    Status calibrate(const SiteStatistics &s) override
    {
        const auto quantile = [&](double share) {
            const double wanted = share * double(s.moments.count);
            double below = 0;
            for (std::size_t i = 0; i < s.histogram.counts.size(); ++i) {
                below += double(s.histogram.counts[i]);
                if (below >= wanted)
                    return float(std::clamp(s.histogram.center(i), s.moments.min, s.moments.max));
            }
            return float(s.moments.max);
        };
        start(s.moments.count ? quantile(1 - kShare) : 0.0f, s.moments.count ? quantile(kShare) : 1.0f);
        return {};
    }
    void endStep() override
    {
        c10::NoGradGuard noGrad;
        for (const Learnable &l : learnables()) {
            if (l.name == "alpha")
                at::Tensor(l.tensor).clamp_min_(double(low() + kSmallest));
        }
    }

protected:
    Grid makeGrid() const override
    {
        const int n = (1 << bits()) - 1;
        const double lower = double(low()), step = (double(high()) - lower) / n;
        if (!m_twoSided)
            return AffineGrid{{float(step)}, {0.0f}, 0, n, -1};
        LevelTable table;   // zero need not be a level: no integer zero point
        for (int i = 0; i <= n; ++i)
            table.levels.push_back(float(lower + i * step));
        for (int i = 0; i < n; ++i) {
            const double tie = lower + (i + 0.5) * step;
            table.firsts.push_back(i % 2 == 0 ? firstAbove(tie) : firstFrom(tie));
        }
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        const float lower = low(), alpha = high(), n = float((1 << bits()) - 1), range = alpha - lower;
        const auto out = fusedGradientAndSums<2>(g, x, -1, [&](float v, float d, std::int64_t, std::array<double, 2> &sums) {
            if (v >= alpha) {
                sums[0] += double(d);
                return 0.0f;
            }
            if (m_twoSided ? v <= lower : v < 0) {
                sums[1] += double(d);
                return 0.0f;
            }
            if (m_plus && v == v) {
                const float z = (v - lower) * n / range;
                sums[0] += double(d) * double(std::rint(z) - z) / double(n);
            }
            return v == v ? d : 0.0f;
        });
        RuleGradients gradients{out.dx, {at::scalar_tensor(out.sums[0][0], at::kFloat)}};
        if (m_twoSided)
            gradients.parameters.push_back(at::scalar_tensor(out.sums[0][1], at::kFloat));
        return gradients;
    }
    double sideBits() const override { return m_twoSided ? 64 : 32; }

private:
    float high() const { return value("alpha")[0]; }
    float low() const { return m_twoSided ? value("lower")[0] : 0.0f; }
    void start(float lower, float upper)
    {
        if (!m_twoSided)
            lower = 0;
        if (!(upper > lower + kSmallest))
            upper = lower + std::max(1.0f, std::abs(lower));
        if (!hasValue("alpha"))
            setValue("alpha", {upper}, true);
        if (m_twoSided && !hasValue("lower"))
            setValue("lower", {std::min(lower, std::nextafter(value("alpha")[0], -std::numeric_limits<float>::max()))}, true);
        setReady(1);
    }
    bool m_plus, m_twoSided;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    auto quantizer = std::make_unique<Pact>(spec, site);
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "pact";
    t.title = "PACT";
    t.paper = "Choi et al., arXiv";
    t.year = 2018;
    t.family = "learned";
    t.roles = {Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.values = {"alpha", "lower"};
    t.summary = "Even levels up to a clip that training learns.";
    t.options = {choiceOption("variant", {"pact", "plus", "two_sided"}, "As published; plus: the rounding error takes part in the clip's gradient; "
                              "two_sided: a learned lower clip too.")};
    addTrainingOptions(t, 1, true);
    return t;
}

} // namespace

QuantizerRow pactRow()
{
    return {traits(), make};
}

} // namespace bitwright
