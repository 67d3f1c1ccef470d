// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/binary.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitwright {
namespace {

constexpr double kFloor = 1e-8;        // of the curvature
constexpr int kAlternations = 40, kLataRounds = 10;
constexpr double kSettled = 1e-7;      // of the scale: codes of millions of weights hardly ever all stay
constexpr double kLataDone = 1e-6;

struct Weighed { double size = 0, curvature = 1; };   ///< |w| and D of one weight

double ratio(double over, double under) { return under > 0 ? over / under : 0; }

/// Scale of the exact ternary projection (LATe): the threshold is half of it.
double exactTernary(std::vector<Weighed> w)
{
    std::ranges::sort(w, std::greater<>(), &Weighed::size);
    double mass = 0, total = 0, best = 0, threshold = 0, last = 0;
    for (std::size_t k = 0; k < w.size(); ++k) {
        mass += w[k].curvature * w[k].size;
        total += w[k].curvature;
        last = ratio(mass, total) / 2;
        const double next = k + 1 < w.size() ? w[k + 1].size : 0;
        // among cuts that agree with their own threshold the one that saves most
        if (w[k].size > last && last >= next && last * last * total > best) {
            best = last * last * total;
            threshold = last;
        }
    }
    return 2 * (best > 0 ? threshold : 0.7 * last);
}

/// LATa: codes and scale in turn.
double alternatedTernary(const std::vector<Weighed> &w, double alpha)
{
    for (int round = 0; round < kLataRounds; ++round) {
        double mass = 0, total = 0;
        for (const Weighed &each : w)
            if (each.size > alpha / 2) {
                mass += each.curvature * each.size;
                total += each.curvature;
            }
        const double next = ratio(mass, total), moved = std::abs(next - alpha);
        alpha = next;
        if (moved <= kLataDone)
            break;
    }
    return alpha;
}

/// TWN's scale, where LATa and LAQ start.
double twnScale(const std::vector<Weighed> &w)
{
    double sum = 0;
    for (const Weighed &each : w)
        sum += each.size;
    const double threshold = w.empty() ? 0 : 0.7 * sum / double(w.size());
    double mass = 0;
    std::size_t count = 0;
    for (const Weighed &each : w)
        if (each.size > threshold) {
            mass += each.size;
            ++count;
        }
    return count ? mass / double(count) : 0;
}

/// Projection with the curvature of the loss as weights (methods.md B19).
class Laq final : public GridQuantizer {
public:
    Laq(const QuantSpec &spec, const Site &site, std::string variant) : GridQuantizer(spec, site), m_variant(std::move(variant))
    {
        if (m_variant == "linear" || m_variant == "log") {
            const int n = (1 << (bits() - 1)) - 1;
            for (int i = 1; i <= n; ++i)
                m_codes.push_back(m_variant == "linear" ? double(i) / n : std::ldexp(1.0, i - n));
        } else {
            m_codes = {1};
        }
    }
    Status takeValues()
    {
        BW_CHECK(takeGiven({"alpha"}));
        if (!hasValue("alpha"))
            return {};
        if (std::ranges::any_of(value("alpha"), [](float v) { return v < 0; }))   // zero: of an all-zero weight
            return fail(ErrorKind::Invalid, label() + ", alpha must not be negative; correct the value");
        if (value("alpha").size() != sides())
            return fail(ErrorKind::Invalid, label() + ", alpha has " + std::to_string(value("alpha").size()) + " numbers and the variant "
                                                + m_variant + " has " + std::to_string(sides()) + "; give as many");
        setReady(1);
        return {};
    }
    Status calibrate(const at::Tensor &x) override
    {
        return guarded(label(), ErrorKind::Numeric, [&] { take(fitted(x, true)); });
    }
    Status calibrate(const SiteStatistics &) override { return onlyForWeights(label()); }
    bool wantsCurvature() const override { return true; }
    /// A moment that is no finite square says nothing about its weight: it counts as none, so that one gradient that overflowed
    /// cannot make the scale of the whole layer NaN.
    void setCurvature(const at::Tensor &secondMoment) override
    {
        c10::NoGradGuard noGrad;
        const at::Tensor root = secondMoment.sqrt().to(at::kFloat);   // NaN where negative
        m_curvature = at::nan_to_num(root, 0, 0, 0).add_(kFloor).contiguous();
    }
    void observe(const at::Tensor &x) override { take(fitted(x, false)); }
    void constrain(at::Tensor &weight) override { clampLatent(weight); }
    bool keepsValues() const override { return true; }
    std::vector<Learnable> running() override { return calibrated() ? std::vector<Learnable>{{"alpha", tensorOf("alpha")}} : std::vector<Learnable>{}; }

protected:
    Grid makeGrid() const override
    {
        const double up = double(value("alpha")[0]), down = double(value("alpha")[sides() - 1]);
        if (m_variant == "lab")
            return signSteps({float(up)});
        LevelTable table;
        for (std::size_t i = m_codes.size(); i-- > 0;) {
            table.levels.push_back(float(-down * m_codes[i]));
            table.firsts.push_back(firstFrom(-down * middle(i)));   // a midpoint is the smaller magnitude
        }
        table.levels.push_back(0);
        for (std::size_t i = 0; i < m_codes.size(); ++i) {
            table.firsts.push_back(firstAbove(up * middle(i)));
            table.levels.push_back(float(up * m_codes[i]));
        }
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &) const override { return {g, {}}; }
    double sideBits() const override { return 32.0 * double(sides()); }

private:
    std::size_t sides() const { return m_variant == "late2" || m_variant == "lata2" ? 2 : 1; }
    double middle(std::size_t i) const { return (m_codes[i] + (i > 0 ? m_codes[i - 1] : 0)) / 2; }
    double nearest(double unit) const
    {
        if (m_variant == "linear") {
            const double n = double(m_codes.size()), scaled = std::min(unit * n, n);
            const double below = std::floor(scaled);
            return (scaled - below > 0.5 ? below + 1 : below) / n;   // a midpoint is the smaller one
        }
        const auto above = std::ranges::lower_bound(m_codes, unit);
        if (above == m_codes.end())
            return m_codes.back();
        const double low = above == m_codes.begin() ? 0 : *(above - 1);
        return unit > (low + *above) / 2 ? *above : low;
    }
    void take(const std::vector<float> &alpha)
    {
        setValue("alpha", alpha);
        setReady(1);
    }

    /// The scales for the weights as they are; from the present ones when not `anew`.
    std::vector<float> fitted(const at::Tensor &x, bool anew) const
    {
        const at::Tensor flat = floatContiguous(x);
        const auto values = floatSpan(flat);
        const bool weighed = m_curvature.defined() && m_curvature.sizes() == x.sizes();
        const auto curvature = weighed ? floatSpan(m_curvature) : std::span<const float>{};
        std::vector<std::vector<Weighed>> parts(sides());
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (!std::isfinite(values[i]))
                continue;
            const std::size_t part = sides() == 2 && values[i] < 0 ? 1 : 0;
            parts[part].push_back({double(std::abs(values[i])), weighed ? double(curvature[i]) : 1});
        }
        std::vector<float> alpha;
        for (std::size_t i = 0; i < parts.size(); ++i) {
            const double before = !anew && hasValue("alpha") ? double(value("alpha")[i]) : 0;
            alpha.push_back(float(std::min(scaleOf(parts[i], before), 3e38)));
        }
        return alpha;
    }
    double scaleOf(const std::vector<Weighed> &w, double before) const
    {
        if (m_variant == "lab") {
            double mass = 0, total = 0;
            for (const Weighed &each : w) {
                mass += each.curvature * each.size;
                total += each.curvature;
            }
            return ratio(mass, total);
        }
        if (m_variant == "late" || m_variant == "late2")
            return exactTernary(w);
        if (m_variant == "lata" || m_variant == "lata2")
            return alternatedTernary(w, before > 0 ? before : twnScale(w));
        if (before > 0)
            return alternated(w, before, 1).alpha;
        double most = 0;
        for (const Weighed &each : w)
            most = std::max(most, each.size);
        const Fit a = alternated(w, most, kAlternations), b = alternated(w, twnScale(w), kAlternations);
        return a.error <= b.error ? a.alpha : b.alpha;
    }
    struct Fit { double alpha = 0, error = 0; };
    /// Nearest code and least-squares scale in turn, until no code changes.
    Fit alternated(const std::vector<Weighed> &w, double alpha, int rounds) const
    {
        Fit fit{alpha, 0};
        double before = -1, size = 0;
        for (const Weighed &each : w)
            size += each.curvature * each.size * each.size;
        fit.error = size;
        for (int round = 0; round < rounds && fit.alpha > 0; ++round) {
            double mass = 0, squares = 0;
            for (const Weighed &each : w) {
                const double b = nearest(each.size / fit.alpha);
                mass += each.curvature * b * each.size;
                squares += each.curvature * b * b;
            }
            fit.alpha = ratio(mass, squares);
            fit.error = size - ratio(mass * mass, squares);
            if (std::abs(fit.alpha - before) <= kSettled * fit.alpha)
                break;
            before = fit.alpha;
        }
        return fit;
    }

    std::string m_variant;
    std::vector<double> m_codes;   ///< positive ones, ascending, up to 1
    at::Tensor m_curvature;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    const std::string label = siteLabel(site, spec.method);
    const std::string variant = textParam(spec.options, "variant", spec.bits == 1 ? "lab" : spec.bits == 2 ? "late" : "linear");
    const bool many = variant == "linear" || variant == "log";
    const bool fits = variant == "lab" ? spec.bits == 1 : many ? spec.bits >= 3 : spec.bits == 2;
    if (!fits)
        return fail(ErrorKind::Unsupported, label + ", the variant " + variant + " is for " + (variant == "lab" ? "1 bit" : many ? "3 bits and more" : "2 bits")
                                                + "; choose another variant or other bits");
    auto quantizer = std::make_unique<Laq>(spec, site, variant);
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "laq";
    t.title = "Loss-aware (LAB, LAT, LAQ)";
    t.paper = "binary: Hou, Yao, Kwok, ICLR 2017; more bits: Hou, Kwok, ICLR";
    t.year = 2018;
    t.family = "loss-aware";
    t.roles = {Role::Weight};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.values = {"alpha"};
    t.summary = "Levels fitted with the curvature of the loss as weights, which training measures; before training all weights count alike.";
    t.options = {{"variant", ParamType::Choice, ParamValue(std::string()), 0, 0, {"lab", "late", "lata", "late2", "lata2", "linear", "log"}, {},
                  "lab: binary; late, lata: ternary, exact or alternating, with 2 a scale for each sign; linear, log: more bits. Not given: the bits "
                  "decide.", true}};
    return t;
}

} // namespace

QuantizerRow laqRow()
{
    return {traits(), make};
}

} // namespace bitwright
