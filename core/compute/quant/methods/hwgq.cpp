// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>

namespace bitwright {
namespace {

/// Best steps for N(0, 1) on its positive half by bits, 1 to 8 (methods.md B7): no positive value at zero, or plain nearest.
constexpr std::array<double, 8> kStepFromZero{0.79788, 0.538, 0.32173, 0.18424, 0.10298, 0.05658, 0.03069, 0.01648};
constexpr std::array<double, 8> kStepFromHalf{1.22401, 0.65077, 0.35341, 0.19325, 0.10549, 0.05726, 0.03087, 0.01653};

double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }
double above(double x) { return std::erfc(x / std::numbers::sqrt2) / 2; }

/// Lloyd-Max levels of the positive half of N(0, 1): each the mean of its stretch, stretches parted half-way.
std::vector<double> solveLevels(std::size_t count)
{
    constexpr int kRounds = 200000;
    constexpr double kDone = 1e-12;
    std::vector<double> levels(count);
    for (std::size_t i = 0; i < count; ++i)
        levels[i] = 3.0 * (double(i) + 0.5) / double(count);
    for (int round = 0; round < kRounds; ++round) {
        double moved = 0, low = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const bool last = i + 1 == count;
            const double high = last ? 0 : (levels[i] + levels[i + 1]) / 2;
            const double mass = above(low) - (last ? 0 : above(high)), mean = (density(low) - (last ? 0 : density(high))) / mass;
            moved = std::max(moved, std::abs(mean - levels[i]));
            levels[i] = mean;
            low = high;
        }
        if (moved < kDone)
            break;
    }
    return levels;
}

const std::vector<double> &lloydLevels(int bits)
{
    static std::mutex mutex;
    static std::map<int, std::vector<double>> solved;
    const std::lock_guard lock(mutex);
    auto &levels = solved[bits];
    if (levels.empty())
        levels = solveLevels((std::size_t(1) << bits) - 1);
    return levels;
}

class Hwgq final : public GridQuantizer {
public:
    Hwgq(const QuantSpec &spec, const Site &site)
        : GridQuantizer(spec, site), m_half(textParam(spec.options, "first_threshold") == "half"), m_gradient(textParam(spec.options, "gradient", "clipped"))
    {
        if (textParam(spec.options, "spacing") == "lloyd") {
            m_positive = lloydLevels(bits());
        } else {
            m_step = (m_half ? kStepFromHalf : kStepFromZero)[std::size_t(bits() - 1)];
            for (int i = 1; i < 1 << bits(); ++i)
                m_positive.push_back(m_step * i);
        }
        setReady(1);
    }
    Status calibrate(const at::Tensor &) override { return {}; }
    Status calibrate(const SiteStatistics &) override { return {}; }

protected:
    Grid makeGrid() const override
    {
        if (m_half && m_step > 0)
            return AffineGrid{{float(m_step)}, {0.0f}, 0, (1 << bits()) - 1, -1};
        LevelTable table{{0.0f}, {}};
        double before = 0;
        for (const double level : m_positive) {
            // every positive value is at least the first level; a value on any other threshold stays below it
            const double threshold = table.firsts.empty() ? (m_half ? level / 2 : 0) : (before + level) / 2;
            table.firsts.push_back(firstAbove(threshold));
            table.levels.push_back(float(level));
            before = level;
        }
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        const auto top = float(m_positive.back());
        if (m_gradient == "vanilla")
            return {fusedGradient(g, x, -1, [](float v, float d, std::int64_t) { return v > 0 ? d : 0.0f; }), {}};
        if (m_gradient == "clipped")
            return {fusedGradient(g, x, -1, [top](float v, float d, std::int64_t) { return v > 0 && v <= top ? d : 0.0f; }), {}};
        return {fusedGradient(g, x, -1, [top](float v, float d, std::int64_t) {
                    return v <= 0 || v != v ? 0.0f : v <= top ? d : d / (v - (top - 1));
                }), {}};
    }
    double sideBits() const override { return 0; }

private:
    bool m_half;
    std::string m_gradient;
    double m_step = 0;
    std::vector<double> m_positive;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    return std::make_unique<Hwgq>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "hwgq";
    t.title = "HWGQ";
    t.paper = "Cai, He, Sun, Vasconcelos, CVPR";
    t.year = 2017;
    t.family = "distribution";
    t.roles = {Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.summary = "Fixed levels that are best for the positive half of a normal distribution, as a batch norm makes it.";
    t.options = {choiceOption("spacing", {"uniform", "lloyd"}, "Even levels, or the best uneven ones."),
                 choiceOption("first_threshold", {"zero", "half"}, "Every positive value becomes at least the first level, as published, or only those "
                              "beyond half of it."),
                 choiceOption("gradient", {"clipped", "vanilla", "log_tail"}, "Behind the quantizer: that of a ReLU clipped at the top level, of a plain "
                              "ReLU, or one that falls off above the top.")};
    return t;
}

} // namespace

QuantizerRow hwgqRow()
{
    return {traits(), make};
}

} // namespace bitwright
