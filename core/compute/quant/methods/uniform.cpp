// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/methods/methods.h"

#include "config/uniform_form.h"
#include "quant/calibrators/calibrators.h"
#include "quant/grid_quantizer.h"
#include "tensor/guarded.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/ste.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

constexpr double kSmallestStep = 1e-8;

/// What the options and the role come to.
struct Plan {
    RangeRequest request;
    const CalibratorRow *calibrator = nullptr;
    bool perChannel = false, learned = false;
    std::string surrogate;   ///< methods.md A2; empty for the method's own rule
};

class Uniform final : public Quantizer {
public:
    Uniform(Plan plan, Site site, std::string label) : m_plan(std::move(plan)), m_site(std::move(site)), m_label(std::move(label)) {}

    bool calibrated() const override { return m_scale.defined(); }

    Status calibrate(const at::Tensor &x) override
    {
        return guarded(m_label, ErrorKind::Numeric, [&] {
            const at::Tensor rows = groupRows(x, axisOf(x));
            const std::size_t groups = std::size_t(rows.size(0)), length = std::size_t(rows.size(1));
            const auto all = floatSpan(rows);
            std::vector<float> scale(groups), zeroPoint(groups);
            parallelRanges(std::int64_t(groups), 1 + (1 << 16) / std::int64_t(length + 1), [&](std::int64_t begin, std::int64_t end) {
                for (std::size_t i = std::size_t(begin); i < std::size_t(end); ++i) {
                    const auto values = all.subspan(i * length, length);
                    const Moments m = momentsOf(values);
                    const Step step = ownStart() ? learnedStart(m.count ? m.sumAbs / double(m.count) : 0)
                                                 : stepFor(m_plan.calibrator->fromValues(values, m, m_plan.request), m_plan.request);
                    scale[i] = step.scale;
                    zeroPoint[i] = step.zeroPoint;
                }
            });
            set(scale, std::move(zeroPoint));
        });
    }

    Status calibrate(const SiteStatistics &statistics) override
    {
        if (m_plan.perChannel)
            return fail(ErrorKind::Invalid, m_label + ", streamed statistics have no channels; calibrate from the tensor itself");
        const Step step = ownStart() ? learnedStart(statistics.firstBatchMeanAbs)
                                     : stepFor(m_plan.calibrator->fromStatistics(statistics, m_plan.request), m_plan.request);
        set({step.scale}, {step.zeroPoint});
        return {};
    }

    at::Tensor forward(const at::Tensor &x) override
    {
        if (!c10::GradMode::is_enabled() || !(x.requires_grad() || m_plan.learned))
            return affineFakeQuant(x, gridFor(x));
        const at::Tensor value = x.to(at::kFloat);
        const AffineGrid grid = gridFor(x);
        if (!m_plan.surrogate.empty())
            return surrogatePass(x, grid);
        const at::Tensor y = m_plan.learned ? learnedStep(value, m_scale, grid, gradientScale(x, grid))
                                            : affineStraightThrough(value, grid);
        return x.is_floating_point() ? y.to(x.scalar_type()) : y;
    }

    at::Tensor apply(const at::Tensor &x, bool mayOverwrite) override { return affineFakeQuant(x, gridFor(x), mayOverwrite); }

    QuantGrid grid() const override
    {
        AffineGrid g = affine();
        g.axis = m_plan.perChannel ? m_site.channelAxis : -1;
        return toQuantGrid(g, m_plan.request.form == GridForm::Asymmetric ? m_plan.request.bits : 0);
    }

    std::vector<Learnable> learnables() override
    {
        return m_plan.learned && calibrated() ? std::vector<Learnable>{{"scale", m_scale}} : std::vector<Learnable>{};
    }

    void endStep() override
    {
        c10::NoGradGuard noGrad;
        if (calibrated())
            m_scale.clamp_min_(kSmallestStep);
    }

    std::map<std::string, std::vector<double>> values() const override
    {
        if (!calibrated())
            return {};
        const AffineGrid g = affine();
        return {{"scale", {g.scale.begin(), g.scale.end()}}, {"zero_point", {g.zeroPoint.begin(), g.zeroPoint.end()}}};
    }

    void set(const std::vector<float> &scale, std::vector<float> zeroPoint)
    {
        c10::NoGradGuard noGrad;
        m_zeroPoint = std::move(zeroPoint);
        at::Tensor fresh = at::empty({std::int64_t(scale.size())}, at::kFloat);
        std::ranges::copy(scale, fresh.mutable_data_ptr<float>());
        // an optimizer may hold the leaf: keep it where the shape allows
        if (m_scale.defined() && m_scale.sizes() == fresh.sizes()) {
            m_scale.copy_(fresh);
            return;
        }
        m_scale = fresh;
        m_scale.set_requires_grad(m_plan.learned);
    }

private:
    /// A 1-D array is one group.
    int axisOf(const at::Tensor &x) const { return m_plan.perChannel && x.dim() > 1 ? m_site.channelAxis : -1; }
    /// A learned step without a zero point starts by its own rule, not by the range estimator.
    bool ownStart() const { return m_plan.learned && m_plan.request.form != GridForm::Asymmetric; }

    /// Qp of the paper; an asymmetric grid counts all of its steps.
    double topCode() const
    {
        const RangeRequest &r = m_plan.request;
        return double(std::max<std::int64_t>(1, r.form == GridForm::Asymmetric ? r.qmax - r.qmin : r.qmax));
    }

    Step learnedStart(double meanAbs) const
    {
        return {float(std::max(kSmallestStep, 2 * meanAbs / std::sqrt(topCode()))), 0};
    }

    /// 1/sqrt(N Qp). For activations N is the features of one sample, so that the batch size does not matter.
    double gradientScale(const at::Tensor &x, const AffineGrid &grid) const
    {
        double n = double(x.numel()) / double(grid.groups());
        if (m_site.role == Role::Activation && x.dim() > 1 && x.size(0) > 0)
            n = double(x.numel() / x.size(0));
        return 1 / std::sqrt(std::max(1.0, n) * topCode());
    }

    at::Tensor surrogatePass(const at::Tensor &x, const AffineGrid &grid)
    {
        const at::Tensor y = withRule(x.to(at::kFloat), {}, [&](const at::Tensor &v) { return affineFakeQuant(v, grid); },
                                      [name = m_plan.surrogate, shown = this->grid(), axis = grid.axis](const at::Tensor &g, const at::Tensor &v) {
                                          return RuleGradients{surrogateGradient(name, g, v, axis, shown), {}};
                                      });
        return x.is_floating_point() ? y.to(x.scalar_type()) : y;
    }

    AffineGrid affine() const
    {
        AffineGrid g;
        const auto scale = floatSpan(m_scale);
        g.scale.assign(scale.begin(), scale.end());
        g.zeroPoint = m_zeroPoint;
        g.qmin = m_plan.request.qmin;
        g.qmax = m_plan.request.qmax;
        return g;
    }

    /// The grid over x; one value given for all channels is spread over them first.
    AffineGrid gridFor(const at::Tensor &x)
    {
        TORCH_CHECK(calibrated(), m_label, " has no scale yet");
        const int axis = axisOf(x);
        if (axis >= 0 && m_zeroPoint.size() == 1 && x.size(axis) != 1) {
            const std::size_t groups = std::size_t(x.size(axis));
            set(std::vector<float>(groups, floatSpan(m_scale)[0]), std::vector<float>(groups, m_zeroPoint[0]));
        }
        const std::int64_t wanted = axis < 0 ? 1 : x.size(axis);
        TORCH_CHECK(std::int64_t(m_zeroPoint.size()) == wanted, "scale has ", m_zeroPoint.size(), " entries and the tensor ", wanted,
                    wanted == 1 ? " group; give one" : " channels; give one for each, or a single one");
        AffineGrid g = affine();
        g.axis = axis;
        return g;
    }

    Plan m_plan;
    Site m_site;
    std::string m_label;
    at::Tensor m_scale;                 ///< float32, one entry per group; a leaf
    std::vector<float> m_zeroPoint;     ///< integers
};

Result<RangeRequest> formOf(const QuantSpec &spec, const Site &site, const std::string &label)
{
    // A named site is known to be behind a ReLU or not; for a bare tensor a learned step follows the paper.
    const bool bareLearned = boolParam(spec.options, "learned_step") && site.layer.empty();
    const UniformForm form = uniformForm(spec, site.role, site.nonNegative || bareLearned);
    if (form.qmin == form.qmax)
        return fail(ErrorKind::Unsupported, label + ", 1 bit restricted symmetric has one level; use full_range=true, "
                    "symmetric=false or a binary method such as bwn or binaryconnect");
    RangeRequest r;
    r.bits = spec.bits;
    r.qmin = form.qmin;
    r.qmax = form.qmax;
    r.form = !form.symmetric ? GridForm::Asymmetric : form.isSigned ? GridForm::Symmetric : GridForm::Unsigned;
    return r;
}

/// Values of the assignment: used as they are, but they must make a grid.
Status takeValues(Uniform &uniform, const QuantSpec &spec, const Plan &plan, const std::string &label)
{
    const auto scale = spec.values.find("scale"), zero = spec.values.find("zero_point");
    const bool asymmetric = plan.request.form == GridForm::Asymmetric;
    if (scale == spec.values.end()) {
        if (zero != spec.values.end())
            return fail(ErrorKind::Invalid, label + ", zero_point is given without scale; give both or neither");
        return {};
    }
    if (scale->second.empty() || (!plan.perChannel && scale->second.size() != 1))
        return fail(ErrorKind::Invalid, label + ", scale has " + std::to_string(scale->second.size())
                                            + " entries and one is needed per group; set granularity=channel or give one");
    std::vector<float> steps, zeros(scale->second.size(), 0.0f);
    for (const double s : scale->second) {
        if (!std::isfinite(float(s)) || !(float(s) > 0))
            return fail(ErrorKind::Invalid, label + ", scale must be positive and finite; correct the value");
        steps.push_back(float(s));
    }
    if (asymmetric && zero == spec.values.end())
        return fail(ErrorKind::Invalid, label + ", an asymmetric grid needs zero_point beside scale; give both or neither");
    if (zero != spec.values.end()) {
        if (zero->second.size() != zeros.size())
            return fail(ErrorKind::Invalid, label + ", zero_point has " + std::to_string(zero->second.size())
                                                + " entries and scale " + std::to_string(zeros.size()) + "; give as many of both");
        for (std::size_t i = 0; i < zeros.size(); ++i) {
            const double z = zero->second[i];
            if (z != std::rint(z) || z < 0 || z > (asymmetric ? double(plan.request.qmax) : 0))
                return fail(ErrorKind::Invalid, label + (asymmetric ? ", zero_point must be a whole number from 0 to "
                                                                          + std::to_string(plan.request.qmax)
                                                                    : std::string(", a symmetric grid has zero_point 0"))
                                                    + "; correct the value");
            zeros[i] = float(z);
        }
    }
    uniform.set(steps, std::move(zeros));
    return {};
}

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    const std::string label = siteLabel(site, "uniform");
    Plan plan;
    BW_ASSIGN(plan.request, formOf(spec, site, label));
    plan.learned = boolParam(spec.options, "learned_step");
    plan.surrogate = textParam(spec.options, "surrogate");
    if (plan.learned && !plan.surrogate.empty())
        return fail(ErrorKind::Unsupported, label + ", a learned step has a gradient of its own; leave out surrogate or set learned_step=false");
    plan.perChannel = textParam(spec.options, "granularity", "tensor") == "channel";
    if (plan.perChannel && site.role == Role::Activation)
        return fail(ErrorKind::Unsupported, label + ", activations cannot have a scale per channel, because it does not "
                    "factor out of the layer's sum; use granularity=tensor");
    plan.request.percentile = realParam(spec.options, "percentile", 99.9);
    plan.request.ratio = realParam(spec.options, "ratio", 0.8);
    plan.request.distribution = textParam(spec.options, "distribution", "gaussian");
    const std::string range = textParam(spec.options, "range", "minmax");
    plan.calibrator = findCalibrator(range);
    if (!plan.calibrator)
        return fail(ErrorKind::Invalid, label + ", there is no range estimator " + range + "; use minmax");
    const int least = plan.request.form == GridForm::Symmetric ? 2 : 1;
    if (range == "aciq" && (spec.bits < least || spec.bits > 8))
        return fail(ErrorKind::Unsupported, label + ", range=aciq has its constants for 2 to 8 bits; choose another range");
    auto quantizer = std::make_unique<Uniform>(plan, site, label);
    BW_CHECK(takeValues(*quantizer, spec, plan, label));
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "uniform";
    t.title = "Uniform";
    t.family = "uniform";
    t.paper = "Jacob et al., CVPR 2018; learned step: Esser et al., ICLR 2020";
    t.year = 2018;
    t.roles = {Role::Weight, Role::Activation};
    t.minimumBits = 1;
    t.maximumBits = 16;
    t.values = {"scale", "zero_point"};
    t.summary = "Equally spaced levels around zero, by rounding to a multiple of one step.";
    const std::string byRole = " Not given: the role decides.";
    auto optional = [](std::string name, std::string help) {
        return ParamSpec{std::move(name), ParamType::Bool, ParamValue(false), 0, 0, {}, {}, std::move(help), true};
    };
    auto choice = [](std::string name, std::vector<std::string> choices, std::string help) {
        const ParamValue fallback(choices.front());
        return ParamSpec{std::move(name), ParamType::Choice, fallback, 0, 0, std::move(choices), {}, std::move(help), false};
    };
    t.options = {
        optional("symmetric", "Zero in the middle and no zero point; weights do by default, activations do not." + byRole),
        optional("signed", "Of a symmetric grid: both signs, or 0 to 2^b - 1 for values behind a ReLU." + byRole),
        optional("full_range", "Of a symmetric signed grid: also the level -2^(b-1), which restricted grids leave out; a "
                               "learned step uses it by default."),
        choice("granularity", {"tensor", "channel"}, "One step for the tensor, or one per output channel (weights only)."),
        choice("range", calibratorIds(), "How the range is found."),
        {"percentile", ParamType::Real, ParamValue(99.9), 50, 100, {}, "%", "Of range=percentile: the share of values inside.", false, "range=percentile"},
        {"ratio", ParamType::Real, ParamValue(0.8), 0.01, 1, {}, {}, "Of range=scaled: the share of the maximum that is kept.", false, "range=scaled"},
        {"distribution", ParamType::Choice, ParamValue(std::string("gaussian")), 0, 0, {"gaussian", "laplace"}, {},
         "Of range=aciq: the shape that is assumed.", false, "range=aciq"},
        {"learned_step", ParamType::Bool, ParamValue(false), 0, 0, {}, {}, "Training learns the step (LSQ).", false},
    };
    return t;
}

} // namespace

QuantizerRow uniformRow()
{
    return {traits(), make};
}

} // namespace bitwright
