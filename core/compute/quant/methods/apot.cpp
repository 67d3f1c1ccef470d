// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace bitwright {
namespace {

constexpr int kWidest = 6;   // terms are published up to here
constexpr float kWeightStart = 3, kActivationStart = 8, kSmallest = 1e-6f;

/// Levels of k bits in [0, 1], ascending: sums of one member of each set, over the greatest (methods.md B22).
std::vector<double> unsignedLevels(int k)
{
    static const std::vector<std::vector<std::vector<int>>> exponents{
        {}, {{1, 2, 3}}, {{1, 2, 4}, {3}}, {{1, 3, 5}, {2, 4, 6}}, {{1, 3, 6}, {2, 4, 7}, {5}}, {{1, 4, 7}, {2, 5, 8}, {3, 6, 9}}};
    if (k == 1)
        return {0, 1};
    std::set<double> sums{0};
    for (const auto &term : exponents[std::size_t(k - 1)]) {
        std::set<double> more = sums;
        for (const int e : term)
            for (const double s : sums)
                more.insert(s + std::ldexp(1.0, -e));
        sums = std::move(more);
    }
    std::vector<double> levels(sums.begin(), sums.end());
    const double most = levels.back();
    for (double &v : levels)
        v /= most;
    return levels;
}

class Apot final : public GridQuantizer {
public:
    Apot(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site), m_levels(unsignedLevels(isWeight() ? bits() - 1 : bits())) {}

    Status takeValues()
    {
        BW_CHECK(takeGiven({"alpha"}, {"alpha"}, true));
        if (hasValue("alpha") && value("alpha").size() != 1)
            return fail(ErrorKind::Invalid, label() + ", alpha is one number; give one");
        if (hasValue("alpha"))
            setReady(1);
        return {};
    }
    Status calibrate(const at::Tensor &) override { return start(); }
    Status calibrate(const SiteStatistics &) override { return start(); }
    void endStep() override
    {
        c10::NoGradGuard noGrad;
        for (const Learnable &l : learnables())
            at::Tensor(l.tensor).clamp_min_(double(kSmallest));
    }

protected:
    Grid makeGrid() const override
    {
        const double alpha = double(value("alpha")[0]);
        LevelTable table;
        for (std::size_t i = m_levels.size(); isWeight() && i-- > 1;) {
            table.levels.push_back(float(-alpha * m_levels[i]));
            table.firsts.push_back(firstFrom(-alpha * (m_levels[i] + m_levels[i - 1]) / 2));   // a midpoint is the smaller magnitude
        }
        table.levels.push_back(0);
        for (std::size_t i = 1; i < m_levels.size(); ++i) {
            table.firsts.push_back(firstAbove(alpha * (m_levels[i] + m_levels[i - 1]) / 2));
            table.levels.push_back(float(alpha * m_levels[i]));
        }
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        const float alpha = value("alpha")[0];
        const LevelTable table = std::get<StepTables>(makeGrid()).groups[0];
        const at::Tensor y = toLevels(x, table);
        const bool weight = isWeight();
        // beyond the clip y is the clip itself: the error against the clipped value is zero there, and sign(x) counts
        const at::Tensor error = y - (weight ? x.clamp(-alpha, alpha) : x.clamp_max(alpha));
        const auto inside = fusedSums<1>(g, error, -1, [alpha](float e, float d, std::int64_t, std::array<double, 1> &sum) {
            if (std::isfinite(e))
                sum[0] += double(d) * double(e) / double(alpha);
        });
        const auto beyond = fusedSums<1>(g, x, -1, [alpha, weight](float v, float d, std::int64_t, std::array<double, 1> &sum) {
            sum[0] += v > alpha ? double(d) : weight && v < -alpha ? -double(d) : 0;
        });
        const double dalpha = inside[0][0] + beyond[0][0];
        const at::Tensor dx = weight ? g : fusedGradient(g, x, -1, [alpha](float v, float d, std::int64_t) { return v <= alpha ? d : 0.0f; });
        return {dx, {at::scalar_tensor(dalpha, at::kDouble)}};
    }

private:
    Status start()
    {
        if (!hasValue("alpha"))
            setValue("alpha", {isWeight() ? kWeightStart : kActivationStart}, true);
        setReady(1);
        return {};
    }
    std::vector<double> m_levels;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    const std::string label = siteLabel(site, spec.method);
    if (site.role == Role::Weight && spec.bits < 2)
        return fail(ErrorKind::Unsupported, label + ", a sign and no bit leaves one level; use 2 bits or more, or a binary method such as bwn");
    if (site.role == Role::Activation && spec.bits > kWidest)
        return fail(ErrorKind::Unsupported, label + ", its sums of powers of two are published up to " + std::to_string(kWidest)
                                                + " bits of magnitude; use fewer bits");
    auto quantizer = std::make_unique<Apot>(spec, site);
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "apot";
    t.title = "APoT";
    t.paper = "Li, Dong, Wang, ICLR";
    t.year = 2020;
    t.family = "powers of two";
    t.roles = {Role::Weight, Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = kWidest + 1;   // weights: and a sign
    t.values = {"alpha"};
    t.summary = "Sums of a few powers of two below a learned clip: dense near zero, yet without the gaps of single powers.";
    addTrainingOptions(t, 1, true);
    return t;
}

} // namespace

QuantizerRow apotRow()
{
    return {traits(), make, true, true, true};
}

} // namespace bitwright
