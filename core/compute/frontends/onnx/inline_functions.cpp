// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/inline_functions.h"

#include <algorithm>
#include <map>

namespace bitwright {

namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxNodes = 1'000'000;
constexpr std::size_t kMaxWork = std::size_t(1) << 28;   ///< bytes copied and names looked at

using Renaming = std::map<std::string, std::string>;

class Inliner {
public:
    explicit Inliner(const std::vector<onnx::Function> &functions)
    {
        for (const onnx::Function &function : functions)
            m_functions.emplace(key(function.domain, function.name, function.overload), &function);
    }

    Status run(std::vector<onnx::Node> &nodes, int depth);

private:
    static std::string key(const std::string &domain, const std::string &name, const std::string &overload)
    {
        return domain + "::" + name + "::" + overload;
    }
    Result<std::vector<onnx::Node>> expand(const onnx::Function &function, const onnx::Node &call);
    [[nodiscard]] Status countMade();
    void rename(onnx::Node &node, Renaming &names, const std::string &prefix, const onnx::Node &call, const onnx::Function &function) const;
    void renameGraph(onnx::Graph &graph, Renaming names, const std::string &prefix, const onnx::Node &call, const onnx::Function &function) const;

    std::map<std::string, const onnx::Function *> m_functions;
    std::size_t m_made = 0, m_calls = 0, m_work = 0;
};

/// What a copy of these nodes costs: their bytes, and how many sub-graphs each get the names that are known.
struct Price {
    std::size_t bytes = 0, graphs = 0;
    void add(const std::vector<onnx::Node> &nodes)
    {
        for (const onnx::Node &node : nodes) {
            bytes += sizeof node + node.op.size() + node.name.size() + (node.inputs.size() + node.outputs.size()) * sizeof(std::string);
            for (const onnx::Attribute &attribute : node.attributes) {
                bytes += sizeof attribute + attribute.s.size() + attribute.floats.size() * sizeof(float) +
                         attribute.ints.size() * sizeof(std::int64_t) + attribute.strings.size() * sizeof(std::string);
                for (const std::string &text : attribute.strings)
                    bytes += text.size();
                if (attribute.g) {
                    ++graphs;
                    bytes += attribute.g->initializers.size() * sizeof(onnx::Tensor);
                    add(attribute.g->nodes);
                }
            }
        }
    }
};

std::string renamed(const std::string &name, const Renaming &names)
{
    const auto found = names.find(name);
    return found == names.end() ? name : found->second;
}

void Inliner::renameGraph(onnx::Graph &graph, Renaming names, const std::string &prefix, const onnx::Node &call, const onnx::Function &function) const
{
    for (auto *values : {&graph.inputs, &graph.outputs, &graph.values}) {
        if (values == &graph.outputs)
            continue;   // made by its nodes
        for (onnx::ValueInfo &value : *values)
            value.name = names.insert_or_assign(value.name, prefix + value.name).first->second;
    }
    for (onnx::Tensor &tensor : graph.initializers)
        tensor.name = names.insert_or_assign(tensor.name, prefix + tensor.name).first->second;
    for (onnx::Node &node : graph.nodes)
        rename(node, names, prefix, call, function);
    for (onnx::ValueInfo &value : graph.outputs)
        value.name = renamed(value.name, names);
}

void Inliner::rename(onnx::Node &node, Renaming &names, const std::string &prefix, const onnx::Node &call, const onnx::Function &function) const
{
    for (std::string &input : node.inputs)
        if (!input.empty())
            input = renamed(input, names);
    node.name = prefix + node.name;
    std::erase_if(node.attributes, [&](onnx::Attribute &attribute) {
        if (attribute.reference.empty())
            return false;
        const onnx::Attribute *given = call.attribute(attribute.reference);
        if (!given) {
            const auto fallback = std::ranges::find(function.defaults, attribute.reference, &onnx::Attribute::name);
            given = fallback == function.defaults.end() ? nullptr : &*fallback;
        }
        if (!given)
            return true;
        const std::string name = attribute.name;
        attribute = *given;
        attribute.name = name;
        return false;
    });
    for (onnx::Attribute &attribute : node.attributes) {
        if (!attribute.g)
            continue;
        attribute.g = std::make_shared<onnx::Graph>(*attribute.g);
        renameGraph(*attribute.g, names, prefix, call, function);
    }
    for (std::string &output : node.outputs)
        if (!output.empty()) {
            const auto known = names.find(output);
            output = known == names.end() ? names.emplace(output, prefix + output).first->second : known->second;
        }
}

Status Inliner::countMade()
{
    if (++m_made > kMaxNodes || m_work > kMaxWork)
        return fail(ErrorKind::Parse, "its functions unfold to more than " + std::to_string(kMaxNodes) + " nodes");
    return {};
}

Result<std::vector<onnx::Node>> Inliner::expand(const onnx::Function &function, const onnx::Node &call)
{
    Price price;
    price.add(function.nodes);
    price.add({call});   // its attributes may stand in each node
    m_work += price.bytes + (price.graphs + 1) * (function.inputs.size() + 2 * function.nodes.size()) + function.nodes.size() * call.name.size();
    BW_CHECK(countMade());   // a call too: functions without nodes can call each other without end
    const std::string prefix = (call.name.empty() ? function.name + "_" + std::to_string(m_calls++) : call.name) + "/";
    Renaming names;
    for (std::size_t i = 0; i < function.inputs.size(); ++i)
        names[function.inputs[i]] = i < call.inputs.size() ? call.inputs[i] : "";
    for (std::size_t i = 0; i < function.outputs.size(); ++i)
        if (i < call.outputs.size() && !call.outputs[i].empty() && !names.contains(function.outputs[i]))
            names[function.outputs[i]] = call.outputs[i];
    std::vector<onnx::Node> nodes = function.nodes;
    for (onnx::Node &node : nodes)
        rename(node, names, prefix, call, function);
    // An output that is an input is handed on.
    for (std::size_t i = 0; i < function.outputs.size() && i < call.outputs.size(); ++i)
        if (std::ranges::find(function.inputs, function.outputs[i]) != function.inputs.end())
            nodes.push_back({"Identity", "", prefix + "Identity", {renamed(function.outputs[i], names)}, {call.outputs[i]}, {}, {}});
    return nodes;
}

Status Inliner::run(std::vector<onnx::Node> &nodes, int depth)
{
    if (depth > kMaxDepth)
        return fail(ErrorKind::Parse, "its functions call each other deeper than " + std::to_string(kMaxDepth));
    std::vector<onnx::Node> made;
    made.reserve(nodes.size());
    for (onnx::Node &node : nodes) {
        for (onnx::Attribute &attribute : node.attributes)
            if (attribute.g)
                BW_CHECK(run(attribute.g->nodes, depth + 1));
        const auto found = m_functions.find(key(node.domain, node.op, node.overload));
        if (found == m_functions.end()) {
            made.push_back(std::move(node));
            BW_CHECK(countMade());
            continue;
        }
        BW_ASSIGN(auto expanded, expand(*found->second, node));
        BW_CHECK(run(expanded, depth + 1));
        std::ranges::move(expanded, std::back_inserter(made));
    }
    nodes = std::move(made);
    return {};
}

} // namespace

Status inlineFunctions(onnx::Model &model)
{
    if (model.functions.empty())
        return {};
    return Inliner(model.functions).run(model.graph.nodes, 0);
}

} // namespace bitwright
