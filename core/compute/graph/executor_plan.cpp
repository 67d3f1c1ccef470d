// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/executor_plan.h"

#include "graph/node_builder.h"
#include "graph/operators.h"

#include <algorithm>
#include <set>

namespace bitwright {

namespace {

/// Element by element, same shape and type out as in, and an in-place twin with the same arguments.
const std::set<std::string> kUnary{
    "aten::relu", "aten::relu6", "aten::hardtanh", "aten::clamp", "aten::clamp_min", "aten::clamp_max", "aten::sigmoid",
    "aten::tanh", "aten::silu", "aten::hardswish", "aten::hardsigmoid", "aten::leaky_relu", "aten::elu", "aten::celu",
    "aten::mish", "aten::exp", "aten::sqrt", "aten::abs", "aten::neg", "aten::add.Scalar", "aten::sub.Scalar",
    "aten::mul.Scalar", "aten::div.Scalar"};
const std::set<std::string> kBinary{"aten::add.Tensor", "aten::sub.Tensor", "aten::mul.Tensor", "aten::div.Tensor"};

class Planner {
public:
    Planner(const Graph &graph, const std::vector<LayerBinding> &bindings) : m_graph(graph), m_bindings(bindings) {}
    Plan make();

private:
    PlanSlot slot(const Argument &argument, Want want, bool topLevel);
    void planOutputs();
    void planStep(std::size_t index);
    void planInPlace(PlanStep &step);
    void planTaps();
    void planRectifiers();
    [[nodiscard]] bool isParameter(ValueId value) const { return m_parameterOf[std::size_t(value)] >= 0; }

    const Graph &m_graph;
    const std::vector<LayerBinding> &m_bindings;
    std::vector<std::int32_t> m_parameterOf;
    std::vector<bool> m_read;   ///< walking backwards: read by something later
    std::vector<std::int32_t> *m_dropped = nullptr;
    Plan m_plan;
};

/// Walking backwards, arguments last to first, the first reader met is the last one to run: it takes the value.
PlanSlot Planner::slot(const Argument &argument, Want want, bool topLevel)
{
    PlanSlot slot;
    slot.want = want;
    if (argument.kind == Argument::Kind::Constant) {
        slot.constant = argument.constant;
        return slot;
    }
    if (argument.kind == Argument::Kind::List) {
        slot.from = PlanSlot::From::List;
        slot.list.resize(argument.list.size());
        for (std::size_t i = argument.list.size(); i-- > 0;)
            slot.list[i] = this->slot(argument.list[i], Want::None, false);
        return slot;
    }
    const auto value = std::size_t(argument.value);
    if (isParameter(argument.value)) {
        slot.from = PlanSlot::From::Parameter;
        slot.index = m_parameterOf[value];
        return slot;
    }
    slot.index = argument.value;
    slot.from = PlanSlot::From::Copy;
    if (!m_read[value]) {
        m_read[value] = true;
        if (topLevel)
            slot.from = PlanSlot::From::Move;
        else if (m_dropped)
            m_dropped->push_back(argument.value);
    }
    return slot;
}

void Planner::planOutputs()
{
    m_dropped = nullptr;
    m_plan.outputs.resize(m_graph.outputs.size());
    for (std::size_t i = m_graph.outputs.size(); i-- > 0;)
        m_plan.outputs[i] = slot(m_graph.outputs[i], Want::None, false);
}

void Planner::planStep(std::size_t index)
{
    const Node &node = m_graph.nodes[index];
    PlanStep &step = m_plan.steps[index];
    step.node = &node;
    for (ValueId output : node.outputs)
        step.outputs.push_back(output >= 0 && m_read[std::size_t(output)] ? output : -1);
    m_dropped = &step.dropped;
    step.arguments.resize(node.arguments.size());
    for (std::size_t i = node.arguments.size(); i-- > 0;)
        step.arguments[i] = slot(node.arguments[i], i < node.wants.size() ? node.wants[i] : Want::None, true);
    if (node.trainingArgument >= 0) {
        step.meanArgument = argumentIndex(node, "running_mean");
        step.varianceArgument = argumentIndex(node, "running_var");
        step.statistics = step.meanArgument >= 0 && step.varianceArgument >= 0;
    }
    planInPlace(step);
}

void Planner::planInPlace(PlanStep &step)
{
    const std::string &op = step.node->op;
    const bool firstDies = !step.arguments.empty() && step.arguments[0].from == PlanSlot::From::Move;
    const bool secondDies = step.arguments.size() > 1 && step.arguments[1].from == PlanSlot::From::Move;
    std::string twin = op;
    if (kUnary.contains(op) && firstDies) {
        step.inPlace = InPlace::Unary;
    } else if (kBinary.contains(op) && (firstDies || (secondDies && op != "aten::sub.Tensor" && op != "aten::div.Tensor"))) {
        step.inPlace = InPlace::Binary;
    } else if (op == "aten::batch_norm" && firstDies) {
        step.inPlace = InPlace::BatchNorm;
        return;
    } else {
        return;
    }
    const auto dot = twin.find('.');
    twin.insert(dot == std::string::npos ? twin.size() : dot, "_");
    if (auto info = findOperator(twin))
        step.inPlaceKernel = std::move(info->kernel);
    else
        step.inPlace = InPlace::No;
}

void Planner::planTaps()
{
    for (std::size_t b = 0; b < m_bindings.size(); ++b)
        for (std::size_t call = 0; call < m_bindings[b].nodes.size(); ++call) {
            const std::size_t node = m_bindings[b].nodes[call];
            const int argument = m_bindings[b].inputArgument;
            const bool valid = node < m_plan.steps.size() && argument >= 0
                && std::size_t(argument) < m_plan.steps[node].arguments.size();
            if (valid)
                m_plan.steps[node].tap = PlanTap{std::int32_t(b), std::int32_t(call), argument};
        }
}

/// ReLUs whose result goes into one tapped argument and nowhere else.
void Planner::planRectifiers()
{
    std::vector<int> reads(m_plan.values, 0);
    std::vector<std::int32_t> tappedBy(m_plan.values, -1);
    const auto count = [&](const PlanSlot &slot, const auto &self) -> void {
        if (slot.from == PlanSlot::From::Copy || slot.from == PlanSlot::From::Move)
            ++reads[std::size_t(slot.index)];
        for (const PlanSlot &element : slot.list)
            self(element, self);
    };
    for (std::size_t i = 0; i < m_plan.steps.size(); ++i) {
        const PlanStep &step = m_plan.steps[i];
        for (const PlanSlot &argument : step.arguments)
            count(argument, count);
        if (step.tap && step.arguments[std::size_t(step.tap->argument)].from == PlanSlot::From::Move)
            tappedBy[std::size_t(step.arguments[std::size_t(step.tap->argument)].index)] = std::int32_t(i);
    }
    for (const PlanSlot &output : m_plan.outputs)
        count(output, count);
    for (PlanStep &step : m_plan.steps) {
        const std::int32_t result = step.node->op == "aten::relu" && step.inPlace == InPlace::Unary ? step.outputs[0] : -1;
        if (result >= 0 && reads[std::size_t(result)] == 1)
            step.onlyReader = tappedBy[std::size_t(result)];
    }
}

Plan Planner::make()
{
    m_plan.values = m_graph.valueNames.size();
    m_parameterOf.assign(m_plan.values, -1);
    for (std::size_t i = 0; i < m_graph.parameters.size(); ++i)
        if (m_graph.parameters[i].value >= 0)
            m_parameterOf[std::size_t(m_graph.parameters[i].value)] = std::int32_t(i);
    m_read.assign(m_plan.values, false);
    m_plan.steps.resize(m_graph.nodes.size());
    planOutputs();
    for (std::size_t i = m_graph.nodes.size(); i-- > 0;)
        planStep(i);
    for (const GraphInput &input : m_graph.inputs)
        m_plan.inputRead.push_back(input.value >= 0 && m_read[std::size_t(input.value)]);
    planTaps();
    planRectifiers();
    return std::move(m_plan);
}

} // namespace

Plan makePlan(const Graph &graph, const std::vector<LayerBinding> &bindings)
{
    return Planner(graph, bindings).make();
}

} // namespace bitwright
