// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace bitwright {
namespace {

constexpr double kRank = 1e-9;   // of the normal equations: bases that coincide share their weight

/// sum of alpha_m sign(w - mean + u_m std), alpha by least squares of least norm (methods.md B6b).
class AbcWeight final : public GridQuantizer {
public:
    AbcWeight(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site) {}

    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] {
            eachGroup(x, -1, [&](std::span<const float> values, std::size_t) { fit(values); });
            setReady(1);
        });
    }
    Status calibrate(const SiteStatistics &) override { return fail(ErrorKind::Unsupported, label() + ", its weight form needs the weights; use role activation"); }

protected:
    Grid makeGrid() const override
    {
        // thresholds fall as u grows; the answer on each stretch is the sum of the signs there
        LevelTable table;
        std::vector<std::size_t> order(m_thresholds.size());
        std::iota(order.begin(), order.end(), std::size_t(0));
        std::ranges::stable_sort(order, {}, [&](std::size_t i) { return m_thresholds[i]; });
        double sum = -std::accumulate(m_alpha.begin(), m_alpha.end(), 0.0);
        table.levels.push_back(float(sum));
        for (const std::size_t i : order) {
            sum += 2 * m_alpha[i];
            table.firsts.push_back(firstFrom(m_thresholds[i]));
            table.levels.push_back(float(sum));
        }
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &) const override
    {
        return {g * std::accumulate(m_alpha.begin(), m_alpha.end(), 0.0), {}};
    }
    bool listsLevels() const override { return false; }
    double sideBits() const override { return 32.0 * bits(); }

private:
    void fit(std::span<const float> values)
    {
        const auto bases = std::size_t(bits());
        double sum = 0, squares = 0;
        const std::vector<float> finite = finiteOf(values);
        for (const float v : finite)
            sum += double(v);
        const double n = std::max<double>(1, double(finite.size())), mean = sum / n;
        for (const float v : finite)
            squares += (double(v) - mean) * (double(v) - mean);
        const double std = std::sqrt(squares / n);
        m_thresholds.assign(bases, mean);
        for (std::size_t m = 0; m < bases && bases > 1; ++m)
            m_thresholds[m] = mean - (-1 + 2 * double(m) / double(bases - 1)) * std;
        std::vector<float> firsts;
        for (const double t : m_thresholds)
            firsts.push_back(firstFrom(t));
        at::Tensor gram = at::zeros({std::int64_t(bases), std::int64_t(bases)}, at::kDouble), right = at::zeros({std::int64_t(bases)}, at::kDouble);
        auto pg = gram.accessor<double, 2>();
        auto pr = right.accessor<double, 1>();
        for (const float v : finite) {
            for (std::size_t i = 0; i < bases; ++i) {
                const double bi = v >= firsts[i] ? 1 : -1;
                pr[std::int64_t(i)] += bi * double(v);
                for (std::size_t j = 0; j <= i; ++j)
                    pg[std::int64_t(i)][std::int64_t(j)] += v >= firsts[j] ? bi : -bi;
            }
        }
        for (std::size_t i = 0; i < bases; ++i)
            for (std::size_t j = 0; j < i; ++j)
                pg[std::int64_t(j)][std::int64_t(i)] = pg[std::int64_t(i)][std::int64_t(j)];
        const at::Tensor alpha = at::linalg_pinv(gram / n, kRank, /*hermitian=*/true).matmul(right / n).contiguous();
        m_alpha.assign(alpha.const_data_ptr<double>(), alpha.const_data_ptr<double>() + alpha.numel());
    }

    std::vector<double> m_thresholds, m_alpha;   ///< of each base
};

/// sum of beta_n A_n, A_n = +-1 as clip(x + v_n, 0, 1) reaches 1/2; v and beta are learned.
class AbcActivation final : public GridQuantizer {
public:
    AbcActivation(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site) {}

    Status takeValues()
    {
        BW_CHECK(takeGiven({"v", "beta"}, {}, true));
        for (const char *name : {"v", "beta"})
            if (hasValue(name) && value(name).size() != std::size_t(bits()))
                return fail(ErrorKind::Invalid, label() + ", " + name + " has " + std::to_string(value(name).size()) + " numbers and there are "
                                                    + std::to_string(bits()) + " bases; give as many");
        if (hasValue("v") && hasValue("beta"))
            setReady(1);
        return {};
    }
    Status calibrate(const at::Tensor &) override { return start(); }
    Status calibrate(const SiteStatistics &) override { return start(); }

protected:
    Grid makeGrid() const override
    {
        const auto v = value("v"), beta = value("beta");
        std::vector<std::size_t> order(v.size());
        std::iota(order.begin(), order.end(), std::size_t(0));
        std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return v[i]; });
        LevelTable table;
        double sum = 0;
        for (const float b : beta)
            sum -= double(b);
        table.levels.push_back(float(sum));
        for (const std::size_t i : order) {
            sum += 2 * double(beta[i]);
            table.firsts.push_back(firstFrom(0.5 - double(v[i])));
            table.levels.push_back(float(sum));
        }
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        switch (value("v").size()) {
        case 1: return backwardOf<1>(g, x);
        case 2: return backwardOf<2>(g, x);
        case 3: return backwardOf<3>(g, x);
        case 4: return backwardOf<4>(g, x);
        case 5: return backwardOf<5>(g, x);
        case 6: return backwardOf<6>(g, x);
        case 7: return backwardOf<7>(g, x);
        default: return backwardOf<8>(g, x);
        }
    }
    bool listsLevels() const override { return false; }
    double sideBits() const override { return 64.0 * bits(); }

private:
    /// With the number of bases known to the compiler, which then needs no branch.
    template <std::size_t N>
    RuleGradients backwardOf(const at::Tensor &g, const at::Tensor &x) const
    {
        std::array<float, N> v{}, beta{};
        std::copy_n(value("v").begin(), N, v.begin());
        std::copy_n(value("beta").begin(), N, beta.begin());
        const auto out = fusedGradientAndSums<2 * N>(g, x, -1, [=](float value, float d, std::int64_t, std::array<double, 2 * N> &sums) {
            float slope = 0;
            for (std::size_t i = 0; i < N; ++i) {
                const float shifted = value + v[i];
                const float passed = shifted >= 0 && shifted <= 1 ? beta[i] : 0.0f;
                slope += passed;
                sums[i] += double(d * passed);
                sums[N + i] += double(shifted >= 0.5f ? d : shifted < 0.5f ? -d : 0.0f);
            }
            return d * slope;
        });
        const std::vector<double> dv(out.sums[0].begin(), out.sums[0].begin() + N), dbeta(out.sums[0].begin() + N, out.sums[0].end());
        return {out.dx, {at::tensor(dv, at::kDouble), at::tensor(dbeta, at::kDouble)}};
    }
    Status start()
    {
        const auto n = std::size_t(bits());
        std::vector<float> v(n, 0.0f);
        for (std::size_t i = 0; i < n && n > 1; ++i)
            v[i] = -0.5f + float(i) / float(n - 1);
        if (!hasValue("v"))
            setValue("v", v, true);
        if (!hasValue("beta"))
            setValue("beta", std::vector<float>(n, 1.0f), true);
        setReady(1);
        return {};
    }
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    if (site.role == Role::Weight) {
        if (!spec.values.empty())
            return fail(ErrorKind::Unsupported, siteLabel(site, spec.method) + ", its weights are fitted anew each time; leave out v and beta");
        return std::make_unique<AbcWeight>(spec, site);
    }
    auto quantizer = std::make_unique<AbcActivation>(spec, site);
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "abc";
    t.title = "ABC-Net";
    t.paper = "Lin, Zhao, Pan, NIPS";
    t.year = 2017;
    t.family = "binary";
    t.roles = {Role::Weight, Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.values = {"v", "beta"};
    t.summary = "A weighted sum of binary bases; the bits are their number.";
    addTrainingOptions(t, 1, false);
    return t;
}

} // namespace

QuantizerRow abcRow()
{
    return {traits(), make};
}

} // namespace bitwright
