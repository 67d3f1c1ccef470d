// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/normalized.h"

#include "quant/grid_quantizer.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bitwright {
namespace {

constexpr double kEpsilon = 1e-5;

/// w = unit * spread + mean.
struct Scale { double mean = 0, spread = 1; };

class Normalized final : public Quantizer {
public:
    Normalized(std::unique_ptr<Quantizer> inner, const Site &site, bool perChannel, bool restore, std::string label)
        : m_inner(std::move(inner)), m_site(site), m_perChannel(perChannel), m_restore(restore), m_given(m_inner->calibrated()),
          m_label(std::move(label))
    {
    }

    bool calibrated() const override { return !m_scales.empty() && m_inner->calibrated(); }

    Status calibrate(const at::Tensor &x) override
    {
        return guarded(m_label, ErrorKind::Numeric, [&]() -> Status {
            measure(x);
            return m_given ? Status{} : m_inner->calibrate(unit(x));
        });
    }

    Status calibrate(const SiteStatistics &) override
    {
        return fail(ErrorKind::Unsupported, m_label + ", only weights are normalised; set normalize=false");
    }

    void freeze(const at::Tensor &x) override { m_inner->freeze(unit(x)); }

    at::Tensor forward(const at::Tensor &x) override
    {
        if (!c10::GradMode::is_enabled())
            return apply(x, false);
        TORCH_CHECK(calibrated(), m_label, " has no values yet");
        const at::Tensor mean = spread([](const Scale &s) { return s.mean; }, x), std = spread([](const Scale &s) { return s.spread; }, x);
        const at::Tensor y = m_inner->forward((x.to(at::kFloat) - mean) / std);
        const at::Tensor out = m_restore ? y * std + mean : y;
        return x.is_floating_point() ? out.to(x.scalar_type()) : out;
    }

    /// Through the thresholds in units of x: one pass, and the very numbers that grid() promises.
    at::Tensor apply(const at::Tensor &x, bool mayOverwrite) override
    {
        const QuantGrid shown = grid();
        StepTables steps;
        steps.axis = axisOf(x);
        for (const QuantGrid::Group &group : shown.groups) {
            const bool list = group.answers.empty();
            const auto &levels = list ? group.levels : group.answers;
            const auto &firsts = list ? group.thresholds : group.breaks;
            steps.groups.push_back({{levels.begin(), levels.end()}, {firsts.begin(), firsts.end()}});
        }
        return toLevels(x, steps, mayOverwrite);
    }

    QuantGrid grid() const override
    {
        TORCH_CHECK(calibrated(), m_label, " has no values yet");
        const QuantGrid from = m_inner->grid();
        QuantGrid out;
        out.uniform = false;
        out.perChannel = m_perChannel;
        out.sideBits = from.sideBits + (m_restore ? 64.0 * double(m_scales.size()) : 0);
        for (std::size_t i = 0; i < m_scales.size(); ++i) {
            const std::size_t group = from.groups.size() == 1 ? 0 : i;
            const Scale &scale = m_scales[i];
            QuantGrid::Group g;
            const auto level = [&](double v) { return m_restore ? double(float(v * scale.spread + scale.mean)) : v; };
            for (const double v : from.levels(group))
                g.levels.push_back(level(v));
            for (const double v : from.groups[group].answers)
                g.answers.push_back(level(v));
            // a value on a threshold moves up, as with all step tables
            for (const double v : from.thresholds(group))
                g.thresholds.push_back(double(firstFrom(v * scale.spread + scale.mean)));
            for (const double v : from.groups[group].breaks)
                g.breaks.push_back(double(firstFrom(v * scale.spread + scale.mean)));
            out.groups.push_back(std::move(g));
        }
        return out;
    }

    std::vector<Learnable> learnables() override { return m_inner->learnables(); }
    void beginStep(const TrainingClock &clock) override { m_inner->beginStep(clock); }
    bool wantsCurvature() const override { return m_inner->wantsCurvature(); }
    void setCurvature(const at::Tensor &secondMoment) override { m_inner->setCurvature(secondMoment); }
    void observe(const at::Tensor &x) override
    {
        measure(x);
        m_inner->observe(unit(x));
    }
    void endStep() override { m_inner->endStep(); }
    bool keepsValues() const override { return m_inner->keepsValues(); }
    std::vector<Learnable> running() override { return m_inner->running(); }
    std::map<std::string, std::vector<double>> values() const override { return m_inner->values(); }

private:
    int axisOf(const at::Tensor &x) const { return m_perChannel && x.dim() > 1 ? m_site.channelAxis : -1; }

    /// Mean and sample deviation of what is finite, per group.
    void measure(const at::Tensor &x)
    {
        const int axis = axisOf(x);
        std::vector<Scale> scales(axis < 0 ? 1 : std::size_t(x.size(axis)));
        eachGroup(x, axis, [&](std::span<const float> values, std::size_t group) {
            double sum = 0, squares = 0;
            std::size_t count = 0;
            for (const float v : values)
                if (std::isfinite(v)) {
                    sum += double(v);
                    ++count;
                }
            const double mean = count ? sum / double(count) : 0;
            for (const float v : values)
                if (std::isfinite(v))
                    squares += (double(v) - mean) * (double(v) - mean);
            scales[group] = {mean, (count > 1 ? std::sqrt(squares / double(count - 1)) : 0) + kEpsilon};
        });
        m_scales = std::move(scales);
    }

    template <class Pick>
    at::Tensor spread(const Pick &pick, const at::Tensor &x) const
    {
        std::vector<float> numbers;
        for (const Scale &s : m_scales)
            numbers.push_back(float(pick(s)));
        const at::Tensor flat = at::tensor(numbers, at::kFloat);
        if (axisOf(x) < 0)
            return flat.reshape({});
        std::vector<std::int64_t> shape(std::size_t(x.dim()), 1);
        shape[std::size_t(axisOf(x))] = flat.numel();
        return flat.reshape(shape);
    }

    at::Tensor unit(const at::Tensor &x) const
    {
        c10::NoGradGuard noGrad;
        return (x.detach().to(at::kFloat) - spread([](const Scale &s) { return s.mean; }, x))
            / spread([](const Scale &s) { return s.spread; }, x);
    }

    std::unique_ptr<Quantizer> m_inner;
    Site m_site;
    bool m_perChannel, m_restore;
    bool m_given;            ///< the inner values were given: only the statistics are taken from the weight
    std::string m_label;
    std::vector<Scale> m_scales;
};

} // namespace

std::unique_ptr<Quantizer> normalized(std::unique_ptr<Quantizer> inner, const Site &site, bool perChannel, bool restore,
                                      const std::string &label)
{
    return std::make_unique<Normalized>(std::move(inner), site, perChannel, restore, label);
}

} // namespace bitwright
