// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/binary.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <random>

namespace bitwright {
namespace {

/// +-1 by sign or by chance, gradient at the binary weight (methods.md B2). Chance is for training; without a step's clock
/// the answer is the sign.
class BinaryConnect final : public GridQuantizer {
public:
    BinaryConnect(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site), m_stochastic(boolParam(spec.options, "stochastic"))
    {
        setReady(1);
    }
    Status calibrate(const at::Tensor &) override { return {}; }
    Status calibrate(const SiteStatistics &) override { return onlyForWeights(label()); }
    void beginStep(const TrainingClock &clock) override
    {
        m_clock = clock;
        m_draws = m_stochastic;
    }
    void constrain(at::Tensor &weight) override { clampLatent(weight); }

    at::Tensor apply(const at::Tensor &x, bool mayOverwrite) override
    {
        return m_draws ? drawn(x) : GridQuantizer::apply(x, mayOverwrite);
    }

protected:
    Grid makeGrid() const override { return signSteps({1.0f}); }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &) const override { return {g, {}}; }
    double sideBits() const override { return 0; }

private:
    /// P(+1) = clip((w + 1) / 2, 0, 1).
    at::Tensor drawn(const at::Tensor &x) const
    {
        const at::Tensor value = floatContiguous(x);
        at::Tensor out = at::empty_like(value);
        std::seed_seq sequence{std::uint32_t(m_clock.seed), std::uint32_t(m_clock.seed >> 32), std::uint32_t(m_clock.step),
                               std::uint32_t(m_clock.site), 0xbcU};
        std::mt19937 random(sequence);
        const float *from = value.const_data_ptr<float>();
        float *to = out.mutable_data_ptr<float>();
        for (std::int64_t i = 0; i < value.numel(); ++i) {
            // 24 bits fill a float; std distributions differ between libraries
            const float u = float(random() >> 8) / float(1U << 24);
            const float p = std::clamp((from[i] + 1) / 2, 0.0f, 1.0f);
            to[i] = std::isnan(from[i]) ? from[i] : u < p ? 1.0f : -1.0f;
        }
        return x.is_floating_point() ? out.to(x.scalar_type()) : out;
    }

    bool m_stochastic, m_draws = false;
    TrainingClock m_clock;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    return std::make_unique<BinaryConnect>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t = binaryTraits("binaryconnect", "BinaryConnect", "Courbariaux, Bengio, David, NIPS", 2015, {Role::Weight});
    t.summary = "Plus or minus one by the sign of the weight, or by chance, while the float weight goes on learning.";
    t.options = {boolOption("stochastic", false, "Training draws the sign with probability (w + 1) / 2; evaluation takes the sign.")};
    return t;
}

} // namespace

QuantizerRow binaryconnectRow()
{
    return {traits(), make};
}

} // namespace bitwright
