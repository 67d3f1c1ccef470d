// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/batch_watch.h"
#include "graph/graph.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bitwright {

/// Writes a graph node by node in a format of PyTorch's that names tensors by `Name`. Numbers and lists vanish on the way:
/// their values, as a run showed them, go into the nodes that read them.
template <typename Name>
class GraphWriter {
public:
    virtual ~GraphWriter() = default;

protected:
    explicit GraphWriter(const Graph &graph) : m_graph(graph) {}

    /// Inputs and parameters, then every node whose tensors are read, then the outputs.
    Status writeAll()
    {
        BW_ASSIGN(m_watch, BatchWatch::of(m_graph));
        BW_CHECK(addInputs());
        const std::vector<bool> needed = m_watch.neededNodes(m_graph);
        for (std::size_t i = 0; i < m_graph.nodes.size(); ++i) {
            if (!needed[i])
                continue;
            BW_ASSIGN(const bool vanished, glue(i));
            if (!vanished)
                BW_CHECK(addNode(i));
        }
        return addOutputs();
    }

    virtual Status addInputs() = 0;
    virtual Status addNode(std::size_t index) = 0;
    virtual Status addOutputs() = 0;
    /// The name of a tensor that `node` reads.
    virtual Result<Name> tensor(const Argument &given, const Node &node) = 0;
    virtual void bind(ValueId value, Name name) = 0;

    /// What each pass gave the node's argument, or showed as its output.
    [[nodiscard]] std::vector<c10::IValue> seenIn(std::size_t node, std::size_t argument) const { return seen(node, argument, &NodeRun::in); }
    [[nodiscard]] std::vector<c10::IValue> seenOut(std::size_t node, std::size_t output) const { return seen(node, output, &NodeRun::out); }

    /// How each number of a list follows the batch.
    [[nodiscard]] Result<std::vector<Linear>> linearList(const std::vector<c10::IValue> &lists) const
    {
        std::vector<Linear> numbers;
        for (std::size_t k = 0; k < lists.front().toIntVector().size(); ++k) {
            std::vector<std::int64_t> values;
            for (const c10::IValue &list : lists) {
                const auto all = list.isIntList() ? list.toIntVector() : std::vector<std::int64_t>();
                values.push_back(k < all.size() ? all[k] : 0);
            }
            BW_ASSIGN(const Linear number, m_watch.linear(values));
            numbers.push_back(number);
        }
        return numbers;
    }
    /// How a number follows the batch.
    [[nodiscard]] Result<Linear> linearNumber(const std::vector<c10::IValue> &numbers) const
    {
        std::vector<std::int64_t> values;
        for (const c10::IValue &number : numbers)
            values.push_back(number.isInt() ? number.toInt() : 0);
        return m_watch.linear(values);
    }

    const Graph &m_graph;
    BatchWatch m_watch;
    std::map<ValueId, std::vector<Name>> m_lists;

private:
    [[nodiscard]] std::vector<c10::IValue> seen(std::size_t node, std::size_t place, torch::jit::Stack NodeRun::*side) const
    {
        std::vector<c10::IValue> values;
        for (const auto &pass : m_watch.runs)
            values.push_back((pass[node].*side).at(place));
        return values;
    }

    /// Whether a node vanishes: numbers, and lists that are made and taken apart.
    Result<bool> glue(std::size_t index)
    {
        const Node &node = m_graph.nodes[index];
        const NodeRun &seen = m_watch.runs[0][index];
        const bool value = !node.arguments.empty() && node.arguments[0].kind == Argument::Kind::Value;
        if (node.op == "prim::ListConstruct" || node.op == "prim::TupleConstruct") {
            for (std::size_t k = 0; k < node.arguments.size(); ++k)
                if (k < seen.in.size() && seen.in[k].isTensor()) {
                    BW_ASSIGN(Name each, tensor(node.arguments[k], node));
                    m_lists[node.outputs[0]].push_back(std::move(each));
                }
            return true;
        }
        const auto list = value ? m_lists.find(node.arguments[0].value) : m_lists.end();
        if ((node.op == "prim::ListUnpack" || node.op == "prim::TupleUnpack") && list != m_lists.end()) {
            for (std::size_t i = 0; i < std::min(list->second.size(), node.outputs.size()); ++i)
                bind(node.outputs[i], list->second[i]);
            return true;
        }
        if (node.op == "prim::getitem" && list != m_lists.end()) {
            const std::int64_t at = seen.in[1].toInt();
            bind(node.outputs[0], list->second.at(std::size_t(at < 0 ? at + std::int64_t(list->second.size()) : at)));
            return true;
        }
        if (node.op == "prim::identity" && value && !seen.out.empty() && seen.out[0].isTensor()) {
            BW_ASSIGN(Name same, tensor(node.arguments[0], node));
            bind(node.outputs[0], std::move(same));
            return true;
        }
        return std::ranges::none_of(seen.out, [](const c10::IValue &made) { return made.isTensor() || made.isTensorList(); });
    }
};

/// Runs `graph` and what was written of it on the same numbers, at another batch than it was made at. An error where the
/// answers differ; `path` is the file.
Status checkReadBack(const Graph &graph, const std::string &path,
                     const std::function<Result<std::vector<c10::IValue>>(const std::vector<c10::IValue> &inputs)> &written);

} // namespace bitwright
