// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"
#include "quant/optimal_levels.h"

#include "tensor/guarded.h"

#include <algorithm>

namespace bitwright {
namespace {

/// The 2^b levels of least squared error, nearest level (methods.md B1).
class Lloyd final : public GridQuantizer {
public:
    Lloyd(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site) {}

    Status takeValues()
    {
        BW_CHECK(takeGiven({"codebook"}));
        if (!hasValue("codebook"))
            return {};
        if (value("codebook").size() > std::size_t(1) << bits())
            return fail(ErrorKind::Invalid, label() + ", codebook has " + std::to_string(value("codebook").size()) + " values and "
                                                + std::to_string(bits()) + " bits count " + std::to_string(1 << bits()) + "; give at most as many");
        take({value("codebook").begin(), value("codebook").end()});
        return {};
    }
    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] { take(optimalLevels(SortedValues(x), std::size_t(1) << bits())); });
    }
    Status calibrate(const SiteStatistics &s) override
    {
        std::vector<double> points, weights;
        for (std::size_t i = 0; i < s.histogram.counts.size(); ++i) {
            if (s.histogram.counts[i] == 0)
                continue;
            points.push_back(std::clamp(s.histogram.center(i), s.moments.min, s.moments.max));
            // behind a ReLU the lowest bin is mostly exact zeros
            if (site().nonNegative && i == 0)
                points.back() = 0;
            weights.push_back(double(s.histogram.counts[i]));
        }
        // pairs of neighbours where there are more points than many levels leave time for
        constexpr std::size_t kMost = 4096;
        while (points.size() > kMost) {
            std::size_t to = 0;
            for (std::size_t i = 0; i < points.size(); i += 2, ++to) {
                const bool pair = i + 1 < points.size();
                const double weight = weights[i] + (pair ? weights[i + 1] : 0);
                points[to] = (points[i] * weights[i] + (pair ? points[i + 1] * weights[i + 1] : 0)) / weight;
                weights[to] = weight;
            }
            points.resize(to);
            weights.resize(to);
        }
        take(optimalLevels(points, weights, std::size_t(1) << bits()));
        return {};
    }
    /// In training the levels of a weight go on following it, one round a step.
    void observe(const at::Tensor &x) override
    {
        if (!isWeight())
            return;
        m_next.assign(value("codebook").begin(), value("codebook").end());
        std::ranges::sort(m_next);
        lloydRound(SortedValues(x), m_next);
    }
    void endStep() override
    {
        if (!m_next.empty())
            take(m_next);
        m_next.clear();
    }
    bool keepsValues() const override { return isWeight(); }
    std::vector<Learnable> running() override
    {
        return calibrated() && isWeight() ? std::vector<Learnable>{{"codebook", tensorOf("codebook")}} : std::vector<Learnable>{};
    }

protected:
    Grid makeGrid() const override { return StepTables{{nearestLevels(value("codebook"))}, -1}; }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        return {passBetween(g, x, value("codebook").front(), value("codebook").back()), {}};
    }
    double sideBits() const override { return 32.0 * double(value("codebook").size()); }

private:
    void take(std::vector<float> levels)
    {
        std::ranges::sort(levels);
        setValue("codebook", levels);
        setReady(1);
    }
    std::vector<float> m_next;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    auto quantizer = std::make_unique<Lloyd>(spec, site);
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "lloyd";
    t.title = "Lloyd-Max";
    t.paper = "Lloyd, IEEE Trans. Information Theory";
    t.year = 1982;
    t.family = "codebook";
    t.roles = {Role::Weight, Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.values = {"codebook"};
    t.summary = "The levels of least squared error that so many bits can have: what every other method is measured against.";
    return t;
}

} // namespace

QuantizerRow lloydRow()
{
    return {traits(), make};
}

} // namespace bitwright
