// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"
#include "quant/optimal_levels.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

constexpr double kSmallest = 1e-8, kHottest = 2000, kExponent = 10, kTernaryBias = 0.05;
constexpr std::size_t kMostPoints = 4096;

/// alpha (sum_i s_i sigma(T (beta x - b_i)) - o), evaluated with steps, trained through sigmoids of temperature T
/// (methods.md B21).
class QuantNet final : public GridQuantizer {
public:
    QuantNet(const QuantSpec &spec, const Site &site, std::vector<double> set)
        : GridQuantizer(spec, site), m_set(std::move(set)), m_fixed(hasParam(spec.options, "temperature")),
          m_temperature(m_fixed ? realParam(spec.options, "temperature") : 1), m_rate(realParam(spec.options, "temperature_rate", 5))
    {
        for (std::size_t i = 1; i < m_set.size(); ++i)
            m_jumps.push_back(m_set[i] - m_set[i - 1]);
        if (isWeight())
            m_offset = (m_set.back() - m_set.front()) / 2;
    }

    Status takeValues()
    {
        BW_CHECK(takeGiven({"alpha", "beta"}, {"alpha", "beta"}, true));
        BW_CHECK(takeGiven({"biases"}));
        for (const char *name : {"alpha", "beta"})
            if (hasValue(name) && value(name).size() != 1)
                return fail(ErrorKind::Invalid, label() + ", " + name + " is one number; give one");
        if (hasValue("biases") && value("biases").size() != m_jumps.size())
            return fail(ErrorKind::Invalid, label() + ", biases has " + std::to_string(value("biases").size()) + " numbers and the set has "
                                                + std::to_string(m_jumps.size()) + " steps; give as many");
        if (hasValue("biases") && !std::ranges::is_sorted(value("biases")))
            return fail(ErrorKind::Invalid, label() + ", biases must ascend; sort them");
        if (hasValue("alpha") && hasValue("beta") && hasValue("biases"))
            setReady(1);
        return {};
    }
    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] {
            const SortedValues sorted(x);
            const bool any = sorted.size() > 0;
            start(any ? std::max(std::abs(double(sorted.values().front())), std::abs(double(sorted.values().back()))) : 0,
                  [&] { return any ? optimalLevels(sorted, m_set.size()) : std::vector<float>(m_set.size(), 0.0f); });
        });
    }
    Status calibrate(const SiteStatistics &s) override
    {
        const Histogram &h = s.histogram;
        const std::size_t step = (h.counts.size() + kMostPoints - 1) / kMostPoints;
        std::vector<double> points, weights;
        for (std::size_t i = 0; i < h.counts.size(); ++i) {
            if (h.counts[i] == 0)
                continue;
            const double center = std::clamp(h.center(i), s.moments.min, s.moments.max), count = double(h.counts[i]);
            if (!points.empty() && i % step != 0) {
                points.back() = (points.back() * weights.back() + center * count) / (weights.back() + count);
                weights.back() += count;
            } else {
                points.push_back(center);
                weights.push_back(count);
            }
        }
        start(s.moments.count ? std::max(std::abs(s.moments.min), std::abs(s.moments.max)) : 0,
              [&] { return optimalLevels(points, weights, m_set.size()); });
        return {};
    }
    void beginStep(const TrainingClock &clock) override
    {
        if (!m_fixed)
            m_temperature = clock.totalSteps > 0 ? std::min(kHottest, m_rate * double(clock.epoch)) : 1;
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
        const double alpha = double(value("alpha")[0]), beta = double(value("beta")[0]);
        LevelTable table;
        double sum = isWeight() ? -m_offset : 0;
        table.levels.push_back(float(alpha * sum));
        for (std::size_t i = 0; i < m_jumps.size(); ++i) {
            sum += m_jumps[i];
            table.firsts.push_back(firstFrom(double(value("biases")[i]) / beta));
            table.levels.push_back(float(alpha * sum));
        }
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        const double alpha = double(value("alpha")[0]), beta = double(value("beta")[0]), t = m_temperature, offset = isWeight() ? m_offset : 0;
        const auto biases = value("biases");
        struct Answer { float value = 0, soft = 0, slope = 0; };
        const std::size_t jumps = m_jumps.size();
        std::vector<float> jump(m_jumps.begin(), m_jumps.end()), bias(biases.begin(), biases.end());
        const auto answer = [&](float v) {
            Answer a{v, 0, 0};
            for (std::size_t i = 0; i < jumps; ++i) {
                const float z = std::clamp(float(t) * (float(beta) * v - bias[i]), -float(kExponent), float(kExponent));
                const float s = 1 / (1 + std::exp(-z));
                a.soft += jump[i] * s;
                a.slope += jump[i] * s * (1 - s);
            }
            return a;
        };
        const Answer zero = answer(0);   // half of what comes from a ReLU
        const auto out = fusedGradientAndSums<2>(g, x, -1, [&](float v, float d, std::int64_t, std::array<double, 2> &sums) {
            if (!std::isfinite(v))
                return 0.0f;
            const Answer a = v == 0 ? zero : answer(v);
            sums[0] += double(d) * (double(a.soft) - offset);
            sums[1] += double(d) * t * alpha * double(a.slope) * double(v);
            return float(double(d) * t * alpha * beta * double(a.slope));
        });
        const auto finite = [](double v) { return at::scalar_tensor(std::clamp(v, -3e38, 3e38), at::kDouble); };
        return {out.dx, {finite(out.sums[0][0]), finite(out.sums[0][1])}};
    }
    double sideBits() const override { return 32.0 * (2 + double(m_set.size())); }

private:
    template <class Clusters>
    void start(double largest, const Clusters &clusters)
    {
        double most = 0;
        for (const double y : m_set)
            most = std::max(most, std::abs(y));
        const double beta = largest > 0 ? 5 * most / (4 * largest) : 1;
        if (!hasValue("alpha"))
            setValue("alpha", {float(hasValue("beta") ? 1 / double(value("beta")[0]) : std::min(1 / beta, 3e38))}, true);
        if (!hasValue("beta"))
            setValue("beta", {float(std::min(beta, 3e38))}, true);
        if (!hasValue("biases")) {
            std::vector<float> biases;
            const bool ternary = isWeight() && m_set == std::vector<double>{-1, 0, 1};
            const std::vector<float> centers = ternary ? std::vector<float>{} : clusters();
            for (std::size_t i = 0; i < m_jumps.size(); ++i)
                biases.push_back(ternary ? float(i == 0 ? -kTernaryBias : kTernaryBias)
                                         : float(double(value("beta")[0]) * (double(centers[i]) + double(centers[i + 1])) / 2));
            setValue("biases", biases);
        }
        setReady(1);
    }

    std::vector<double> m_set, m_jumps;
    double m_offset = 0;
    bool m_fixed;
    double m_temperature, m_rate;
};

/// The level sets of the paper by bits: {-1, 1}, {-1, 0, 1}, {0, +-1, +-2, +-4}, then whole numbers; activations 0 to 2^b - 1.
std::vector<double> usualSet(int bits, Role role)
{
    if (role == Role::Weight && bits == 1)
        return {-1, 1};
    if (role == Role::Weight && bits == 3)
        return {-4, -2, -1, 0, 1, 2, 4};
    std::vector<double> set;
    const int top = role == Role::Weight ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
    for (int i = role == Role::Weight ? -top : 0; i <= top; ++i)
        set.push_back(i);
    return set;
}

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    std::vector<double> set = usualSet(spec.bits, site.role);
    if (const auto given = spec.options.find("set"); given != spec.options.end()) {
        const auto &numbers = std::get<std::vector<double>>(given->second);
        if (!numbers.empty()) {
            const bool ascends = std::ranges::adjacent_find(numbers, std::greater_equal<>()) == numbers.end();
            if (numbers.size() < 2 || numbers.size() > std::size_t(1) << spec.bits || !ascends)
                return fail(ErrorKind::Invalid, siteLabel(site, spec.method) + ", set must be 2 to " + std::to_string(1 << spec.bits)
                                                    + " ascending levels at " + std::to_string(spec.bits) + " bits; correct it");
            set = numbers;
        }
    }
    auto quantizer = std::make_unique<QuantNet>(spec, site, std::move(set));
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "quantnet";
    t.title = "Quantization Networks";
    t.paper = "Yang et al., CVPR";
    t.year = 2019;
    t.family = "learned";
    t.roles = {Role::Weight, Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.values = {"alpha", "beta", "biases"};
    t.summary = "Steps as the limit of a sum of sigmoids that grows steeper while training goes on.";
    ParamSpec temperature = realOption("temperature", 1, 0.01, 2000, "Steepness of the backward pass, fixed. Not given: it grows with the epochs.");
    temperature.optional = true;
    t.options = {{"set", ParamType::RealList, ParamValue(std::vector<double>{}), 0, 0, {}, {},
                  "The levels before scaling, ascending. Not given: the paper's set for these bits.", true},
                 temperature, realOption("temperature_rate", 5, 0.01, 2000, "Steepness gained by an epoch.")};
    addTrainingOptions(t, 1, false);
    return t;
}

} // namespace

QuantizerRow quantnetRow()
{
    return {traits(), make};
}

} // namespace bitwright
