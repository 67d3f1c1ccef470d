// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include "tensor/guarded.h"

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

/// Codes of equal share: the weights are parted k times at their median, or mean; levels are even (methods.md B9).
class Balanced final : public GridQuantizer {
public:
    Balanced(const QuantSpec &spec, const Site &site)
        : GridQuantizer(spec, site), m_mean(textParam(spec.options, "split") == "mean"), m_leastSquares(textParam(spec.options, "scale") == "lsq")
    {
    }
    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] {
            eachGroup(x, -1, [&](std::span<const float> values, std::size_t) {
                std::vector<float> sorted = finiteOf(values);
                std::ranges::sort(sorted);
                m_splits.clear();
                part(sorted, bits(), 0);
                m_scale = sorted.empty() ? 0.0 : std::max(std::abs(double(sorted.front())), std::abs(double(sorted.back())));
                if (m_leastSquares)
                    m_scale = fitted(sorted);
            });
            setReady(1);
        });
    }
    Status calibrate(const SiteStatistics &) override
    {
        return fail(ErrorKind::Unsupported, label() + ", it is for weights; use dorefa for activations");
    }

protected:
    Grid makeGrid() const override
    {
        LevelTable table;
        for (std::size_t i = 0; i <= m_splits.size(); ++i)
            table.levels.push_back(float(m_scale * unit(i)));
        for (const double split : m_splits)
            table.firsts.push_back(firstFrom(split));   // a value on the split goes up
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &) const override { return {g, {}}; }

private:
    double unit(std::size_t code) const { return 2 * (double(code) / double((1 << bits()) - 1) - 0.5); }

    /// Adds the splits of these values in order; `bound` stands in where there are none.
    void part(std::span<const float> sorted, int depth, double bound)
    {
        if (depth == 0)
            return;
        double split = bound;
        if (!sorted.empty() && m_mean) {
            double sum = 0;
            for (const float v : sorted)
                sum += double(v);
            split = std::clamp(sum / double(sorted.size()), double(sorted.front()), double(sorted.back()));
        } else if (!sorted.empty()) {
            const std::size_t n = sorted.size();
            split = (double(sorted[(n - 1) / 2]) + double(sorted[n / 2])) / 2;
        }
        const auto below = std::size_t(std::ranges::lower_bound(sorted, split, {}, [](float v) { return double(v); }) - sorted.begin());
        part(sorted.first(below), depth - 1, split);
        m_splits.push_back(split);
        part(sorted.subspan(below), depth - 1, split);
    }
    double fitted(const std::vector<float> &sorted) const
    {
        double with = 0, squares = 0;
        std::size_t code = 0;
        for (const float v : sorted) {
            while (code < m_splits.size() && double(v) >= m_splits[code])
                ++code;
            with += double(v) * unit(code);
            squares += unit(code) * unit(code);
        }
        return squares > 0 ? std::max(0.0, with / squares) : 0;
    }

    bool m_mean, m_leastSquares;
    double m_scale = 0;
    std::vector<double> m_splits;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    return std::make_unique<Balanced>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "balanced";
    t.title = "Balanced Quantization";
    t.paper = "Zhou et al., JCST";
    t.year = 2017;
    t.family = "distribution";
    t.roles = {Role::Weight};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.summary = "Every level is taken equally often.";
    t.options = {choiceOption("split", {"median", "mean"}, "What parts the weights: the median, or the cheaper mean."),
                 choiceOption("scale", {"max", "lsq"}, "The outermost level: the largest magnitude, or the scale of least squared error.")};
    return t;
}

} // namespace

QuantizerRow balancedRow()
{
    return {traits(), make};
}

} // namespace bitwright
