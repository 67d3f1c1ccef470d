// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Small graphs written by hand.

#include "graph/executor.h"
#include "graph/node_builder.h"

#include <memory>
#include <stdexcept>
#include <string>

namespace bitwright::testing {

/// `GraphBuilder b; auto x = b.input({-1, 4}); auto w = b.parameter("w", t); auto y = b.node("aten::linear", {x, w, none()});`
class GraphBuilder {
public:
    Graph graph;

    Argument input(Shape shape, const std::string &name = "x", const std::string &dtype = "float32")
    {
        const ValueId value = graph.addValue(name);
        graph.inputs.push_back({value, {name, std::move(shape), dtype}});
        return Argument::of(value);
    }
    Argument parameter(const std::string &name, const at::Tensor &tensor, bool trainable = true)
    {
        const ValueId value = graph.addValue(name);
        graph.parameters.push_back({name, value, tensor, trainable});
        return Argument::of(value);
    }
    Argument node(const std::string &op, std::vector<Argument> arguments, const std::string &name = "node", const Keywords &keywords = {})
    {
        auto value = appendNode(graph, op, std::move(arguments), keywords, name);
        if (!value)
            throw std::runtime_error(value.error().message);
        return Argument::of(*value);
    }
    /// A node with several results.
    std::vector<Argument> nodes(const std::string &op, std::vector<Argument> arguments, int results, const std::string &name = "node")
    {
        std::vector<ValueId> outputs;
        std::vector<Argument> values;
        for (int i = 0; i < results; ++i) {
            outputs.push_back(graph.addValue(name + std::to_string(i)));
            values.push_back(Argument::of(outputs.back()));
        }
        auto made = makeNode(op, std::move(arguments), {}, outputs, name);
        if (!made)
            throw std::runtime_error(made.error().message);
        graph.nodes.push_back(std::move(*made));
        return values;
    }
    /// batch_norm in the mode it was exported in.
    Argument batchNorm(const Argument &x, const std::string &name, std::int64_t channels, bool affine = true, bool training = false,
                       double eps = 1e-5)
    {
        const Argument gamma = affine ? parameter(name + ".weight", at::rand({channels}) + 0.5) : none();
        const Argument beta = affine ? parameter(name + ".bias", at::randn({channels})) : none();
        const Argument mean = parameter(name + ".running_mean", at::randn({channels}), false);
        const Argument variance = parameter(name + ".running_var", at::rand({channels}) + 0.5, false);
        return node("aten::batch_norm", {x, gamma, beta, mean, variance, of(training), of(0.1), of(eps), of(false)}, name);
    }
    void output(const Argument &value)
    {
        graph.outputs.push_back(value);
        graph.outputNames.push_back("y" + std::to_string(graph.outputs.size()));
    }
    [[nodiscard]] std::shared_ptr<const Graph> share() const { return std::make_shared<Graph>(graph); }

    static Argument none() { return {}; }
    template <typename T>
    static Argument of(T value)
    {
        return Argument::of(c10::IValue(value));
    }
    static Argument ints(std::vector<std::int64_t> values) { return Argument::of(c10::IValue(std::move(values))); }
};

/// The outputs of a run, or an exception that says why there are none.
inline std::vector<c10::IValue> runAll(const Executor &executor, std::vector<c10::IValue> inputs, const RunOptions &options = {},
                                       const ParameterMap &overrides = {})
{
    auto outputs = executor.run(inputs, executor.bind(overrides), options);
    if (!outputs)
        throw std::runtime_error(outputs.error().message);
    return std::move(*outputs);
}

} // namespace bitwright::testing
