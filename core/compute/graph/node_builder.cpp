// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/node_builder.h"

#include "graph/operators.h"
#include "graph/subgraph.h"
#include "tensor/guarded.h"

#include <algorithm>
#include <set>

namespace bitwright {

namespace {

Status wrongArgument(const std::string &op, const std::string &argument, const std::string &why)
{
    return fail(ErrorKind::Invalid, "operator " + op + ", argument " + argument + ": " + why);
}

/// Converts a constant or the shape of a list to what the schema says; a list of constants becomes a constant.
Status convertArgument(Argument &argument, const c10::Argument &declared, Want want)
{
    const bool listWanted = want >= Want::IntList;
    if (argument.kind == Argument::Kind::List) {
        const bool constant = std::ranges::all_of(
            argument.list, [](const Argument &a) { return a.kind == Argument::Kind::Constant; });
        if (!constant)
            return {};
        std::vector<c10::IValue> elements;
        for (const Argument &element : argument.list)
            elements.push_back(element.constant);
        argument = Argument::of(makeList(std::move(elements), listWanted ? want : Want::List));
        return {};
    }
    if (argument.kind == Argument::Kind::Value || argument.constant.isNone())
        return {};
    const bool single = listWanted && !argument.constant.isList() && !argument.constant.isTuple();
    if (single && want == Want::IntList && declared.N()) {
        std::vector<c10::IValue> copies(std::size_t(*declared.N()), argument.constant);
        argument.constant = makeList(std::move(copies), want);
        return {};
    }
    if (want == Want::None && declared.type()->kind() == c10::TypeKind::DeviceObjType && argument.constant.isString())
        argument.constant = c10::Device(argument.constant.toStringRef());
    convertValue(argument.constant, want);
    return {};
}

Status completeGlue(Node &node, const OperatorInfo &info)
{
    const std::string name = node.op.substr(6);
    node.kernel = name.ends_with("Unpack") ? *findGlue(name, node.outputs.size()) : info.kernel;
    node.wants.assign(node.arguments.size(), Want::None);
    node.trainingArgument = -1;
    return {};
}

int findTrainingArgument(const Node &node, const c10::FunctionSchema &schema)
{
    static const std::set<std::string> kNames{"training", "train", "use_input_stats"};
    for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
        if (!kNames.contains(schema.arguments()[i].name()) || node.wants[i] != Want::Bool)
            continue;
        // Without running statistics a normalization always uses those of the batch.
        const int mean = argumentIndex(node, "running_mean");
        if (mean >= 0 && node.arguments[std::size_t(mean)].kind == Argument::Kind::Constant)
            return -1;
        return int(i);
    }
    return -1;
}

/// Puts positional and keyword arguments in schema order and fills the defaults.
Result<std::vector<Argument>> orderArguments(const std::string &op, const c10::FunctionSchema &schema,
                                             std::vector<Argument> positional, const Keywords &keywords)
{
    const auto &declared = schema.arguments();
    if (positional.size() > declared.size())
        return fail(ErrorKind::Invalid, "operator " + op + " takes " + std::to_string(declared.size()) +
                                            " arguments, not " + std::to_string(positional.size()));
    std::vector<Argument> ordered = std::move(positional);
    std::vector<bool> given(declared.size(), false);
    std::fill_n(given.begin(), ordered.size(), true);
    ordered.resize(declared.size());
    for (const auto &[name, value] : keywords) {
        const auto found = std::ranges::find_if(declared, [&](const auto &a) { return a.name() == name; });
        if (found == declared.end())
            return fail(ErrorKind::Invalid, "operator " + op + " has no argument " + name);
        const std::size_t index = std::size_t(found - declared.begin());
        ordered[index] = value;
        given[index] = true;
    }
    for (std::size_t i = 0; i < declared.size(); ++i) {
        if (given[i])
            continue;
        if (declared[i].default_value())
            ordered[i] = Argument::of(*declared[i].default_value());
        else if (declared[i].type()->kind() != c10::TypeKind::OptionalType)
            return std::unexpected(wrongArgument(op, declared[i].name(), "missing").error());
    }
    return ordered;
}

} // namespace

bool knownOperator(const std::string &qualifiedOp)
{
    return findOperator(qualifiedOp).has_value();
}

Status resolveNode(Node &node)
{
    if (!bodiesOf(node).empty())
        return {};
    const auto info = findOperator(node.op);
    if (!info)
        return fail(ErrorKind::Unsupported, "operator " + node.op + " is unknown to this LibTorch");
    if (!info->schema)
        return completeGlue(node, *info);
    const auto &declared = info->schema->arguments();
    if (node.arguments.size() != declared.size())
        return fail(ErrorKind::Invalid, "operator " + node.op + " takes " + std::to_string(declared.size()) +
                                            " arguments, not " + std::to_string(node.arguments.size()));
    node.kernel = info->kernel;
    node.wants.resize(declared.size());
    for (std::size_t i = 0; i < declared.size(); ++i) {
        node.wants[i] = wantOf(*declared[i].type());
        auto status = guarded("operator " + node.op + ", argument " + declared[i].name(), ErrorKind::Invalid,
                              [&] { return convertArgument(node.arguments[i], declared[i], node.wants[i]); });
        BW_CHECK(std::move(status));
    }
    node.trainingArgument = findTrainingArgument(node, *info->schema);
    return {};
}

Result<Node> makeNode(const std::string &qualifiedOp, std::vector<Argument> positional, const Keywords &keywords,
                      std::vector<ValueId> outputs, std::string name)
{
    Node node;
    node.op = qualifiedOp.ends_with(".default") ? qualifiedOp.substr(0, qualifiedOp.size() - 8) : qualifiedOp;
    node.outputs = std::move(outputs);
    node.name = std::move(name);
    const auto info = findOperator(node.op);
    if (info && info->schema) {
        BW_ASSIGN(node.arguments, orderArguments(node.op, *info->schema, std::move(positional), keywords));
    } else if (!keywords.empty() && info) {
        return fail(ErrorKind::Invalid, "operator " + node.op + " takes no keywords");
    } else {
        node.arguments = std::move(positional);
    }
    BW_CHECK(resolveNode(node));
    return node;
}

Result<ValueId> appendNode(Graph &graph, const std::string &qualifiedOp, std::vector<Argument> positional,
                           const Keywords &keywords, const std::string &name)
{
    BW_ASSIGN(Node node, makeNode(qualifiedOp, std::move(positional), keywords, {}, name));
    const ValueId value = graph.addValue(name);
    node.outputs = {value};
    graph.nodes.push_back(std::move(node));
    return value;
}

std::vector<std::string> argumentNames(const std::string &qualifiedOp)
{
    std::vector<std::string> names;
    const auto info = findOperator(qualifiedOp);
    if (info && info->schema)
        for (const c10::Argument &argument : info->schema->arguments())
            names.push_back(argument.name());
    return names;
}

int argumentIndex(const Node &node, const std::string &argument)
{
    const std::vector<std::string> names = argumentNames(node.op);
    const auto found = std::ranges::find(names, argument);
    return found == names.end() ? -1 : int(found - names.begin());
}

namespace {

void replaceIn(Argument &argument, ValueId from, const Argument &to)
{
    if (argument.kind == Argument::Kind::Value && argument.value == from) {
        argument = to;
        return;
    }
    for (Argument &element : argument.list)
        replaceIn(element, from, to);
}

void markRead(const Argument &argument, std::vector<bool> &read)
{
    if (argument.kind == Argument::Kind::Value && argument.value >= 0)
        read[std::size_t(argument.value)] = true;
    for (const Argument &element : argument.list)
        markRead(element, read);
}

} // namespace

void replaceValue(Graph &graph, ValueId from, const Argument &to)
{
    for (Node &node : graph.nodes)
        for (Argument &argument : node.arguments)
            replaceIn(argument, from, to);
    for (Argument &output : graph.outputs)
        replaceIn(output, from, to);
}

void dropDeadNodes(Graph &graph, bool parametersToo)
{
    std::vector<bool> read(graph.valueNames.size(), false), keep(graph.nodes.size(), false);
    for (const Argument &output : graph.outputs)
        markRead(output, read);
    for (std::size_t i = graph.nodes.size(); i-- > 0;) {
        const Node &node = graph.nodes[i];
        keep[i] = std::ranges::any_of(node.outputs, [&](ValueId v) { return v >= 0 && read[std::size_t(v)]; });
        if (keep[i])
            for (const Argument &argument : node.arguments)
                markRead(argument, read);
    }
    std::size_t next = 0;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i)
        if (keep[i]) {
            if (next != i)
                graph.nodes[next] = std::move(graph.nodes[i]);
            ++next;
        }
    graph.nodes.resize(next);
    if (parametersToo)
        std::erase_if(graph.parameters, [&](const Parameter &p) { return !read[std::size_t(p.value)]; });
}

} // namespace bitwright
