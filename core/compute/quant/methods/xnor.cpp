// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/binary.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bitwright {
namespace {

class XnorWeight final : public BinaryWeight {
public:
    using BinaryWeight::BinaryWeight;
    /// Each step the mean over the input channels goes, then what is beyond [-1, 1].
    void constrain(at::Tensor &weight) override
    {
        c10::NoGradGuard noGrad;
        if (weight.dim() > 1)
            weight.sub_(weight.mean(site().channelAxis == 1 ? 0 : 1, true));
        clampLatent(weight);
    }
};

/// sign(x), times nothing (as released), the mean magnitude of its channel, or one learned scale.
class XnorActivation final : public GridQuantizer {
public:
    XnorActivation(const QuantSpec &spec, const Site &site) : GridQuantizer(spec, site), m_scale(textParam(spec.options, "scale", "none"))
    {
        setPerChannel(m_scale == "channel");
        if (m_scale == "none")
            setReady(1);
    }
    Status takeValues()
    {
        BW_CHECK(takeGiven({"alpha"}, {}, m_scale == "learned"));
        if (!hasValue("alpha"))
            return {};
        if (m_scale == "none")
            return fail(ErrorKind::Invalid, label() + ", scale=none has no alpha to give; leave it out");
        if (m_scale == "learned" && value("alpha").size() != 1)
            return fail(ErrorKind::Invalid, label() + ", a learned scale is one number; give one");
        setReady(value("alpha").size());
        return {};
    }
    Status calibrate(const at::Tensor &x) override
    {
        if (m_scale == "none")
            return {};
        return guarded(label(), ErrorKind::Numeric, [&] { take(meanMagnitudes(x, axisOf(x))); });
    }
    Status calibrate(const SiteStatistics &s) override
    {
        if (m_scale == "none")
            return {};
        if (m_scale == "channel" && !s.channelMeanAbs.empty())
            take({s.channelMeanAbs.begin(), s.channelMeanAbs.end()});
        else
            take({s.moments.count ? float(s.moments.sumAbs / double(s.moments.count)) : 0.0f});
        return {};
    }

protected:
    /// Activations are N x C x …: channels are dimension 1.
    int axisOf(const at::Tensor &x) const override { return perChannel() && x.dim() > 1 ? 1 : -1; }
    Grid makeGrid() const override
    {
        std::vector<float> scales;
        for (std::size_t i = 0; i < groupCount(); ++i)
            scales.push_back(scale(i));
        StepTables steps = signSteps(scales, site().nonNegative);
        for (LevelTable &table : steps.groups)
            std::ranges::sort(table.levels);   // a learned scale may have crossed zero
        return steps;
    }
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override
    {
        if (m_scale != "learned") {
            std::vector<float> scales;
            for (std::size_t i = 0; i < groupCount(); ++i)
                scales.push_back(scale(i));
            return {fusedGradient(g, x, axisOf(x), [&](float v, float d, std::int64_t group) {
                        return std::abs(v) < 1 ? d * scales[std::size_t(group)] : 0.0f;
                    }), {}};
        }
        const float first = site().nonNegative ? std::numeric_limits<float>::min() : 0.0f;
        const float alpha = scale(0);
        const auto out = fusedGradientAndSums<1>(g, x, -1, [=](float v, float d, std::int64_t, std::array<double, 1> &sum) {
            sum[0] += double(v >= first ? d : v < first ? -d : 0.0f);
            return std::abs(v) < 1 ? d * alpha : 0.0f;
        });
        return {out.dx, {at::scalar_tensor(out.sums.empty() ? 0 : out.sums[0][0], at::kFloat)}};
    }
    double sideBits() const override { return m_scale == "none" ? 0 : 32.0 * double(groupCount()); }

private:
    float scale(std::size_t group) const { return m_scale == "none" ? 1.0f : valueAt("alpha", group); }
    void take(const std::vector<float> &scales)
    {
        setValue("alpha", scales, m_scale == "learned");
        setReady(scales.size());
    }
    std::string m_scale;
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    if (site.role == Role::Weight) {
        if (!spec.values.empty() || textParam(spec.options, "scale", "none") != "none")
            return fail(ErrorKind::Unsupported, siteLabel(site, spec.method) + ", the option scale is for activations; weights have the mean "
                        "magnitude of each filter; leave it out");
        return std::make_unique<XnorWeight>(spec, site);
    }
    auto quantizer = std::make_unique<XnorActivation>(spec, site);
    BW_CHECK(quantizer->takeValues());
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t = binaryTraits("xnor", "XNOR-Net", "Rastegari et al., ECCV", 2016, {Role::Weight, Role::Activation});
    t.summary = "BWN's weights and the sign of the activations, with or without a scale for them.";
    t.values = {"alpha"};
    t.options = {granularityOption({"channel", "tensor"}), binaryGradientOption(),
                 choiceOption("scale", {"none", "channel", "learned"}, "Activations: no scale (as released), the mean magnitude of each "
                              "channel, or one that training learns.")};
    addTrainingOptions(t, 1, false);
    return t;
}

} // namespace

QuantizerRow xnorRow()
{
    return {traits(), make};
}

} // namespace bitwright
