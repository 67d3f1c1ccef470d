// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/executor.h"

#include "graph/executor_plan.h"
#include "graph/operators.h"
#include "graph/subgraph.h"
#include "tensor/guarded.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <optional>

namespace bitwright {

namespace {

using Stack = torch::jit::Stack;
using From = PlanSlot::From;

/// True where nobody else can see this tensor's memory, so that it may be overwritten. The reference counts are the
/// alias analysis: a view, a captured value, a caller's input or a tensor saved for backward holds the storage too.
bool ownedAlone(const at::Tensor &tensor)
{
    return tensor.defined() && tensor.use_count() == 1 && tensor.has_storage() && tensor.storage().use_count() == 1
        && tensor.is_non_overlapping_and_dense() && !(tensor.requires_grad() && c10::GradMode::is_enabled());
}

/// One pass over the graph.
class Pass {
public:
    Pass(const Plan &plan, std::span<const at::Tensor> parameters, const RunOptions &options)
        : m_plan(plan), m_parameters(parameters), m_options(options), m_slots(plan.values)
    {
    }

    void start(std::span<const c10::IValue> inputs, const Graph &graph);
    Status run();
    std::vector<c10::IValue> outputs();
    [[nodiscard]] const Node *current() const
    {
        return m_node < m_plan.steps.size() ? m_plan.steps[m_node].node : nullptr;
    }

private:
    c10::IValue fetch(const PlanSlot &slot);
    c10::IValue fetchList(const PlanSlot &slot);
    void step(const PlanStep &step);
    void applyTap(const PlanStep &step);
    void setMode(const PlanStep &step);
    [[nodiscard]] bool isAbsorbed(const PlanStep &step) const;
    bool tryInPlace(const PlanStep &step);
    bool binaryInPlace(const PlanStep &step);
    bool batchNormInPlace();
    void capture();

    const Plan &m_plan;
    std::span<const at::Tensor> m_parameters;
    const RunOptions &m_options;
    std::vector<c10::IValue> m_slots;
    Stack m_stack;
    std::size_t m_node = 0;
    std::size_t m_nextCapture = 0;
    bool m_stopped = false;
    bool m_endedEarly = false;
};

void Pass::start(std::span<const c10::IValue> inputs, const Graph &graph)
{
    m_stack.reserve(16);
    if (m_options.from) {
        for (const auto &[value, content] : m_options.from->values)
            m_slots[std::size_t(value)] = content;
        return;
    }
    for (std::size_t i = 0; i < graph.inputs.size(); ++i)
        if (m_plan.inputRead[i])
            m_slots[std::size_t(graph.inputs[i].value)] = inputs[i];
}

c10::IValue Pass::fetchList(const PlanSlot &slot)
{
    std::vector<c10::IValue> elements;
    elements.reserve(slot.list.size());
    for (const PlanSlot &element : slot.list)
        elements.push_back(fetch(element));
    return makeList(std::move(elements), slot.want == Want::None ? Want::List : slot.want);
}

c10::IValue Pass::fetch(const PlanSlot &slot)
{
    switch (slot.from) {
    case From::Constant: return slot.constant;
    case From::Parameter: return m_parameters[std::size_t(slot.index)];
    case From::List: return fetchList(slot);
    case From::Copy:
    case From::Move: break;
    }
    c10::IValue &held = m_slots[std::size_t(slot.index)];
    c10::IValue value = slot.from == From::Move ? std::move(held) : held;
    if (slot.want != Want::None && !(slot.want == Want::Tensor && value.isTensor()))
        convertValue(value, slot.want);
    return value;
}

void Pass::applyTap(const PlanStep &step)
{
    c10::IValue &held = m_stack[std::size_t(step.tap->argument)];
    if (!held.isTensor())
        return;
    const at::Tensor input = std::move(held).toTensor();
    const bool dies = step.arguments[std::size_t(step.tap->argument)].from == From::Move;
    const bool mayOverwrite = dies && m_options.inPlace && ownedAlone(input);
    held = (*m_options.tap)(std::size_t(step.tap->binding), step.tap->call, input, mayOverwrite);
}

void Pass::setMode(const PlanStep &step)
{
    const bool isDropout = !step.statistics && step.node->op.find("dropout") != std::string::npos;
    m_stack[std::size_t(step.node->trainingArgument)] = m_options.training && (m_options.dropout || !isDropout);
    if (step.statistics && m_options.training && !m_options.mutateBuffers) {
        // Batch statistics are used either way; without the buffers there is nothing to update.
        m_stack[std::size_t(step.meanArgument)] = c10::IValue();
        m_stack[std::size_t(step.varianceArgument)] = c10::IValue();
    }
}

bool Pass::binaryInPlace(const PlanStep &step)
{
    if (!m_stack[0].isTensor() || !m_stack[1].isTensor())
        return false;
    const at::Tensor &a = m_stack[0].toTensor(), &b = m_stack[1].toTensor();
    // Unequal strides would leave another layout than the functional operator, and so other roundings further on.
    if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes() || a.strides() != b.strides())
        return false;
    if (c10::GradMode::is_enabled() && (a.requires_grad() || b.requires_grad()))
        return false;
    if (step.arguments[0].from == From::Move && ownedAlone(a))
        return true;
    const bool swappable = step.arguments[1].from == From::Move && step.node->op != "aten::sub.Tensor"
        && step.node->op != "aten::div.Tensor" && ownedAlone(b);
    const bool plain = m_stack.size() < 3 || (m_stack[2].isInt() && m_stack[2].toInt() == 1);
    if (!swappable || !plain)
        return false;
    std::swap(m_stack[0], m_stack[1]);
    return true;
}

/// Evaluation mode on a float input: scale and shift written over the input.
bool Pass::batchNormInPlace()
{
    const at::Tensor &input = m_stack[0].toTensor();
    if (m_stack[5].toBool() || !input.is_floating_point() || !ownedAlone(input) || !input.device().is_cpu())
        return false;
    for (std::size_t i = 1; i < 5; ++i) {
        if (m_stack[i].isNone() && i < 3)
            continue;
        if (!m_stack[i].isTensor() || m_stack[i].toTensor().scalar_type() != input.scalar_type())
            return false;
        if (c10::GradMode::is_enabled() && m_stack[i].toTensor().requires_grad())
            return false;
    }
    const auto optional = [&](std::size_t i) {
        return m_stack[i].isNone() ? std::optional<at::Tensor>() : std::optional(m_stack[i].toTensor());
    };
    at::Tensor out = input, mean = at::empty({0}, input.options()), inverse = at::empty({0}, input.options());
    at::native_batch_norm_out(out, mean, inverse, input, optional(1), optional(2), optional(3), optional(4), false,
                              m_stack[6].toDouble(), m_stack[7].toDouble());
    m_stack.resize(1);
    return true;
}

/// Whether the only reader's tap will do what this ReLU does.
bool Pass::isAbsorbed(const PlanStep &step) const
{
    if (step.onlyReader < 0 || !m_options.rectifying || !m_options.tap || c10::GradMode::is_enabled())
        return false;
    const std::size_t reader = std::size_t(step.onlyReader);
    const bool kept = m_options.captured && std::ranges::any_of(m_options.captureAt, [&](std::size_t cut) {
        return cut > m_node && cut <= reader;
    });
    return !kept && (*m_options.rectifying)[std::size_t(m_plan.steps[reader].tap->binding)];
}

bool Pass::tryInPlace(const PlanStep &step)
{
    if (!m_stack[0].isTensor())
        return false;
    switch (step.inPlace) {
    case InPlace::No: return false;
    case InPlace::BatchNorm: return batchNormInPlace();
    case InPlace::Binary:
        if (!binaryInPlace(step))
            return false;
        break;
    case InPlace::Unary:
        if (!m_stack[0].toTensor().is_floating_point() || !ownedAlone(m_stack[0].toTensor()))
            return false;
        if (isAbsorbed(step))
            return true;
        break;
    }
    step.inPlaceKernel(m_stack);
    return true;
}

void Pass::step(const PlanStep &step)
{
    m_stack.clear();
    for (const PlanSlot &slot : step.arguments)
        m_stack.push_back(fetch(slot));
    for (std::int32_t value : step.dropped)
        m_slots[std::size_t(value)] = c10::IValue();
    if (step.tap && m_options.tap && *m_options.tap)
        applyTap(step);
    if (step.node->trainingArgument >= 0)
        setMode(step);
    if (step.inPlace == InPlace::No || !m_options.inPlace || !tryInPlace(step))
        step.node->kernel(m_stack);
    TORCH_CHECK(m_stack.size() >= step.outputs.size(), "gave ", m_stack.size(), " results, not ", step.outputs.size());
    for (std::size_t i = 0; i < step.outputs.size(); ++i)
        if (step.outputs[i] >= 0)
            m_slots[std::size_t(step.outputs[i])] = std::move(m_stack[i]);
}

void Pass::capture()
{
    LiveSet live;
    live.node = m_node;
    for (std::size_t i = 0; i < m_slots.size(); ++i)
        if (!m_slots[i].isNone())
            live.values.emplace_back(ValueId(i), m_slots[i]);
    m_options.captured->push_back(std::move(live));
}

Status Pass::run()
{
    const bool capturing = m_options.captured != nullptr;
    const std::span<const std::size_t> wanted = m_options.captureAt;
    while (m_nextCapture < wanted.size() && wanted[m_nextCapture] < m_options.begin)
        ++m_nextCapture;
    for (m_node = m_options.begin; m_node <= m_plan.steps.size(); ++m_node) {
        for (; capturing && m_nextCapture < wanted.size() && wanted[m_nextCapture] == m_node; ++m_nextCapture)
            capture();
        m_endedEarly = m_options.stopAfterCapture && capturing && m_nextCapture == wanted.size();
        if (m_node == m_plan.steps.size() || m_endedEarly)
            break;
        if (m_options.stop.stop_requested())
            return fail(ErrorKind::Cancelled, "cancelled");
        step(m_plan.steps[m_node]);
    }
    m_stack.clear();
    return {};
}

std::vector<c10::IValue> Pass::outputs()
{
    std::vector<c10::IValue> results;
    if (m_endedEarly)
        return results;
    results.reserve(m_plan.outputs.size());
    for (const PlanSlot &slot : m_plan.outputs)
        results.push_back(fetch(slot));
    return results;
}

std::int64_t bytesOf(const c10::IValue &value)
{
    if (value.isTensor())
        return value.toTensor().defined() ? std::int64_t(value.toTensor().nbytes()) : 0;
    std::int64_t total = 0;
    if (value.isList() || value.isTuple()) {
        const auto elements = value.isTuple() ? value.toTuple()->elements().vec() : value.toListRef().vec();
        for (const c10::IValue &element : elements)
            total += bytesOf(element);
    }
    return total;
}

} // namespace

std::int64_t LiveSet::bytes() const
{
    std::int64_t total = 0;
    for (const auto &[value, content] : values)
        total += bytesOf(content);
    return total;
}

struct Executor::Private {
    std::shared_ptr<const Graph> graph;
    std::vector<LayerBinding> bindings;
    Plan plan;

    [[nodiscard]] Status check(std::span<const c10::IValue> inputs, std::span<const at::Tensor> parameters,
                               const RunOptions &options) const;
};

Status Executor::Private::check(std::span<const c10::IValue> inputs, std::span<const at::Tensor> parameters,
                                const RunOptions &options) const
{
    if (!graph->obstacles.empty())
        return fail(ErrorKind::Unsupported, graph->obstacles.front());
    if (parameters.size() != graph->parameters.size())
        return fail(ErrorKind::Internal, "run, " + std::to_string(parameters.size()) + " parameters were given, not " +
                                             std::to_string(graph->parameters.size()));
    if (options.begin > graph->nodes.size() || (options.begin > 0 && !options.from))
        return fail(ErrorKind::Internal, "run, a start in the middle needs the values alive there");
    if (!options.from && inputs.size() != graph->inputs.size())
        return fail(ErrorKind::Invalid, "the network takes " + std::to_string(graph->inputs.size()) +
                                            " inputs, not " + std::to_string(inputs.size()));
    return {};
}

Executor::Executor(std::shared_ptr<const Graph> graph, std::vector<LayerBinding> bindings) : d(new Private)
{
    d->graph = std::move(graph);
    d->bindings = std::move(bindings);
    d->plan = makePlan(*d->graph, d->bindings);
}

Executor::~Executor() = default;

const Graph &Executor::graph() const { return *d->graph; }
const std::vector<LayerBinding> &Executor::bindings() const { return d->bindings; }

std::vector<at::Tensor> Executor::bind(const ParameterMap &overrides) const
{
    std::vector<at::Tensor> bound;
    bound.reserve(d->graph->parameters.size());
    for (const Parameter &parameter : d->graph->parameters) {
        const auto found = overrides.find(parameter.name);
        bound.push_back(found == overrides.end() ? parameter.tensor : found->second);
    }
    return bound;
}

Result<std::vector<c10::IValue>> Executor::run(std::span<const c10::IValue> inputs,
                                               std::span<const at::Tensor> parameters, const RunOptions &options) const
{
    BW_CHECK(d->check(inputs, parameters, options));
    const PassScope scope(options);
    Pass pass(d->plan, parameters, options);
    try {
        // With gradients off the autograd layers of the dispatcher have nothing to do but cost time.
        std::optional<at::AutoDispatchBelowADInplaceOrView> below;
        if (!c10::GradMode::is_enabled())
            below.emplace();
        pass.start(inputs, *d->graph);
        BW_CHECK(pass.run());
        return pass.outputs();
    } catch (const std::exception &e) {
        if (options.stop.stop_requested())
            return fail(ErrorKind::Cancelled, "cancelled");
        const Node *node = pass.current();
        const std::string where = node ? "node " + node->name + " (" + node->op + ")" : std::string("the outputs");
        return fail(ErrorKind::Invalid, where + " failed, " + firstLine(e.what()), e.what());
    }
}

Result<at::Tensor> Executor::runBatch(const at::Tensor &input, std::span<const at::Tensor> parameters,
                                      const RunOptions &options) const
{
    const std::int64_t fixed = d->graph->fixedBatch;
    const auto once = [&](const at::Tensor &slice) -> Result<at::Tensor> {
        const std::array<c10::IValue, 1> inputs{slice};
        BW_ASSIGN(auto outputs, run(inputs, parameters, options));
        if (outputs.empty() && options.stopAfterCapture)
            return at::Tensor();
        if (outputs.empty() || !outputs.front().isTensor())
            return fail(ErrorKind::Invalid, "the network's first output is not a tensor");
        return outputs.front().toTensor();
    };
    if (fixed <= 0 || options.begin > 0 || input.dim() == 0 || input.size(0) == fixed)
        return once(input);
    const std::int64_t samples = input.size(0);
    if (samples > fixed && (options.captured || options.from))
        return fail(ErrorKind::Internal, "live sets of a network with a fixed batch need batches of that size");
    std::vector<at::Tensor> results;
    for (std::int64_t first = 0; first < samples; first += fixed) {
        const std::int64_t count = std::min(fixed, samples - first);
        at::Tensor slice = input.narrow(0, first, count);
        if (count < fixed) {
            // The last sample again rather than zeros: statistics taken on the way stay those of real data.
            std::vector<std::int64_t> sizes = slice.sizes().vec();
            sizes[0] = fixed - count;
            slice = at::cat({slice, slice.narrow(0, count - 1, 1).expand(sizes)});
        }
        BW_ASSIGN(at::Tensor scores, once(slice));
        results.push_back(scores.dim() > 0 && scores.size(0) == fixed ? scores.narrow(0, 0, count) : scores);
    }
    return results.size() == 1 ? results.front() : at::cat(results);
}

std::size_t Executor::firstNodeOf(std::size_t binding) const
{
    const LayerBinding &layer = d->bindings[binding];
    std::size_t first = layer.nodes.empty() ? 0 : *std::ranges::min_element(layer.nodes);
    if (layer.weight == kNoValue)
        return first;
    // The weight may be read before the layer's own node (tied weights, a transposed copy).
    const auto reads = [&](const Argument &argument, const auto &self) -> bool {
        if (argument.kind == Argument::Kind::Value && argument.value == layer.weight)
            return true;
        return std::ranges::any_of(argument.list, [&](const Argument &a) { return self(a, self); });
    };
    for (std::size_t i = 0; i < first; ++i)
        if (std::ranges::any_of(d->graph->nodes[i].arguments, [&](const Argument &a) { return reads(a, reads); }))
            return i;
    return first;
}

} // namespace bitwright
