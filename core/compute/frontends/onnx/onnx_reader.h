// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "frontends/onnx_proto.h"
#include "graph/graph.h"
#include "graph/node_builder.h"

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace bitwright {

/// A tensor of an ONNX file as ours; integer types narrower than a byte become int8 or uint8.
Result<at::Tensor> tensorOf(const onnx::Tensor &tensor);

/// Turns ONNX nodes, one after the other, into a Graph in ATen's vocabulary.
class OnnxReader {
public:
    OnnxReader(const onnx::Model &model, Graph &graph);

    // ---- the node being read ----
    void enter(const onnx::Node &node) { m_node = &node; }
    [[nodiscard]] const onnx::Node &node() const { return *m_node; }
    [[nodiscard]] std::int64_t opset() const { return m_opset; }
    [[nodiscard]] bool has(std::size_t input) const { return input < m_node->inputs.size() && !m_node->inputs[input].empty(); }
    [[nodiscard]] std::int64_t integer(const char *attribute, std::int64_t fallback) const;
    [[nodiscard]] double number(const char *attribute, double fallback) const;
    [[nodiscard]] std::string text(const char *attribute, const std::string &fallback) const;
    [[nodiscard]] std::vector<std::int64_t> integers(const char *attribute) const;

    /// An input as an argument: a value or, for an initializer, a parameter that is made now. None where it is left out.
    Result<Argument> input(std::size_t index, bool trainable = false);
    /// An input that must be known now: an initializer or what was computed from some.
    Result<at::Tensor> constant(std::size_t index) const;
    [[nodiscard]] bool isConstant(std::size_t index) const;
    Result<std::vector<std::int64_t>> constantInts(std::size_t index) const;
    /// Integers that stand in an attribute in old operator sets and in an input in new ones; empty where both lack.
    Result<std::vector<std::int64_t>> integersOf(const char *attribute, std::size_t index) const;
    /// The element type that the file gives an initializer; uint8 where the input is left out.
    Result<onnx::DataType> elementType(std::size_t index) const;
    /// Dimensions of an input, -1 where unknown.
    [[nodiscard]] std::int64_t rank(std::size_t index) const;

    /// Adds an ATen node and gives its value; bind() then makes it the node's output.
    Result<ValueId> add(const std::string &op, std::vector<Argument> positional, const Keywords &keywords = {});
    /// Adds a node with a kernel of our own.
    ValueId addOwn(const std::string &op, std::vector<Argument> arguments, Kernel kernel);
    void bind(const Argument &value, std::int64_t rank, std::size_t output = 0);
    /// The node's output is a constant.
    void bindConstant(at::Tensor value, const std::string &parameterName = {}, std::size_t output = 0);
    /// add and bind in one; the rank is that of the first input unless said.
    Status emit(const std::string &op, std::vector<Argument> positional, const Keywords &keywords = {}, std::int64_t rank = -2);

    // ---- the whole ----
    void declareInput(const std::string &name, ValueId value, std::int64_t rank);
    void declareConstant(const onnx::Tensor &source, at::Tensor tensor);
    Result<Argument> output(const std::string &name);

private:
    struct Known {
        std::optional<Argument> argument;
        at::Tensor constant;
        std::string parameterName;
        std::int64_t rank = -1;
        onnx::DataType type = onnx::DataType::Undefined;   ///< of an initializer
    };
    Result<Argument> argumentOf(const std::string &name, bool trainable);

    Graph &m_graph;
    std::int64_t m_opset = 0;
    const onnx::Node *m_node = nullptr;
    std::unordered_map<std::string, Known> m_known;
};

using OnnxReading = Status (*)(OnnxReader &reader);
struct OnnxReadingRow {
    const char *op;
    OnnxReading read;
};

// One table per subject, each in a file of its own.
std::span<const OnnxReadingRow> onnxLayerReadings();
std::span<const OnnxReadingRow> onnxElementwiseReadings();
std::span<const OnnxReadingRow> onnxPoolingReadings();
std::span<const OnnxReadingRow> onnxShapeReadings();
std::span<const OnnxReadingRow> onnxQuantizeReadings();
/// The function that reads an operator of ONNX's own domain, or null.
OnnxReading findOnnxReading(const std::string &op);

} // namespace bitwright
