// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace bitwright {
namespace {

constexpr std::size_t kMostBits = 4;
constexpr float kKeep = 0.9f;      // of the running basis
constexpr double kRidge = 1e-4;
constexpr double kQuartile = 0.6745;   // of N(0, 1): half of it lies within
constexpr double kClearly = 1e-6;      // a share of the signal by which one start must beat the other
using Basis = std::array<double, kMostBits>;

/// Levels v . e with e in {-1, 1}^K (weights) or {0, 1}^K (activations); the basis v by alternating codes and least squares
/// (QEM, methods.md B18).
class LqNets final : public GridQuantizer {
public:
    LqNets(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site), m_rounds(int(intParam(spec.options, "rounds", 10)))
    {
        setPerChannel(isWeight() && textParam(spec.options, "granularity", "channel") == "channel");
    }

    /// In `quantize` a given basis is where the rounds start; in an assignment it is the basis.
    Status takeValues()
    {
        const auto given = spec().values.find("basis");
        if (given == spec().values.end())
            return {};
        const auto k = std::size_t(bits());
        if (given->second.empty() || given->second.size() % k != 0 || (!perChannel() && given->second.size() != k))
            return fail(ErrorKind::Invalid, label() + ", basis has " + std::to_string(given->second.size()) + " numbers and a group has "
                                                + std::to_string(k) + "; give " + std::to_string(k) + (perChannel() ? " for each channel" : ""));
        if (site().layer.empty()) {
            m_start = given->second;
            return {};
        }
        BW_CHECK(takeGiven({"basis"}));
        setReady(given->second.size() / k);
        return {};
    }

    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] {
            const int axis = axisOf(x);
            const std::size_t groups = axis < 0 ? 1 : std::size_t(x.size(axis));
            // kH kW C_out, as in He's initialisation by what leaves the layer
            const std::int64_t inputs = x.dim() > 1 ? x.size(site().channelAxis == 1 ? 0 : 1) : 1;
            const double fan = inputs > 0 ? double(x.numel()) / double(inputs) : 1;
            std::vector<Basis> bases(groups);
            eachGroup(x, axis, [&](std::span<const float> values, std::size_t group) {
                bases[group] = fitted(fan, momentsOf(values), group, finiteOf(values), {});
            });
            take(bases);
        });
    }
    Status calibrate(const SiteStatistics &s) override
    {
        std::vector<float> centers;
        std::vector<double> counts;
        for (std::size_t i = 0; i < s.histogram.counts.size(); ++i) {
            if (s.histogram.counts[i] == 0)
                continue;
            centers.push_back(float(std::clamp(s.histogram.center(i), s.moments.min, s.moments.max)));
            counts.push_back(double(s.histogram.counts[i]));
        }
        take({fitted(1, s.moments, 0, centers, counts)});
        return {};
    }

    /// Next to the present codes: the average of the basis and the one that fits them best; taken over after the step.
    void observe(const at::Tensor &x) override
    {
        m_next.assign(groupCount(), {});
        eachGroup(x, axisOf(x), [&](std::span<const float> values, std::size_t group) {
            if (group >= m_next.size())
                return;
            const Basis now = basisOf(group), best = solved(now, finiteOf(values), {});
            for (std::size_t i = 0; i < kMostBits; ++i)
                m_next[group][i] = double(kKeep) * now[i] + (1 - double(kKeep)) * best[i];
        });
    }
    void endStep() override
    {
        if (m_next.empty())
            return;
        take(m_next);
        m_next.clear();
    }
    bool keepsValues() const override { return true; }
    std::vector<Learnable> running() override { return calibrated() ? std::vector<Learnable>{{"basis", tensorOf("basis")}} : std::vector<Learnable>{}; }

protected:
    Grid makeGrid() const override
    {
        StepTables steps;
        for (std::size_t group = 0; group < groupCount(); ++group) {
            std::vector<float> sorted;
            for (const double v : levels(basisOf(group)))
                sorted.push_back(float(v));
            std::ranges::sort(sorted);
            steps.groups.push_back(nearestLevels(sorted));   // a value on a midpoint stays below: x > threshold moves up
        }
        return steps;
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        if (isWeight())
            return {g, {}};
        const std::vector<double> all = levels(basisOf(0));
        const auto top = float(*std::ranges::max_element(all));
        return {fusedGradient(g, x, -1, [top](float v, float d, std::int64_t) { return v < top ? d : 0.0f; }), {}};
    }
    double sideBits() const override { return 32.0 * bits() * double(groupCount()); }

private:
    double code(std::size_t number, std::size_t bit) const { return number >> bit & 1 ? 1 : isWeight() ? -1 : 0; }
    std::vector<double> levels(const Basis &basis) const
    {
        std::vector<double> out(std::size_t(1) << bits(), 0.0);
        for (std::size_t number = 0; number < out.size(); ++number)
            for (std::size_t bit = 0; bit < std::size_t(bits()); ++bit)
                out[number] += code(number, bit) * basis[bit];
        return out;
    }
    Basis basisOf(std::size_t group) const
    {
        const auto numbers = value("basis");
        const auto k = std::size_t(bits());
        const std::size_t at = numbers.size() == k ? 0 : group * k;
        TORCH_CHECK(at + k <= numbers.size(), label(), ", basis has ", numbers.size() / k, " groups and more channels are there; give one for each");
        Basis basis{};
        std::copy_n(numbers.begin() + std::ptrdiff_t(at), k, basis.begin());
        return basis;
    }
    void take(const std::vector<Basis> &bases)
    {
        std::vector<float> flat;
        for (const Basis &basis : bases)
            for (std::size_t i = 0; i < std::size_t(bits()); ++i)
                flat.push_back(float(basis[i]));
        setValue("basis", flat);
        setReady(bases.size());
    }
    Basis powersOfTwo(double first) const
    {
        Basis basis{};
        for (int i = 0; i < bits(); ++i)
            basis[std::size_t(i)] = std::ldexp(first, i);
        return basis;
    }
    /// The paper's start: a uniform grid for weights as He's initialisation draws them, sqrt(2 / fan) being their deviation, or
    /// for activations behind a batch norm.
    Basis published(double fan) const
    {
        const double steps = double((1U << bits()) - 1);
        return powersOfTwo(isWeight() ? kQuartile * std::sqrt(2 / std::max(1.0, fan)) / double(1U << (bits() - 1)) : 2 * kQuartile / steps);
    }
    /// The basis after the rounds from what is given or from the paper's start. That one supposes a size of the values; where
    /// theirs is another, codes can collapse and never part again, so a grid over 2.5 mean magnitudes, where most of a
    /// bell-shaped tensor ends, is tried as well and the better of the two kept.
    Basis fitted(double fan, const Moments &m, std::size_t group, const std::vector<float> &values, const std::vector<double> &counts) const
    {
        const auto k = std::size_t(bits());
        if (!m_start.empty()) {
            Basis basis{};
            for (std::size_t i = 0; i < k; ++i)
                basis[i] = m_start[m_start.size() == k ? i : std::min(group * k + i, m_start.size() - 1)];
            return settled(basis, values, counts);
        }
        const Basis first = settled(published(fan), values, counts);
        const double reach = 2.5 * m.sumAbs / std::max<double>(1, double(m.count)) / double((1U << k) - 1);
        if (m_rounds == 0 || !(reach > 0) || !std::isfinite(reach))
            return first;
        const Basis second = settled(powersOfTwo(reach), values, counts);
        return errorOf(second, values, counts) < errorOf(first, values, counts) - kClearly * m.sumSquares ? second : first;
    }
    Basis settled(Basis basis, const std::vector<float> &values, const std::vector<double> &counts) const
    {
        for (int round = 0; round < m_rounds; ++round)
            basis = solved(basis, values, counts);
        return basis;
    }
    /// How many values each level takes and their sum, levels ascending: all that least squares needs.
    struct Tally {
        std::vector<double> levels;
        std::vector<std::size_t> codes;
        std::vector<double> number, sum;
    };
    Tally tally(const Basis &basis, const std::vector<float> &values, const std::vector<double> &counts) const
    {
        const std::vector<double> all = levels(basis);
        Tally t{{}, std::vector<std::size_t>(all.size()), std::vector<double>(all.size(), 0.0), std::vector<double>(all.size(), 0.0)};
        for (std::size_t i = 0; i < all.size(); ++i)
            t.codes[i] = i;
        std::ranges::stable_sort(t.codes, {}, [&](std::size_t i) { return all[i]; });
        for (const std::size_t code : t.codes)
            t.levels.push_back(all[code]);
        std::vector<double> middles;
        for (std::size_t i = 1; i < t.levels.size(); ++i)
            middles.push_back((t.levels[i - 1] + t.levels[i]) / 2);
        for (std::size_t i = 0; i < values.size(); ++i) {
            const double v = double(values[i]), weight = counts.empty() ? 1 : counts[i];
            std::size_t place = 0;
            for (const double middle : middles)
                place += v > middle ? 1 : 0;
            t.number[place] += weight;
            t.sum[place] += weight * v;
        }
        return t;
    }
    /// Squared error less the squares of the values, which are the same for every basis.
    double errorOf(const Basis &basis, const std::vector<float> &values, const std::vector<double> &counts) const
    {
        const Tally t = tally(basis, values, counts);
        double error = 0;
        for (std::size_t i = 0; i < t.levels.size(); ++i)
            error += t.levels[i] * (t.number[i] * t.levels[i] - 2 * t.sum[i]);
        return error;
    }
    /// The least-squares basis for the codes that `now` gives (with a little ridge, so that a bit that never varies stays).
    Basis solved(const Basis &now, const std::vector<float> &values, const std::vector<double> &counts) const
    {
        if (values.empty())
            return now;
        const auto k = std::size_t(bits());
        const Tally t = tally(now, values, counts);
        std::array<std::array<double, kMostBits + 1>, kMostBits> system{};
        for (std::size_t place = 0; place < t.codes.size(); ++place)
            for (std::size_t i = 0; i < k; ++i) {
                const double bi = code(t.codes[place], i);
                system[i][kMostBits] += bi * t.sum[place];
                for (std::size_t j = 0; j < k; ++j)
                    system[i][j] += bi * code(t.codes[place], j) * t.number[place];
            }
        // activations: plain normal equations, as published, but a bit that never varies must not divide by zero
        const double ridge = isWeight() ? kRidge : 1e-12;
        for (std::size_t i = 0; i < k; ++i) {
            system[i][i] += ridge;
            system[i][kMostBits] += ridge * now[i];
        }
        return gauss(system, now);
    }
    Basis gauss(std::array<std::array<double, kMostBits + 1>, kMostBits> a, const Basis &otherwise) const
    {
        const auto k = std::size_t(bits());
        for (std::size_t i = 0; i < k; ++i) {
            std::size_t pivot = i;
            for (std::size_t r = i + 1; r < k; ++r)
                if (std::abs(a[r][i]) > std::abs(a[pivot][i]))
                    pivot = r;
            if (!(std::abs(a[pivot][i]) > 1e-300))
                return otherwise;
            std::swap(a[i], a[pivot]);
            for (std::size_t r = 0; r < k; ++r) {
                if (r == i)
                    continue;
                const double factor = a[r][i] / a[i][i];
                for (std::size_t c = i; c <= kMostBits; ++c)
                    a[r][c] -= factor * a[i][c];
            }
        }
        Basis basis{};
        for (std::size_t i = 0; i < k; ++i) {
            basis[i] = a[i][kMostBits] / a[i][i];
            if (!std::isfinite(float(basis[i])))
                return otherwise;
        }
        return basis;
    }

    int m_rounds;
    std::vector<double> m_start;
    std::vector<Basis> m_next;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    auto quantizer = std::make_unique<LqNets>(spec, site);
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "lqnets";
    t.title = "LQ-Nets";
    t.paper = "Zhang, Yang, Ye, Hua, ECCV";
    t.year = 2018;
    t.family = "codebook";
    t.roles = {Role::Weight, Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = int(kMostBits);
    t.values = {"basis"};
    t.summary = "Levels that are sums of a few learned numbers, fitted in closed form, so that products stay bitwise.";
    t.options = {choiceOption("granularity", {"channel", "tensor"}, "Weights: one basis per output channel or for the tensor; activations have one."),
                 {"rounds", ParamType::Int, ParamValue(std::int64_t(10)), 0, 1000, {}, {},
                  "Rounds of codes and least squares at the start, without averaging; 0 takes the start as it is.", false}};
    return t;
}

} // namespace

QuantizerRow lqnetsRow()
{
    return {traits(), make};
}

} // namespace bitwright
