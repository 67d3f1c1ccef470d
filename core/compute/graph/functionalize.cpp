// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/functionalize.h"

#include "graph/node_builder.h"
#include "graph/operators.h"

#include <ATen/core/alias_info.h>

#include <algorithm>
#include <map>
#include <set>

namespace bitwright {

namespace {

/// How a value was made as a view of another.
struct View {
    ValueId parent = kNoValue;
    std::size_t node = 0;      ///< in the original list
    bool single = true;        ///< false for results of split, unbind and the like
};

class Functionalizer {
public:
    explicit Functionalizer(Graph &graph) : m_graph(graph) {}
    Status run();

private:
    void noteLastReads();
    void noteRead(const Argument &argument, std::size_t when);
    void rename(Argument &argument) const;
    void findAliases();
    [[nodiscard]] ValueId itself(ValueId value) const;
    [[nodiscard]] ValueId latest(ValueId value) const;
    [[nodiscard]] ValueId rootOf(ValueId value) const;
    Status mutate(Node node, std::size_t index, const c10::FunctionSchema &schema, std::size_t changed);
    Status refreshFamily(ValueId value, std::size_t index);
    Result<ValueId> writeBack(const View &view, ValueId changed);
    Result<ValueId> append(const std::string &op, std::vector<Argument> arguments, const std::string &name);

    Graph &m_graph;
    std::vector<Node> m_old;
    std::map<ValueId, ValueId> m_latest;         ///< original value → the value that holds its present state
    std::map<ValueId, ValueId> m_alias;          ///< result of an in-place operator → the value that it changed
    std::map<ValueId, View> m_views;
    std::vector<std::size_t> m_lastRead;         ///< by value; node count + 1 for outputs
};

void Functionalizer::noteRead(const Argument &argument, std::size_t when)
{
    if (argument.kind == Argument::Kind::Value && argument.value >= 0)
        m_lastRead[std::size_t(itself(argument.value))] = when;
    for (const Argument &element : argument.list)
        noteRead(element, when);
}

void Functionalizer::noteLastReads()
{
    m_lastRead.assign(m_graph.valueNames.size(), 0);
    for (std::size_t i = 0; i < m_old.size(); ++i)
        for (const Argument &argument : m_old[i].arguments)
            noteRead(argument, i);
    for (const Argument &output : m_graph.outputs)
        noteRead(output, m_old.size() + 1);
}

/// An in-place operator returns what it changed: the result's name is another name of its first argument.
void Functionalizer::findAliases()
{
    for (const Node &node : m_old) {
        const auto info = findOperator(node.op);
        const bool changes = info && info->schema && !info->schema->arguments().empty()
            && info->schema->arguments()[0].alias_info() && info->schema->arguments()[0].alias_info()->isWrite();
        if (changes && !node.outputs.empty() && node.arguments[0].kind == Argument::Kind::Value)
            m_alias[node.outputs[0]] = itself(node.arguments[0].value);
    }
}

ValueId Functionalizer::itself(ValueId value) const
{
    const auto found = m_alias.find(value);
    return found == m_alias.end() ? value : found->second;
}

ValueId Functionalizer::latest(ValueId value) const
{
    const auto found = m_latest.find(itself(value));
    return found == m_latest.end() ? itself(value) : found->second;
}

ValueId Functionalizer::rootOf(ValueId value) const
{
    for (auto found = m_views.find(value); found != m_views.end(); found = m_views.find(value))
        value = found->second.parent;
    return value;
}

void Functionalizer::rename(Argument &argument) const
{
    if (argument.kind == Argument::Kind::Value)
        argument.value = latest(argument.value);
    for (Argument &element : argument.list)
        rename(element);
}

Result<ValueId> Functionalizer::append(const std::string &op, std::vector<Argument> arguments, const std::string &name)
{
    return appendNode(m_graph, op, std::move(arguments), {}, name);
}

/// The parent's new state after one of its views became `changed`.
Result<ValueId> Functionalizer::writeBack(const View &view, ValueId changed)
{
    const Node &node = m_old[view.node];
    const std::string base = node.op.substr(0, node.op.find('.'));
    static const std::set<std::string> kReshapes{
        "aten::view", "aten::reshape", "aten::flatten", "aten::unflatten", "aten::squeeze", "aten::unsqueeze",
        "aten::view_as", "aten::reshape_as", "aten::_unsafe_view"};
    static const std::set<std::string> kSame{"aten::detach", "aten::alias", "aten::contiguous"};
    std::vector<Argument> arguments = node.arguments;
    for (Argument &argument : arguments)
        rename(argument);
    const std::string name = node.name + "_base";
    const Argument self = Argument::of(latest(view.parent)), source = Argument::of(changed);
    if (view.single && kReshapes.contains(base))
        return append("aten::reshape_as", {source, self}, name);
    if (view.single && kSame.contains(base))
        return changed;
    if (node.op == "aten::select.int")
        return append("aten::select_scatter", {self, source, arguments[1], arguments[2]}, name);
    if (node.op == "aten::slice.Tensor")
        return append("aten::slice_scatter", {self, source, arguments[1], arguments[2], arguments[3], arguments[4]}, name);
    if (node.op == "aten::transpose.int" || node.op == "aten::t") {
        arguments[0] = source;
        return append(node.op, arguments, name);
    }
    return fail(ErrorKind::Unsupported, "node " + node.name + " (" + node.op +
                                            ") is a view that is changed in place while its base is still needed");
}

/// After `value` changed: brings what it is a view of, and other views of that, up to date where they are read later.
Status Functionalizer::refreshFamily(ValueId value, std::size_t index)
{
    const ValueId root = rootOf(value);
    std::vector<ValueId> relatives;
    bool needed = root != value && m_lastRead[std::size_t(root)] > index;
    for (const auto &[view, how] : m_views)
        if (view != value && rootOf(view) == root) {
            relatives.push_back(view);
            needed = needed || m_lastRead[std::size_t(view)] > index;
        }
    if (!needed)
        return {};
    std::set<ValueId> done{value};
    for (ValueId child = value; m_views.contains(child); child = m_views.at(child).parent) {
        const ValueId parent = m_views.at(child).parent;
        BW_ASSIGN(m_latest[parent], writeBack(m_views.at(child), latest(child)));
        done.insert(parent);
    }
    std::ranges::sort(relatives, {}, [&](ValueId v) { return m_views.at(v).node; });
    std::set<std::size_t> replayed;
    for (ValueId relative : relatives) {
        const std::size_t source = m_views.at(relative).node;
        if (done.contains(relative) || !replayed.insert(source).second)
            continue;
        Node again = m_old[source];
        for (Argument &argument : again.arguments)
            rename(argument);
        for (ValueId &output : again.outputs) {
            const ValueId fresh = m_graph.addValue(m_graph.valueNames[std::size_t(output)]);
            if (!done.contains(output))
                m_latest[output] = fresh;
            output = fresh;
        }
        m_graph.nodes.push_back(std::move(again));
    }
    return {};
}

Status Functionalizer::mutate(Node node, std::size_t index, const c10::FunctionSchema &schema, std::size_t changed)
{
    const std::string base = schema.name();
    if (!base.ends_with('_') || changed != 0 || node.arguments[0].kind != Argument::Kind::Value)
        return fail(ErrorKind::Unsupported, "node " + node.name + " (" + node.op + ") writes into an argument");
    const std::string overload = schema.overload_name().empty() ? "" : "." + schema.overload_name();
    const std::string twin = base.substr(0, base.size() - 1);
    const ValueId self = itself(m_old[index].arguments[0].value);
    if (twin == "aten::requires_grad" || twin == "aten::detach") {
        // Neither changes a value; what is said about gradients of the changed tensor itself is not ours to keep.
        return {};
    }
    std::vector<ValueId> outputs = node.outputs;
    if (outputs.empty())
        outputs.push_back(m_graph.addValue(node.name));
    if (twin == "aten::copy") {
        // The functional copy has no derivative: what it does is a change of type, then of shape.
        BW_ASSIGN(const ValueId typed, append("aten::type_as", {node.arguments[1], node.arguments[0]}, node.name));
        BW_ASSIGN(Node copied, makeNode("aten::expand_as", {Argument::of(typed), node.arguments[0]}, {}, outputs, node.name));
        m_graph.nodes.push_back(std::move(copied));
    } else {
        auto functional = makeNode(twin + overload, node.arguments, {}, outputs, node.name);
        if (!functional)
            return fail(ErrorKind::Unsupported, "operator " + node.op + " works in place and has no functional twin");
        m_graph.nodes.push_back(std::move(*functional));
    }
    m_latest[self] = outputs.front();
    return refreshFamily(self, index);
}

Status Functionalizer::run()
{
    m_old = std::move(m_graph.nodes);
    m_graph.nodes.clear();
    findAliases();
    noteLastReads();
    for (std::size_t i = 0; i < m_old.size(); ++i) {
        Node node = m_old[i];
        for (Argument &argument : node.arguments)
            rename(argument);
        const auto info = findOperator(node.op);
        if (!info || !info->schema) {
            m_graph.nodes.push_back(std::move(node));
            continue;
        }
        const auto &declared = info->schema->arguments();
        const auto written = std::ranges::find_if(
            declared, [](const c10::Argument &a) { return a.alias_info() && a.alias_info()->isWrite(); });
        if (written != declared.end()) {
            BW_CHECK(mutate(std::move(node), i, *info->schema, std::size_t(written - declared.begin())));
            continue;
        }
        const bool view = !declared.empty() && declared[0].alias_info() && m_old[i].arguments[0].kind == Argument::Kind::Value;
        for (ValueId output : view ? node.outputs : std::vector<ValueId>())
            m_views[output] = {itself(m_old[i].arguments[0].value), i, node.outputs.size() == 1};
        m_graph.nodes.push_back(std::move(node));
    }
    for (Argument &output : m_graph.outputs)
        rename(output);
    return {};
}

} // namespace

Status functionalize(Graph &graph)
{
    const bool any = std::ranges::any_of(graph.nodes, [](const Node &node) {
        const auto info = findOperator(node.op);
        return info && info->schema && std::ranges::any_of(info->schema->arguments(), [](const c10::Argument &a) {
                   return a.alias_info() && a.alias_info()->isWrite();
               });
    });
    return any ? Functionalizer(graph).run() : Status{};
}

} // namespace bitwright
