// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/subgraph.h"

#include "graph/operators.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>

namespace bitwright {

namespace {

using Stack = torch::jit::Stack;

/// Trips of a loop that says itself how many: more than any network means.
constexpr std::int64_t kMostCountedTrips = 10'000'000;

thread_local const RunOptions *t_running = nullptr;

struct IfKernel {
    std::shared_ptr<const Subgraph> then, otherwise;
    void operator()(Stack &stack) const;
};

struct LoopKernel {
    std::shared_ptr<const Subgraph> body;
    std::size_t carried = 0;
    void operator()(Stack &stack) const;

private:
    static std::int64_t limitOf(const c10::IValue &trips);
};

void IfKernel::operator()(Stack &stack) const
{
    const Stack given = std::exchange(stack, {});
    c10::IValue condition = given.front();
    convertValue(condition, Want::Bool);
    stack = (condition.toBool() ? then : otherwise)->run(std::span(given).subspan(1));
}

std::int64_t LoopKernel::limitOf(const c10::IValue &trips)
{
    // TorchScript writes `while` as a loop of the largest number of trips.
    if (trips.isNone() || trips.toInt() >= std::numeric_limits<std::int32_t>::max())
        return kMostTrips;
    TORCH_CHECK(trips.toInt() <= kMostCountedTrips, "a loop of ", trips.toInt(), " trips is more than the ", kMostCountedTrips,
                " that are run");
    return trips.toInt();
}

void LoopKernel::operator()(Stack &stack) const
{
    Stack given = std::exchange(stack, {});
    const std::int64_t limit = limitOf(given[0]);
    const bool openEnded = given[0].isNone() || given[0].toInt() > limit;
    c10::IValue going = given[1].isNone() ? c10::IValue(true) : given[1];
    convertValue(going, Want::Bool);
    // Trip number and condition, then the carried and the captured values stay where they are.
    const std::size_t scanCount = body->graph()->outputs.size() - 1 - carried;
    std::vector<std::vector<at::Tensor>> scans(scanCount);
    for (std::int64_t trip = 0; going.toBool(); ++trip) {
        if (trip == limit) {
            TORCH_CHECK(!openEnded, "a loop does not end after ", limit, " trips");
            break;
        }
        if (t_running && t_running->stop.stop_requested())
            throw std::runtime_error("cancelled");
        given[0] = trip;
        given[1] = going;
        std::vector<c10::IValue> results = body->run(given);
        going = std::move(results[0]);
        convertValue(going, Want::Bool);
        std::move(results.begin() + 1, results.begin() + 1 + std::ptrdiff_t(carried), given.begin() + 2);
        for (std::size_t i = 0; i < scanCount; ++i)
            scans[i].push_back(results[1 + carried + i].toTensor());
    }
    stack.assign(std::make_move_iterator(given.begin() + 2), std::make_move_iterator(given.begin() + 2 + std::ptrdiff_t(carried)));
    for (const std::vector<at::Tensor> &scan : scans)
        stack.emplace_back(scan.empty() ? at::empty({0}) : at::stack(scan));
}

void eachValue(const Argument &argument, const auto &visit)
{
    if (argument.kind == Argument::Kind::Value && argument.value >= 0)
        visit(argument.value);
    for (const Argument &element : argument.list)
        eachValue(element, visit);
}

void renumber(Argument &argument, const std::map<ValueId, ValueId> &ids)
{
    if (argument.kind == Argument::Kind::Value && argument.value >= 0)
        argument.value = ids.at(argument.value);
    for (Argument &element : argument.list)
        renumber(element, ids);
}

Status wrongNumber(const std::string &name, const std::string &what)
{
    return fail(ErrorKind::Invalid, "node " + name + ", " + what);
}

} // namespace

PassScope::PassScope(const RunOptions &options) : m_outer(std::exchange(t_running, &options)) {}

PassScope::~PassScope()
{
    t_running = m_outer;
}

Subgraph::Subgraph(std::shared_ptr<const Graph> graph)
    : m_graph(std::move(graph)), m_executor(m_graph), m_parameters(m_executor.bind())
{
}

std::vector<c10::IValue> Subgraph::run(std::span<const c10::IValue> inputs) const
{
    RunOptions options;
    if (t_running) {
        options.training = t_running->training;
        options.dropout = t_running->dropout;
        options.mutateBuffers = t_running->mutateBuffers;
        options.stop = t_running->stop;
        options.inPlace = t_running->inPlace;
    }
    auto results = m_executor.run(inputs, m_parameters, options);
    if (!results)
        throw std::runtime_error(results.error().message);
    return std::move(*results);
}

std::vector<c10::IValue> runBody(std::shared_ptr<const Graph> body, std::span<const c10::IValue> inputs)
{
    return Subgraph(std::move(body)).run(inputs);
}

Result<Node> makeIf(std::string name, Argument condition, std::shared_ptr<const Graph> then,
                    std::shared_ptr<const Graph> otherwise, std::vector<Argument> inputs, std::vector<ValueId> outputs)
{
    for (const auto &body : {then, otherwise}) {
        if (body->inputs.size() != inputs.size())
            BW_CHECK(wrongNumber(name, "a branch has " + std::to_string(body->inputs.size()) + " inputs, not " +
                                           std::to_string(inputs.size())));
        if (body->outputs.size() != outputs.size())
            BW_CHECK(wrongNumber(name, "a branch has " + std::to_string(body->outputs.size()) + " results, not " +
                                           std::to_string(outputs.size())));
    }
    Node node;
    node.op = "prim::If";
    node.name = std::move(name);
    node.arguments.push_back(std::move(condition));
    std::ranges::move(inputs, std::back_inserter(node.arguments));
    node.outputs = std::move(outputs);
    node.wants.assign(node.arguments.size(), Want::None);
    node.wants[0] = Want::Bool;
    node.kernel = IfKernel{std::make_shared<Subgraph>(std::move(then)), std::make_shared<Subgraph>(std::move(otherwise))};
    return node;
}

Result<Node> makeLoop(std::string name, LoopParts parts, std::vector<ValueId> outputs)
{
    const std::size_t carried = parts.carried.size(), wanted = 2 + carried + parts.captured.size();
    if (parts.body->inputs.size() != wanted)
        BW_CHECK(wrongNumber(name, "its body has " + std::to_string(parts.body->inputs.size()) + " inputs, not " +
                                       std::to_string(wanted)));
    if (parts.body->outputs.size() < 1 + carried || parts.body->outputs.size() != 1 + outputs.size())
        BW_CHECK(wrongNumber(name, "its body has " + std::to_string(parts.body->outputs.size()) + " results, not " +
                                       std::to_string(1 + outputs.size())));
    Node node;
    node.op = "prim::Loop";
    node.name = std::move(name);
    node.arguments = {std::move(parts.trips), std::move(parts.condition)};
    std::ranges::move(parts.carried, std::back_inserter(node.arguments));
    std::ranges::move(parts.captured, std::back_inserter(node.arguments));
    node.outputs = std::move(outputs);
    node.wants.assign(node.arguments.size(), Want::None);
    node.wants[0] = Want::Int;
    node.wants[1] = Want::Bool;
    node.kernel = LoopKernel{std::make_shared<Subgraph>(std::move(parts.body)), carried};
    return node;
}

std::shared_ptr<const Graph> raisingBody(const std::string &text, std::size_t inputs, std::size_t outputs)
{
    auto body = std::make_shared<Graph>();
    for (std::size_t i = 0; i < inputs; ++i) {
        GraphInput input;
        input.value = body->addValue("input_" + std::to_string(i));
        body->inputs.push_back(std::move(input));
    }
    Node node;
    node.op = "prim::RaiseException";
    node.name = "raise";
    node.kernel = [text](Stack &) { throw std::runtime_error(text); };
    for (std::size_t i = 0; i < outputs; ++i) {
        node.outputs.push_back(body->addValue("output_" + std::to_string(i)));
        body->outputs.push_back(Argument::of(node.outputs.back()));
        body->outputNames.push_back(body->valueNames.back());
    }
    body->nodes.push_back(std::move(node));
    return body;
}

std::vector<std::shared_ptr<const Graph>> bodiesOf(const Node &node)
{
    if (const auto *branches = node.kernel.target<IfKernel>())
        return {branches->then->graph(), branches->otherwise->graph()};
    if (const auto *loop = node.kernel.target<LoopKernel>())
        return {loop->body->graph()};
    return {};
}

std::vector<ValueId> freeValues(const BodyParts &parts, std::vector<ValueId> before)
{
    std::set<ValueId> known(before.begin(), before.end());
    std::set<ValueId> made(parts.inputs.begin(), parts.inputs.end());
    const auto note = [&](ValueId value) {
        if (!made.contains(value) && known.insert(value).second)
            before.push_back(value);
    };
    for (const Node &node : parts.nodes) {
        for (const Argument &argument : node.arguments)
            eachValue(argument, note);
        made.insert(node.outputs.begin(), node.outputs.end());
    }
    for (const Argument &output : parts.outputs)
        eachValue(output, note);
    return before;
}

Graph cutBody(const Graph &outer, BodyParts parts, const std::vector<ValueId> &captured)
{
    Graph body;
    body.format = outer.format;
    std::map<ValueId, ValueId> ids{{kNoValue, kNoValue}};
    const auto add = [&](ValueId value) {
        return ids[value] = body.addValue(outer.valueNames[std::size_t(value)]);
    };
    for (const std::vector<ValueId> *list : {&std::as_const(parts.inputs), &captured})
        for (const ValueId value : *list) {
            GraphInput input;
            input.value = add(value);
            input.info.name = body.valueNames.back();
            body.inputs.push_back(std::move(input));
        }
    for (Node &node : parts.nodes) {
        for (Argument &argument : node.arguments)
            renumber(argument, ids);
        for (ValueId &output : node.outputs)
            output = output == kNoValue ? kNoValue : add(output);
        body.nodes.push_back(std::move(node));
    }
    for (Argument &output : parts.outputs) {
        renumber(output, ids);
        body.outputs.push_back(std::move(output));
        body.outputNames.push_back("out" + std::to_string(body.outputNames.size()));
    }
    return body;
}

std::vector<Argument> argumentsOf(const std::vector<ValueId> &values)
{
    std::vector<Argument> arguments;
    for (const ValueId value : values)
        arguments.push_back(Argument::of(value));
    return arguments;
}

} // namespace bitwright
