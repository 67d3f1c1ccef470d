// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include "tensor/guarded.h"

#include <cmath>
#include <limits>

namespace bitwright {
namespace {

constexpr float kKeep = 0.9f;   // of the running betas of an activation in training
constexpr std::int64_t kLookedAt = 1 << 16;   // elements of a batch that move them

/// Sign of the residual, then of what that leaves, and so on: x ~ sum of beta_i H_i (methods.md B6f).
class Horq final : public GridQuantizer {
public:
    Horq(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site) {}

    Status takeValues()
    {
        BW_CHECK(takeGiven({"beta"}));
        if (!hasValue("beta"))
            return {};
        if (value("beta").size() != std::size_t(bits()))
            return fail(ErrorKind::Invalid, label() + ", beta has " + std::to_string(value("beta").size()) + " numbers and the order is "
                                                + std::to_string(bits()) + "; give as many");
        m_betas.assign(value("beta").begin(), value("beta").end());
        setReady(1);
        return {};
    }
    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] { take(betasOf(x)); });
    }
    Status calibrate(const SiteStatistics &s) override
    {
        const Histogram &h = s.histogram;
        std::vector<double> residual, count;
        for (std::size_t i = 0; i < h.counts.size(); ++i) {
            if (h.counts[i] == 0)
                continue;
            residual.push_back(std::clamp(h.center(i), s.moments.min, s.moments.max));
            // behind a ReLU the lowest bin is mostly exact zeros
            if (site().nonNegative && i == 0)
                residual.back() = 0;
            count.push_back(double(h.counts[i]));
        }
        take(greedy(std::move(residual), count));
        return {};
    }
    void observe(const at::Tensor &x) override
    {
        if (!isWeight())
            m_next = betasOf(every(x));
    }
    void endStep() override
    {
        if (m_next.size() != m_betas.size())
            return;
        for (std::size_t i = 0; i < m_betas.size(); ++i)
            m_betas[i] = kKeep * m_betas[i] + (1 - kKeep) * m_next[i];
        m_next.clear();
        take(m_betas);
    }
    bool keepsValues() const override { return !isWeight(); }

protected:
    Grid makeGrid() const override
    {
        StepTables steps;
        steps.groups.emplace_back();
        const double infinity = std::numeric_limits<double>::infinity();
        split(steps.groups[0], 0, 0, -infinity, infinity);
        return steps;
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        std::array<float, 8> beta{};
        std::ranges::copy(m_betas, beta.begin());
        const std::size_t order = m_betas.size();
        const float first = site().nonNegative ? std::numeric_limits<float>::min() : 0.0f;
        return {fusedGradient(g, x, -1, [beta, order, first](float v, float d, std::int64_t) {
                    float residual = v, slope = 0;
                    for (std::size_t i = 0; i < order; ++i) {
                        slope += std::abs(residual) <= 1 ? beta[i] : 0.0f;
                        residual -= residual >= (i == 0 ? first : 0.0f) ? beta[i] : -beta[i];
                    }
                    return d * slope;
                }), {}};
    }
    bool listsLevels() const override { return false; }
    double sideBits() const override { return 32.0 * bits(); }

private:
    /// Behind a ReLU zero counts as below it, as with all signs.
    bool positive(double residual, std::size_t order) const
    {
        return site().nonNegative && order == 0 ? residual > 0 : residual >= 0;
    }
    std::vector<float> greedy(std::vector<double> residual, const std::vector<double> &count) const
    {
        std::vector<float> betas;
        for (int order = 0; order < bits(); ++order) {
            double sum = 0, all = 0;
            for (std::size_t i = 0; i < residual.size(); ++i) {
                const double n = count.empty() ? 1 : count[i];
                sum += n * std::abs(residual[i]);
                all += n;
            }
            betas.push_back(all > 0 ? float(sum / all) : 0.0f);
            for (double &r : residual)
                r -= positive(r, std::size_t(order)) ? double(betas.back()) : -double(betas.back());
        }
        return betas;
    }
    /// Every k-th element: the average over steps smooths more than the rest would.
    static at::Tensor every(const at::Tensor &x)
    {
        const std::int64_t step = std::max<std::int64_t>(1, x.numel() / kLookedAt);
        return step == 1 ? x : floatContiguous(x).reshape({-1}).slice(0, 0, x.numel(), step);
    }
    std::vector<float> betasOf(const at::Tensor &x) const
    {
        std::vector<double> residual;
        eachGroup(x, -1, [&](std::span<const float> values, std::size_t) {
            const std::vector<float> finite = finiteOf(values);
            residual.assign(finite.begin(), finite.end());
        });
        return greedy(std::move(residual), {});
    }
    void take(const std::vector<float> &betas)
    {
        m_betas = betas;
        if (!isWeight())
            setValue("beta", betas);
        setReady(1);
    }
    /// The stretch from low to high, on which the terms so far add up to `sum`: where the next sign changes, it parts.
    void split(LevelTable &table, std::size_t order, double sum, double low, double high) const
    {
        if (order == m_betas.size()) {
            if (!table.levels.empty())
                table.firsts.push_back(low == 0 && site().nonNegative ? std::numeric_limits<float>::min() : firstFrom(low));
            table.levels.push_back(float(sum));
            return;
        }
        const double beta = double(m_betas[order]);
        if (low < sum)
            split(table, order + 1, sum - beta, low, std::min(high, sum));
        if (high > sum)
            split(table, order + 1, sum + beta, std::max(low, sum), high);
    }

    std::vector<float> m_betas, m_next;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    auto quantizer = std::make_unique<Horq>(spec, site);
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "horq";
    t.title = "HORQ";
    t.paper = "Li et al., ICCV";
    t.year = 2017;
    t.family = "binary";
    t.roles = {Role::Activation, Role::Weight};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.values = {"beta"};
    t.summary = "Several binary terms, each for what the ones before it left; the bits are their number.";
    return t;
}

} // namespace

QuantizerRow horqRow()
{
    return {traits(), make};
}

} // namespace bitwright
