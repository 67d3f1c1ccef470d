// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Control flow that depends on data: a node that holds graphs of its own and runs one of them, or one of them again and
// again. A body is an ordinary Graph whose inputs are all that it reads: values that it takes from outside ("captured")
// and the parameters of its layers are inputs too, so that parameters live in the outermost graph alone, where they are
// trained and quantized.
//
// How a front end makes one while it writes into `graph`: give the body's nodes ids of `graph` as well, but keep them in
// a list of their own; then
//
//   const std::vector<ValueId> captured = freeValues(then, freeValues(otherwise));      // two BodyParts
//   auto a = std::make_shared<Graph>(cutBody(graph, then, captured));  BW_CHECK(normalize(*a));   // b the same way
//   BW_ASSIGN(Node node, makeIf("if_1", condition, a, b, argumentsOf(captured), outputs));
//   graph.nodes.push_back(std::move(node));

#include "graph/executor.h"

namespace bitwright {

/// A graph that is run as a part of another. Re-entrant like Executor.
class Subgraph {
public:
    explicit Subgraph(std::shared_ptr<const Graph> graph);
    [[nodiscard]] const std::shared_ptr<const Graph> &graph() const { return m_graph; }
    /// One pass over values in the order of graph.inputs. Training mode, stop token and the like are those of the pass
    /// that runs on this thread. Throws std::runtime_error whose text names the node that failed.
    [[nodiscard]] std::vector<c10::IValue> run(std::span<const c10::IValue> inputs) const;

private:
    std::shared_ptr<const Graph> m_graph;
    Executor m_executor;
    std::vector<at::Tensor> m_parameters;
};

/// Subgraph(body).run(inputs) for a body that runs once.
std::vector<c10::IValue> runBody(std::shared_ptr<const Graph> body, std::span<const c10::IValue> inputs);

/// "prim::If": the outputs of `then` or `otherwise`, by a condition that is a number or a tensor of one element.
/// `inputs` goes to both: they have the same inputs and the same number of outputs. Invalid where not.
Result<Node> makeIf(std::string name, Argument condition, std::shared_ptr<const Graph> then,
                    std::shared_ptr<const Graph> otherwise, std::vector<Argument> inputs, std::vector<ValueId> outputs);

struct LoopParts {
    std::shared_ptr<const Graph> body;   ///< inputs: trip number, condition, carried…, captured…; outputs: condition, carried…, scans…
    Argument trips;                      ///< the most trips; None: as long as the condition holds
    Argument condition;                  ///< before the first trip; None: true
    std::vector<Argument> carried;       ///< values before the first trip
    std::vector<Argument> captured;
};
/// "prim::Loop": the carried values after the last trip, then of each scan all trips' values stacked along a new first
/// dimension (ONNX's Loop; TorchScript has none). `outputs` has one id for each. A run that does not end is an error
/// after kMostTrips. Invalid where numbers do not fit.
Result<Node> makeLoop(std::string name, LoopParts parts, std::vector<ValueId> outputs);
/// Trips after which a loop that only its condition ends is given up.
inline constexpr std::int64_t kMostTrips = 200'000;

/// A body for what a network refuses: running it is an error with this text.
std::shared_ptr<const Graph> raisingBody(const std::string &text, std::size_t inputs, std::size_t outputs);

/// The bodies of a node of makeIf (two) or makeLoop (one); empty for any other.
std::vector<std::shared_ptr<const Graph>> bodiesOf(const Node &node);

/// A body as written with the value ids of the graph around it.
struct BodyParts {
    std::vector<Node> nodes;
    std::vector<Argument> outputs;
    std::vector<ValueId> inputs;         ///< made anew by whoever runs it: trip number, carried values
};
/// The ids that the parts read but neither make nor have as inputs, after those of `before`.
std::vector<ValueId> freeValues(const BodyParts &parts, std::vector<ValueId> before = {});
/// A graph of its own with the inputs of `parts`, then `captured`.
Graph cutBody(const Graph &outer, BodyParts parts, const std::vector<ValueId> &captured);
/// Each id as an argument.
std::vector<Argument> argumentsOf(const std::vector<ValueId> &values);

/// While it lives, sub-graphs that run on this thread take their settings from `options`. Executor::run holds one.
class PassScope {
public:
    explicit PassScope(const RunOptions &options);
    ~PassScope();
    PassScope(const PassScope &) = delete;

private:
    const RunOptions *m_outer;
};

} // namespace bitwright
