// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/binary.h"
#include "quant/mid_rise.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): noise by place.
std::uint64_t mixed(std::uint64_t z)
{
    z += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/// The gradient at `bits` bits, each sample on the range of its own largest value, with uniform noise of one step before
/// rounding so that the expectation stays (methods.md B8).
at::Tensor quantizedGradient(const at::Tensor &g, int bits, bool noise, const TrainingClock &clock)
{
    const at::Tensor value = floatContiguous(g);
    at::Tensor out = at::empty_like(value);
    const std::int64_t samples = value.dim() > 1 ? value.size(0) : 1, length = samples ? value.numel() / samples : 0;
    const double n = double((std::int64_t(1) << bits) - 1);
    const std::uint64_t seed = mixed(clock.seed ^ mixed(std::uint64_t(clock.step) ^ mixed(clock.site)));
    const float *from = value.const_data_ptr<float>();
    float *to = out.mutable_data_ptr<float>();
    parallelRanges(samples, 1 + (1 << 17) / (length + 1), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t sample = begin; sample < end; ++sample) {
            const float *in = from + sample * length;
            float *answer = to + sample * length;
            float most = 0;
            for (std::int64_t i = 0; i < length; ++i)
                most = std::max(most, std::abs(in[i]));
            for (std::int64_t i = 0; i < length; ++i) {
                if (!(most > 0)) {
                    answer[i] = in[i];
                    continue;
                }
                // a number for each place: the same on any number of threads
                const double u = noise ? double(mixed(seed + std::uint64_t(sample * length + i)) >> 11) * 0x1p-53 - 0.5 : 0;
                const double unit = std::clamp(double(in[i]) / (2 * double(most)) + 0.5 + u / n, 0.0, 1.0);
                answer[i] = float(2 * double(most) * (std::rint(unit * n) / n - 0.5));
            }
        }
    });
    return out;
}

/// Weights through tanh onto 2^k levels in [-1, 1]; activations clipped to [0, 1]; gradients too where asked.
class Dorefa final : public GridQuantizer {
public:
    Dorefa(const QuantSpec &spec, const Site &site)
        : GridQuantizer(spec, site), m_gradientBits(int(intParam(spec.options, "gradient_bits", 0))), m_noise(boolParam(spec.options, "noise", true))
    {
        if (!isWeight())
            setReady(1);
    }
    Status calibrate(const at::Tensor &x) override
    {
        if (!isWeight())
            return {};
        return guarded(label(), ErrorKind::Numeric, [&] {
            const Moments m = momentsOf(x);
            m_meanAbs = m.count ? float(m.sumAbs / double(m.count)) : 0.0f;
            m_maxTanh = m.count ? std::tanh(std::max(std::abs(m.min), std::abs(m.max))) : 0;
            if (!(m_maxTanh > 0))
                m_maxTanh = 1;   // nothing to stretch
            setReady(1);
        });
    }
    Status calibrate(const SiteStatistics &) override
    {
        return isWeight() ? Status(fail(ErrorKind::Unsupported, label() + ", its weight form needs the weights; use role activation")) : Status{};
    }
    void beginStep(const TrainingClock &clock) override { m_clock = clock; }

    at::Tensor forward(const at::Tensor &x) override
    {
        const at::Tensor y = GridQuantizer::forward(x);
        if (m_gradientBits == 0 || !y.requires_grad())
            return y;
        return onGradient(y, [bits = m_gradientBits, noise = m_noise, clock = m_clock](const at::Tensor &g) {
            return quantizedGradient(g, bits, noise, clock);
        });
    }

protected:
    Grid makeGrid() const override
    {
        const int n = (1 << bits()) - 1;
        if (!isWeight())
            return AffineGrid{{unitStep(n)}, {0.0f}, 0, n, -1};
        if (bits() == 1)
            return signSteps({m_meanAbs});
        LevelTable table = midRise(1, bits());
        for (int i = 0; i < n; ++i) {
            // round half to even of n (tanh w / (2 max) + 1/2): solved for w
            const double tie = std::atanh(std::clamp(2 * m_maxTanh * ((i + 0.5) / n - 0.5), -1.0, 1.0));
            table.firsts[std::size_t(i)] = i % 2 == 0 ? firstAbove(tie) : firstFrom(tie);
        }
        return StepTables{{table}, -1};
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        if (!isWeight())
            return {passBetween(g, x, 0, 1), {}};
        if (bits() == 1)
            return {g, {}};
        const auto most = float(m_maxTanh);   // detached
        return {fusedGradient(g, x, -1, [most](float v, float d, std::int64_t) {
                    const float t = std::tanh(v);
                    return v == v ? d * (1 - t * t) / most : 0.0f;
                }), {}};
    }
    double sideBits() const override { return isWeight() && bits() == 1 ? 32 : 0; }

private:
    int m_gradientBits;
    bool m_noise;
    TrainingClock m_clock;
    float m_meanAbs = 0;
    double m_maxTanh = 0;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    if (intParam(spec.options, "gradient_bits", 0) == 1)
        return fail(ErrorKind::Unsupported, siteLabel(site, spec.method) + ", one bit has no room for gradients of both signs and none; use "
                    "gradient_bits=2 or more, or 0 for off");
    return std::make_unique<Dorefa>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "dorefa";
    t.title = "DoReFa-Net";
    t.paper = "Zhou et al., arXiv";
    t.year = 2016;
    t.family = "distribution";
    t.roles = {Role::Weight, Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.summary = "Weights squeezed through tanh onto even levels in -1 to 1, activations clipped to 0 to 1, gradients quantized on request.";
    t.options = {{"gradient_bits", ParamType::Int, ParamValue(std::int64_t(0)), 0, 8, {}, {},
                  "Bits of the gradient that training passes back; 0 leaves it alone.", false},
                 boolOption("noise", true, "Of the quantized gradient: noise before rounding, so that it is right on average.")};
    return t;
}

} // namespace

QuantizerRow dorefaRow()
{
    return {traits(), make};
}

} // namespace bitwright
