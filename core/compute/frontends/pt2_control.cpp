// SPDX-License-Identifier: GPL-3.0-or-later
// Operators of torch.export that hold graphs: cond, while_loop and wrappers that only set a mode.
#include "frontends/pt2_reader.h"

#include <algorithm>
#include <map>

namespace bitwright {

using nlohmann::json;

namespace {

constexpr int kDeepest = 64;

const std::string kHigherOrder = "torch.ops.higher_order.";

/// cond → …; the graph of a wrapper runs where it stands.
enum class Control { None, Cond, While, Inlined };

Control controlOf(const std::string &target)
{
    static const std::map<std::string, Control> kControls{{"cond", Control::Cond},
                                                           {"while_loop", Control::While},
                                                           {"wrap_with_set_grad_enabled", Control::Inlined},
                                                           {"wrap_with_autocast", Control::Inlined},
                                                           {"invoke_subgraph", Control::Inlined}};
    if (!target.starts_with(kHigherOrder))
        return Control::None;
    const auto found = kControls.find(target.substr(kHigherOrder.size()));
    return found == kControls.end() ? Control::None : found->second;
}

/// "model.py line 12" out of a node's stack trace: the innermost frame of the network's own code.
std::string placeOf(const json &node)
{
    const std::string trace = pt2Text(pt2Member(pt2Member(node, "metadata"), "stack_trace"));
    const std::string mark = "File \"";
    for (auto at = trace.rfind(mark); at != std::string::npos; at = at == 0 ? std::string::npos : trace.rfind(mark, at - 1)) {
        const auto from = at + mark.size(), to = trace.find('"', from), comma = trace.find(", line ", from);
        if (to == std::string::npos || comma != to + 1)
            continue;
        const std::string file = trace.substr(from, to - from);
        if (file.starts_with('<') || file.find("torch/") != std::string::npos)
            continue;
        const auto number = comma + 7;
        return file.substr(file.find_last_of("/\\") + 1) + " line " + trace.substr(number, trace.find_first_not_of("0123456789", number) - number);
    }
    return {};
}

void findUnknown(const json &nodes, std::map<std::string, std::string> &unknown, bool &control, int depth)
{
    for (const json &node : nodes) {
        const std::string target = pt2Text(pt2Member(node, "target"));
        for (const json &input : pt2Member(node, "inputs"))
            if (const json &graph = pt2Member(pt2Member(pt2Member(input, "arg"), "as_graph"), "graph"); graph.is_object() && depth < kDeepest)
                findUnknown(pt2Member(graph, "nodes"), unknown, control, depth + 1);
        const std::string op = pt2Operator(target);
        if (controlOf(target) != Control::None || (!op.empty() && knownOperator(op)))
            continue;
        std::string shown = target.starts_with("torch.ops.") ? target.substr(10) : target;
        if (shown.ends_with(".default"))
            shown.resize(shown.size() - 8);
        unknown.emplace(std::move(shown), placeOf(node));
        control = control || target.starts_with(kHigherOrder);
    }
}

void nameLeaves(const json &spec, const std::string &name, bool counted, std::vector<std::string> &names, int depth)
{
    const json &type = pt2Member(spec, "type"), &children = pt2Member(spec, "children_spec");
    if (!type.is_string() || !children.is_array() || depth > kDeepest) {
        names.push_back(name);
        return;
    }
    const json keys = json::parse(pt2Text(pt2Member(spec, "context")), nullptr, false);
    const bool keyed = keys.is_array() && keys.size() == children.size();
    for (std::size_t i = 0; i < children.size(); ++i) {
        std::string part = keyed ? (keys[i].is_string() ? keys[i].get<std::string>() : keys[i].dump()) : std::to_string(i);
        if (!keyed && !counted)
            part.clear();
        nameLeaves(children[i], name.empty() || part.empty() ? name + part : name + "." + part, counted || keyed, names, depth + 1);
    }
}

/// The names of a node's results, lists opened.
std::vector<std::string> resultNames(const json &node)
{
    std::vector<std::string> names;
    for (const json &output : pt2Member(node, "outputs")) {
        if (const json &list = pt2Member(output, "as_tensors"); list.is_array()) {
            for (const json &element : list)
                names.push_back(pt2Text(pt2Member(element, "name")));
        } else if (const json &tensor = pt2Member(output, "as_tensor"); tensor.is_object()) {
            names.push_back(pt2Text(pt2Member(tensor, "name")));
        } else {
            const bool named = output.is_object() && output.size() == 1 && output.begin()->is_object();
            names.push_back(named ? pt2Text(pt2Member(*output.begin(), "as_name")) : std::string());
        }
    }
    return names;
}

std::string nameOf(const json &node)
{
    const std::string name = pt2Text(pt2Member(node, "name"));
    const std::vector<std::string> results = resultNames(node);
    return name.empty() && !results.empty() ? results.front() : name;
}

std::vector<Argument> flattened(const std::vector<Argument> &arguments)
{
    std::vector<Argument> flat;
    for (const Argument &argument : arguments) {
        if (argument.kind == Argument::Kind::List)
            flat.insert(flat.end(), argument.list.begin(), argument.list.end());
        else
            flat.push_back(argument);
    }
    return flat;
}

std::vector<Argument> joined(std::vector<Argument> first, const std::vector<Argument> &second)
{
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

} // namespace

bool isPt2Control(const std::string &target)
{
    return controlOf(target) != Control::None;
}

std::vector<std::string> pt2LeafNames(const std::string &spec)
{
    std::vector<std::string> names;
    const json parsed = json::parse(spec, nullptr, false);
    if (parsed.is_array() && parsed.size() == 2)
        nameLeaves(parsed[1], {}, false, names, 0);
    return names;
}

Status checkPt2Operators(const json &nodes)
{
    std::map<std::string, std::string> unknown;
    bool control = false;
    findUnknown(nodes, unknown, control, 0);
    if (unknown.empty())
        return {};
    std::string list;
    for (const auto &[name, place] : unknown)
        list += (list.empty() ? "" : ", ") + name + (place.empty() ? "" : " (" + place + ")");
    return fail(ErrorKind::Unsupported,
                "uses operators that cannot be run here: " + list
                    + (control ? "; export the network without these, with torch.cond or while_loop where data decides"
                               : "; export it with these written in PyTorch's own operators"));
}

/// The arguments of an operator that holds graphs.
struct Pt2Reader::Called {
    std::vector<const json *> graphs;
    std::vector<Argument> before, after;   ///< of the first graph
};

Result<Pt2Reader::Called> Pt2Reader::readCall(const json &node) const
{
    Called called;
    for (const json &input : pt2Member(node, "inputs")) {
        const json &value = pt2Member(input, "arg");
        if (const json &graph = pt2Member(pt2Member(value, "as_graph"), "graph"); graph.is_object()) {
            called.graphs.push_back(&graph);
            continue;
        }
        BW_ASSIGN(Argument read, argument(value));
        (called.graphs.empty() ? called.before : called.after).push_back(std::move(read));
    }
    return called;
}

Status Pt2Reader::readControl(const json &node)
{
    if (m_depth > kDeepest)
        return fail(ErrorKind::Unsupported, "graphs inside of graphs are nested too deeply");
    BW_ASSIGN(const Called called, readCall(node));
    const Control control = controlOf(pt2Text(pt2Member(node, "target")));
    if (called.graphs.size() != (control == Control::Inlined ? 1U : 2U))
        return fail(ErrorKind::Parse, "an operator that holds graphs has " + std::to_string(called.graphs.size()));
    if (control == Control::Cond)
        return readCond(node, called);
    return control == Control::While ? readWhile(node, called) : readInlined(node, called);
}

/// A graph inside of an operator, its inputs bound to these values. Its nodes have ids of the graph around it.
Result<BodyParts> Pt2Reader::readBlock(const json &graph, const std::vector<Argument> &inputs)
{
    const json &declared = pt2Member(graph, "inputs"), &nodes = pt2Member(graph, "nodes"), &outputs = pt2Member(graph, "outputs");
    if (!declared.is_array() || !nodes.is_array() || !outputs.is_array() || declared.size() != inputs.size())
        return fail(ErrorKind::Parse, "a graph inside of an operator does not have the inputs that it is given");
    auto outerNodes = std::exchange(m_graph.nodes, {});
    auto outerValues = std::exchange(m_values, {});
    ++m_depth;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const json &tensor = pt2Member(declared[i], "as_tensor");
        std::string name = pt2Text(pt2Member(tensor, "name"));
        if (name.empty() && declared[i].is_object() && declared[i].size() == 1)
            name = pt2Text(pt2Member(*declared[i].begin(), "as_name"));
        m_values[name] = inputs[i];
    }
    for (const json &node : nodes) {
        const Status status = readNode(node);
        if (!status)
            return fail(status.error().kind, "node " + nameOf(node) + ", " + status.error().message);
    }
    BodyParts parts;
    for (const json &output : outputs) {
        BW_ASSIGN(Argument result, argument(output));
        parts.outputs.push_back(std::move(result));
    }
    parts.nodes = std::exchange(m_graph.nodes, std::move(outerNodes));
    m_values = std::move(outerValues);
    --m_depth;
    return parts;
}

Result<std::shared_ptr<Graph>> Pt2Reader::cut(BodyParts parts, const std::vector<ValueId> &captured) const
{
    auto body = std::make_shared<Graph>(cutBody(m_graph, std::move(parts), captured));
    BW_CHECK(normalize(*body));
    return body;
}

Status Pt2Reader::readCond(const json &node, const Called &called)
{
    if (called.before.size() != 1)
        return fail(ErrorKind::Parse, "a cond without a condition");
    const std::vector<Argument> operands = flattened(called.after);
    BW_ASSIGN(BodyParts yes, readBlock(*called.graphs[0], operands));
    BW_ASSIGN(BodyParts no, readBlock(*called.graphs[1], operands));
    const std::vector<ValueId> captured = freeValues(no, freeValues(yes));
    BW_ASSIGN(const std::shared_ptr<Graph> then, cut(std::move(yes), captured));
    BW_ASSIGN(const std::shared_ptr<Graph> otherwise, cut(std::move(no), captured));
    std::vector<ValueId> outputs;
    for (const std::string &name : resultNames(node))
        outputs.push_back(name.empty() ? kNoValue : define(name));
    BW_ASSIGN(Node made, makeIf(nameOf(node), called.before[0], then, otherwise, argumentsOf(captured), std::move(outputs)));
    m_graph.nodes.push_back(std::move(made));
    return {};
}

Status Pt2Reader::readWhile(const json &node, const Called &called)
{
    if (called.after.empty() || called.after.size() > 2)
        return fail(ErrorKind::Parse, "a while_loop without values that go round");
    const std::vector<Argument> carried = flattened({called.after[0]});
    const std::vector<Argument> more = called.after.size() > 1 ? flattened({called.after[1]}) : std::vector<Argument>();
    // The condition stands before the loop once, and again at the end of the body.
    BW_ASSIGN(BodyParts first, readBlock(*called.graphs[0], joined(carried, more)));
    if (first.outputs.size() != 1)
        return fail(ErrorKind::Parse, "the condition of a while_loop has " + std::to_string(first.outputs.size()) + " results");
    std::ranges::move(first.nodes, std::back_inserter(m_graph.nodes));
    BodyParts body;
    body.inputs = {m_graph.addValue("trip"), m_graph.addValue("condition")};
    for (std::size_t i = 0; i < carried.size(); ++i)
        body.inputs.push_back(m_graph.addValue("carried_" + std::to_string(i)));
    const std::vector<Argument> inside = argumentsOf({body.inputs.begin() + 2, body.inputs.end()});
    BW_ASSIGN(BodyParts step, readBlock(*called.graphs[1], joined(inside, more)));
    if (step.outputs.size() != carried.size())
        return fail(ErrorKind::Parse, "the body of a while_loop has " + std::to_string(step.outputs.size()) + " results");
    BW_ASSIGN(BodyParts again, readBlock(*called.graphs[0], joined(step.outputs, more)));
    body.nodes = std::move(step.nodes);
    std::ranges::move(again.nodes, std::back_inserter(body.nodes));
    body.outputs = joined(again.outputs, step.outputs);
    const std::vector<ValueId> captured = freeValues(body);
    LoopParts loop;
    loop.condition = first.outputs[0];
    loop.carried = carried;
    loop.captured = argumentsOf(captured);
    BW_ASSIGN(loop.body, cut(std::move(body), captured));
    std::vector<ValueId> outputs;
    for (const std::string &name : resultNames(node))
        outputs.push_back(name.empty() ? kNoValue : define(name));
    BW_ASSIGN(Node made, makeLoop(nameOf(node), std::move(loop), std::move(outputs)));
    m_graph.nodes.push_back(std::move(made));
    return {};
}

Status Pt2Reader::readInlined(const json &node, const Called &called)
{
    const std::string target = pt2Text(pt2Member(node, "target"));
    if (target.ends_with("autocast")) {
        const bool off = called.before.size() > 2 && called.before[2].constant.isBool() && !called.before[2].constant.toBool();
        if (!off)
            return fail(ErrorKind::Unsupported, "autocast changes the types of operators; export the network without torch.autocast");
    }
    std::vector<Argument> operands = flattened(called.after);
    if (!operands.empty() && operands[0].kind == Argument::Kind::Constant && operands[0].constant.isString())
        operands.erase(operands.begin());   // the name of an invoked graph
    BW_ASSIGN(BodyParts parts, readBlock(*called.graphs[0], operands));
    std::ranges::move(parts.nodes, std::back_inserter(m_graph.nodes));
    const std::vector<std::string> names = resultNames(node);
    if (names.size() != parts.outputs.size())
        return fail(ErrorKind::Parse, "a graph inside of an operator has " + std::to_string(parts.outputs.size()) + " results");
    for (std::size_t i = 0; i < names.size(); ++i)
        m_values[names[i]] = parts.outputs[i];
    return {};
}

} // namespace bitwright
