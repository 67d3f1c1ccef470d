// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/shape_trace.h"
#include "frontends/onnx_proto.h"
#include "graph/graph.h"

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace bitwright {

/// Names in the ONNX graph of one of our values: a tensor's, or one per entry of a list.
struct OnnxValue {
    std::string name;
    std::vector<std::string> items;
};

/// Builds the ONNX graph while nodes are lowered one after the other. Lowerings ask it for arguments by their schema
/// name and add nodes; errors are collected by the caller.
class OnnxWriter {
public:
    OnnxWriter(const Graph &graph, const ShapeTrace &trace, int opset);

    // ---- what is being built ----
    onnx::Graph out;
    /// The lowest operator set that the nodes so far need; when it passes opset() the caller starts again with it.
    void need(int opset) { m_needed = std::max(m_needed, opset); }
    [[nodiscard]] int opset() const { return m_opset; }
    [[nodiscard]] int neededOpset() const { return m_needed; }

    /// A name that nothing else has.
    std::string uniqueName(const std::string &wanted);
    /// Initializers; the returned name is `hint` made unique. Integer and scalar constants are shared.
    std::string initializer(const at::Tensor &tensor, const std::string &hint);
    std::string initializer(onnx::Tensor tensor);
    std::string integers(const std::vector<std::int64_t> &values);
    std::string scalar(double value, at::ScalarType type = at::ScalarType::Float);

    /// Adds a node and returns its (first) output. `target` names the output; empty makes one from the node's name.
    std::string add(const std::string &op, std::vector<std::string> inputs, std::vector<onnx::Attribute> attributes = {},
                    const std::string &target = {});
    std::vector<std::string> addMany(const std::string &op, std::vector<std::string> inputs,
                                     std::vector<onnx::Attribute> attributes, std::vector<std::string> outputs);

    // ---- the node being lowered ----
    void enter(const Node &node);
    [[nodiscard]] const Node &node() const { return *m_node; }
    [[nodiscard]] const Argument *argument(const std::string &name) const;
    [[nodiscard]] bool absent(const std::string &name) const;
    /// A tensor argument's name; a constant becomes an initializer. Error where it is no tensor.
    Result<std::string> tensor(const std::string &name);
    Result<std::string> tensor(const Argument &argument);
    Result<std::vector<std::string>> tensors(const Argument &argument);
    /// What is known of a tensor argument; null when it is no traced tensor.
    [[nodiscard]] const TracedValue *traced(const std::string &name) const;
    [[nodiscard]] const TracedValue *traced(const Argument &argument) const;
    /// Numbers that do not depend on the batch.
    Result<c10::IValue> plain(const Argument &argument) const;
    Result<std::vector<std::int64_t>> ints(const std::string &name) const;
    Result<std::int64_t> integer(const std::string &name) const;
    Result<double> number(const std::string &name) const;
    Result<bool> flag(const std::string &name) const;
    Result<std::string> text(const std::string &name) const;
    /// A scalar or tensor operand of an element-wise operator, in `type`.
    Result<std::string> operand(const std::string &name, at::ScalarType type);
    /// `source` in another element type.
    std::string cast(const std::string &source, at::ScalarType from, at::ScalarType to, const std::string &target = {});

    [[nodiscard]] const TracedValue &result(std::size_t index = 0) const;
    /// The name that the node's output shall have, so that the last ONNX node can be given it.
    std::string resultName(std::size_t index = 0);
    /// The node's output is what `name` already is.
    void alias(const std::string &name, std::size_t index = 0);
    void setItems(std::vector<std::string> items, std::size_t index = 0);
    /// Reshapes to the traced shape of the result: -1 for the free dimension.
    Result<std::string> reshape(const std::string &source, const std::vector<std::int64_t> &to,
                                const std::vector<std::int64_t> &from, const std::string &target = {});

    void set(ValueId value, std::string name) { m_values[value].name = std::move(name); }
    [[nodiscard]] const OnnxValue *find(ValueId value) const;
    [[nodiscard]] const Graph &graph() const { return m_graph; }
    [[nodiscard]] const ShapeTrace &trace() const { return m_trace; }
    [[nodiscard]] static Result<onnx::DataType> onnxType(at::ScalarType type);

    /// Set by the exporter: gives the layer's quantized input for the node that is being lowered.
    struct LayerInput {
        int argument = 0;
        std::string name;
        bool flat = false;   ///< already reshaped to two dimensions
    };
    std::unordered_map<const Node *, LayerInput> layerInputs;

private:
    const Graph &m_graph;
    const ShapeTrace &m_trace;
    int m_opset, m_needed = 13;
    const Node *m_node = nullptr;
    std::set<std::string> m_names;
    std::unordered_map<std::string, std::string> m_constants;
    std::unordered_map<ValueId, OnnxValue> m_values;
    std::unordered_map<ValueId, std::string> m_preferred;
};

/// Serialized raw bytes of a tensor as an ONNX initializer.
Result<onnx::Tensor> onnxTensor(const at::Tensor &tensor, const std::string &name);

/// The node whose result an argument is, or null. Linear search.
const Node *producerOf(const Graph &graph, const Argument &argument);

} // namespace bitwright
