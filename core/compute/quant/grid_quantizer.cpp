// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {

GridQuantizer::GridQuantizer(const QuantSpec &spec, const Site &site)
    : m_spec(spec), m_site(site), m_label(siteLabel(site, spec.method)), m_surrogate(textParam(spec.options, "surrogate")),
      m_perChannel(site.role == Role::Weight && textParam(spec.options, "granularity", "tensor") == "channel")
{
}

void GridQuantizer::setReady(std::size_t groups)
{
    m_groups = groups;
    m_ready = true;
    m_cached.reset();
}

void GridQuantizer::setValue(const std::string &name, const std::vector<float> &numbers, bool learned)
{
    c10::NoGradGuard noGrad;
    m_cached.reset();
    m_anyLearned = m_anyLearned || learned;
    const at::Tensor fresh = at::tensor(numbers, at::kFloat);
    Value &held = m_values[name];
    if (held.tensor.defined() && held.tensor.sizes() == fresh.sizes()) {
        held.tensor.copy_(fresh);
        return;
    }
    held = {fresh, learned};
    held.tensor.set_requires_grad(learned);
}

std::span<const float> GridQuantizer::value(const std::string &name) const
{
    const auto found = m_values.find(name);
    TORCH_CHECK(found != m_values.end(), m_label, " has no ", name, " yet");
    return floatSpan(found->second.tensor);
}

float GridQuantizer::valueAt(const std::string &name, std::size_t group) const
{
    const auto numbers = value(name);
    TORCH_CHECK(numbers.size() == 1 || group < numbers.size(), m_label, ", ", name, " has ", numbers.size(),
                " entries and more channels are there; give one for each, or a single one");
    return numbers[numbers.size() == 1 ? 0 : group];
}

Status GridQuantizer::takeGiven(const std::vector<std::string> &names, const std::vector<std::string> &positive, bool learned)
{
    for (const std::string &name : names) {
        const auto given = m_spec.values.find(name);
        if (given == m_spec.values.end())
            continue;
        if (given->second.empty())
            return fail(ErrorKind::Invalid, m_label + ", " + name + " is empty; give a number");
        std::vector<float> numbers;
        for (const double v : given->second) {
            if (!std::isfinite(float(v)))
                return fail(ErrorKind::Invalid, m_label + ", " + name + " must be finite as float32; correct the value");
            if (!(float(v) > 0) && std::ranges::find(positive, name) != positive.end())
                return fail(ErrorKind::Invalid, m_label + ", " + name + " must be positive; correct the value");
            numbers.push_back(float(v));
        }
        setValue(name, numbers, learned);
    }
    return {};
}

std::vector<Learnable> GridQuantizer::learnables()
{
    std::vector<Learnable> out;
    if (!m_ready)
        return out;
    const double factor = realParam(m_spec.options, "lr_factor", 1);
    const bool decay = boolParam(m_spec.options, "decay");
    // Whatever order they were set in (given on the command line, calibrated): a rule answers in this one.
    const MethodTraits *traits = methodCatalog().quantizer(m_spec.method);
    for (const std::string &name : traits ? traits->values : std::vector<std::string>{})
        if (const auto held = m_values.find(name); held != m_values.end() && held->second.learned)
            out.push_back({name, held->second.tensor, factor, decay});
    return out;
}

std::map<std::string, std::vector<double>> GridQuantizer::values() const
{
    std::map<std::string, std::vector<double>> out;
    if (!m_ready)
        return out;
    for (const auto &[name, held] : m_values) {
        const auto numbers = floatSpan(held.tensor);
        out[name].assign(numbers.begin(), numbers.end());
    }
    return out;
}

const GridQuantizer::Grid &GridQuantizer::current() const
{
    TORCH_CHECK(m_ready, m_label, " has no values yet");
    if (!m_cached || m_anyLearned)   // an optimizer moves learned values behind our back
        m_cached = makeGrid();
    return *m_cached;
}

/// The grid over x has as many groups as x; what was given once for all channels is spread by makeGrid().
void GridQuantizer::fit(const at::Tensor &x)
{
    const int axis = axisOf(x);
    const std::size_t wanted = axis < 0 ? 1 : std::size_t(x.size(axis));
    if (wanted == m_groups)
        return;
    m_groups = wanted;
    m_cached.reset();
}

at::Tensor GridQuantizer::apply(const at::Tensor &x, bool mayOverwrite)
{
    TORCH_CHECK(m_ready, m_label, " has no values yet");
    fit(x);
    Grid grid = current();
    if (auto *affine = std::get_if<AffineGrid>(&grid)) {
        affine->axis = axisOf(x);
        return affineFakeQuant(x, *affine, mayOverwrite);
    }
    auto &steps = std::get<StepTables>(grid);
    steps.axis = axisOf(x);
    return toLevels(x, steps, mayOverwrite);
}

at::Tensor GridQuantizer::forward(const at::Tensor &x)
{
    std::vector<at::Tensor> parameters;
    for (const Learnable &l : learnables())
        parameters.push_back(l.tensor);
    if (!c10::GradMode::is_enabled() || !(x.requires_grad() || !parameters.empty()))
        return apply(x, false);
    const at::Tensor y = withRule(x.to(at::kFloat), parameters, [this](const at::Tensor &v) { return trainingOutput(v); },
                                  [this](const at::Tensor &g, const at::Tensor &v) { return gradients(g, v); });
    return x.is_floating_point() ? y.to(x.scalar_type()) : y;
}

RuleGradients GridQuantizer::gradients(const at::Tensor &g, const at::Tensor &x) const
{
    c10::NoGradGuard noGrad;
    RuleGradients out = backward(g, x);
    if (!m_surrogate.empty())
        out.dx = surrogateGradient(m_surrogate, g, x, axisOf(x), grid());
    return out;
}

QuantGrid GridQuantizer::grid() const
{
    const Grid &grid = current();
    if (const auto *affine = std::get_if<AffineGrid>(&grid)) {
        AffineGrid g = *affine;
        g.axis = m_perChannel ? m_site.channelAxis : -1;
        QuantGrid out = toQuantGrid(g, 0);
        out.sideBits = sideBits();
        return out;
    }
    QuantGrid out;
    out.uniform = false;
    out.perChannel = m_perChannel;
    out.sideBits = sideBits();
    for (const LevelTable &table : std::get<StepTables>(grid).groups) {
        QuantGrid::Group group;
        group.levels.assign(table.levels.begin(), table.levels.end());
        if (listsLevels()) {
            group.thresholds.assign(table.firsts.begin(), table.firsts.end());
        } else {
            group.answers = group.levels;
            group.breaks.assign(table.firsts.begin(), table.firsts.end());
            std::ranges::sort(group.levels);
            const auto tail = std::ranges::unique(group.levels);
            group.levels.erase(tail.begin(), tail.end());
            if (group.levels.size() == 1)
                group.levels.push_back(group.levels.front());   // of an empty or all-zero tensor
        }
        out.groups.push_back(std::move(group));
    }
    return out;
}

void eachGroup(const at::Tensor &x, int axis, const std::function<void(std::span<const float>, std::size_t)> &body)
{
    const at::Tensor rows = groupRows(x, axis);
    const auto all = floatSpan(rows);
    const std::int64_t groups = rows.size(0), length = rows.size(1);
    parallelRanges(groups, 1 + (1 << 16) / (length + 1), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            body(all.subspan(std::size_t(i * length), std::size_t(length)), std::size_t(i));
    });
}

std::vector<float> finiteOf(std::span<const float> values)
{
    std::vector<float> out;
    out.reserve(values.size());
    std::ranges::copy_if(values, std::back_inserter(out), [](float v) { return std::isfinite(v); });
    return out;
}

at::Tensor passBetween(const at::Tensor &g, const at::Tensor &x, float low, float high, bool lowIncluded, bool highIncluded)
{
    // the next float inside makes an open end a closed one
    const float lo = lowIncluded ? low : std::nextafter(low, std::numeric_limits<float>::infinity());
    const float hi = highIncluded ? high : std::nextafter(high, -std::numeric_limits<float>::infinity());
    return fusedGradient(g, x, -1, [lo, hi](float v, float d, std::int64_t) { return v >= lo && v <= hi ? d : 0.0f; });
}

ParamSpec choiceOption(std::string name, std::vector<std::string> choices, std::string help, std::string onlyWith)
{
    const ParamValue fallback(choices.front());
    return {std::move(name), ParamType::Choice, fallback, 0, 0, std::move(choices), {}, std::move(help), false, std::move(onlyWith)};
}

ParamSpec granularityOption(std::vector<std::string> choices)
{
    return choiceOption("granularity", std::move(choices), "One set of levels for the tensor, or one per output channel (weights only).");
}

ParamSpec realOption(std::string name, double fallback, double minimum, double maximum, std::string help, std::string onlyWith)
{
    return {std::move(name), ParamType::Real, ParamValue(fallback), minimum, maximum, {}, {}, std::move(help), false, std::move(onlyWith)};
}

ParamSpec boolOption(std::string name, bool fallback, std::string help, std::string onlyWith)
{
    return {std::move(name), ParamType::Bool, ParamValue(fallback), 0, 0, {}, {}, std::move(help), false, std::move(onlyWith)};
}

void addTrainingOptions(MethodTraits &traits, double rateFactor, bool decay)
{
    traits.options.push_back(realOption("lr_factor", rateFactor, 0, 1000, "Learning rate of what the method learns, as a multiple of the run's."));
    traits.options.push_back(boolOption("decay", decay, "The run's weight decay acts on what the method learns, too."));
}

Status refuseActivationChannels(const QuantSpec &spec, const Site &site)
{
    if (site.role == Role::Activation && textParam(spec.options, "granularity", "tensor") == "channel")
        return fail(ErrorKind::Unsupported, siteLabel(site, spec.method) + ", activations cannot have levels per channel, because they "
                    "do not factor out of the layer's sum; use granularity=tensor");
    return {};
}

} // namespace bitwright
