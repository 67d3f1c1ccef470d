// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include "tensor/guarded.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {
namespace {

constexpr double kShare = 0.7;   // of the mean magnitude: where the rule puts the threshold

struct Ternary {
    float scale = 0;
    float above = std::numeric_limits<float>::min();   ///< smallest magnitude that is not zero
};

/// Threshold 0.7 mean |w|, scale the mean of what is above it (methods.md B4).
Ternary byRule(std::span<const float> values)
{
    const Moments m = momentsOf(values);
    Ternary t;
    if (m.count == 0 || m.sumAbs == 0)
        return t;
    t.above = firstAbove(kShare * m.sumAbs / double(m.count));
    double sum = 0;
    std::size_t count = 0;
    for (const float v : values)
        if (std::isfinite(v) && std::abs(v) >= t.above) {
            sum += double(std::abs(v));
            ++count;
        }
    t.scale = count ? float(sum / double(count)) : 0.0f;
    return t;
}

/// The ternary set of least squared error: the k largest magnitudes that maximise (their sum)^2 / k.
Ternary best(std::span<const float> values)
{
    std::vector<float> sizes = finiteOf(values);
    for (float &v : sizes)
        v = std::abs(v);
    std::ranges::sort(sizes, std::greater<>());
    Ternary t;
    double sum = 0, most = 0;
    for (std::size_t k = 1; k <= sizes.size(); ++k) {
        sum += double(sizes[k - 1]);
        const bool tied = k < sizes.size() && sizes[k] == sizes[k - 1];   // equal magnitudes go together
        if (const double gain = sum * sum / double(k); !tied && gain > most) {
            most = gain;
            t = {float(sum / double(k)), sizes[k - 1]};
        }
    }
    return t;
}

class Twn final : public GridQuantizer {
public:
    Twn(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site), m_exact(textParam(spec.options, "solver") == "exact") {}

    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] {
            const int axis = axisOf(x);
            m_groups.assign(axis < 0 ? 1 : std::size_t(x.size(axis)), {});
            eachGroup(x, axis, [&](std::span<const float> values, std::size_t group) {
                m_groups[group] = m_exact ? best(values) : byRule(values);
            });
            setReady(m_groups.size());
        });
    }
    Status calibrate(const SiteStatistics &) override
    {
        return fail(ErrorKind::Unsupported, label() + ", it is for weights; use another method for activations");
    }

protected:
    Grid makeGrid() const override
    {
        StepTables steps;
        for (std::size_t i = 0; i < groupCount(); ++i) {
            const Ternary &t = m_groups[m_groups.size() == 1 ? 0 : i];
            // -above itself is not zero: the next float toward zero is the first that is
            steps.groups.push_back({{-t.scale, 0.0f, t.scale}, {std::nextafter(-t.above, 0.0f), t.above}});
        }
        return steps;
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &) const override { return {g, {}}; }

private:
    bool m_exact;
    std::vector<Ternary> m_groups;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    return std::make_unique<Twn>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "twn";
    t.title = "TWN";
    t.paper = "Li, Zhang, Liu, NIPS workshop";
    t.year = 2016;
    t.family = "ternary";
    t.roles = {Role::Weight};
    t.minimumBits = t.maximumBits = 2;
    t.summary = "Zero below a threshold, plus or minus one scale above it.";
    t.options = {choiceOption("solver", {"rule", "exact"}, "Threshold at 0.7 times the mean magnitude, or where the squared error is least."),
                 granularityOption({"tensor", "channel"})};
    return t;
}

} // namespace

QuantizerRow twnRow()
{
    return {traits(), make};
}

} // namespace bitwright
