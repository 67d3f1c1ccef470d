// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/shortcuts.h"

#include "graph/operators.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bitwright {

namespace {

using Kind = Argument::Kind;

/// What a skip path may hold behind its convolution, or (poolings) before it.
const std::set<std::string> kBehind{"batch_norm", "identity", "dropout", "contiguous", "clone", "detach", "to", "alias"};
const std::set<std::string> kBefore{"avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d",
                                    "identity", "contiguous", "clone", "detach", "to", "alias"};

class Search {
public:
    explicit Search(const Graph &graph);
    [[nodiscard]] bool isShortcut(std::size_t node) const;

private:
    using Values = std::set<ValueId>;
    using Reached = std::pair<ValueId, bool>;   ///< and whether a convolution lies on the way to it
    void noteReads(const Argument &argument, std::size_t node);
    [[nodiscard]] bool isPointwise(const Node &node) const;
    [[nodiscard]] Values starts(ValueId input) const;
    void addInputs(const Argument &argument, bool convolved, std::vector<Reached> &to) const;
    [[nodiscard]] bool isConvolvedFrom(ValueId value, const Values &starts, ValueId without) const;

    const Graph &m_graph;
    std::map<ValueId, const Parameter *> m_parameters;
    std::map<ValueId, std::size_t> m_producer;
    std::map<ValueId, std::vector<std::size_t>> m_readers;
};

Search::Search(const Graph &graph) : m_graph(graph)
{
    for (const Parameter &parameter : graph.parameters)
        m_parameters[parameter.value] = &parameter;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
        for (const ValueId output : graph.nodes[i].outputs)
            m_producer[output] = i;
        for (const Argument &argument : graph.nodes[i].arguments)
            noteReads(argument, i);
    }
}

void Search::noteReads(const Argument &argument, std::size_t node)
{
    if (argument.kind == Kind::Value)
        m_readers[argument.value].push_back(node);
    for (const Argument &element : argument.list)
        noteReads(element, node);
}

bool isConvolution(const Node &node)
{
    const std::string name = plainName(node.op);
    return name.starts_with("conv") && !name.starts_with("conv_transpose");
}

bool Search::isPointwise(const Node &node) const
{
    if (!isConvolution(node) || node.arguments[1].kind != Kind::Value)
        return false;
    const auto weight = m_parameters.find(node.arguments[1].value);
    if (weight == m_parameters.end() || weight->second->tensor.dim() < 3)
        return false;
    const auto sizes = weight->second->tensor.sizes();
    return std::all_of(sizes.begin() + 2, sizes.end(), [](std::int64_t size) { return size == 1; });
}

/// The tensor that a path begins with: the convolution's input, or what was pooled for it.
Search::Values Search::starts(ValueId input) const
{
    Values found{input};
    for (auto producer = m_producer.find(input); producer != m_producer.end(); producer = m_producer.find(input)) {
        const Node &node = m_graph.nodes[producer->second];
        if (!kBefore.contains(plainName(node.op)) || node.arguments.empty() || node.arguments[0].kind != Kind::Value)
            break;
        input = node.arguments[0].value;
        found.insert(input);
    }
    return found;
}

/// The tensors that a node computes with, less parameters.
void Search::addInputs(const Argument &argument, bool convolved, std::vector<Reached> &to) const
{
    if (argument.kind == Kind::Value && !m_parameters.contains(argument.value))
        to.emplace_back(argument.value, convolved);
    for (const Argument &element : argument.list)
        addInputs(element, convolved, to);
}

/// Whether a value is made, by at least one convolution on the way, of one of `starts`, other than through `without`.
bool Search::isConvolvedFrom(ValueId value, const Values &starts, ValueId without) const
{
    std::set<Reached> seen;
    std::vector<Reached> open{{value, false}};
    while (!open.empty()) {
        const auto [at, convolved] = open.back();
        open.pop_back();
        if (at == without || !seen.emplace(at, convolved).second)
            continue;
        if (starts.contains(at)) {
            if (convolved)
                return true;
            continue;
        }
        const auto producer = m_producer.find(at);
        if (producer == m_producer.end())
            continue;
        const Node &node = m_graph.nodes[producer->second];
        for (const Argument &argument : node.arguments)
            addInputs(argument, convolved || isConvolution(node), open);
    }
    return false;
}

bool Search::isShortcut(std::size_t index) const
{
    const Node &convolution = m_graph.nodes[index];
    if (!isPointwise(convolution) || convolution.arguments[0].kind != Kind::Value)
        return false;
    const Values begins = starts(convolution.arguments[0].value);
    std::vector<ValueId> open{convolution.outputs[0]};
    while (!open.empty()) {
        const ValueId value = open.back();
        open.pop_back();
        const auto readers = m_readers.find(value);
        for (const std::size_t reader : readers == m_readers.end() ? std::vector<std::size_t>{} : readers->second) {
            const Node &node = m_graph.nodes[reader];
            if (kBehind.contains(plainName(node.op)) && node.arguments[0].kind == Kind::Value && node.arguments[0].value == value) {
                open.push_back(node.outputs[0]);
                continue;
            }
            if (plainName(node.op) != "add" || node.arguments[0].kind != Kind::Value || node.arguments[1].kind != Kind::Value)
                continue;
            const ValueId other = node.arguments[node.arguments[0].value == value ? 1 : 0].value;
            // another path: not one that goes on from this very result
            if (isConvolvedFrom(other, begins, convolution.outputs[0]))
                return true;
        }
    }
    return false;
}

} // namespace

std::set<std::size_t> shortcutConvolutions(const Graph &graph)
{
    const Search search(graph);
    std::set<std::size_t> found;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i)
        if (search.isShortcut(i))
            found.insert(i);
    return found;
}

} // namespace bitwright
