// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "frontends/onnx/onnx_kernel.h"
#include "frontends/onnx_proto.h"
#include "graph/graph.h"
#include "graph/node_builder.h"
#include "graph/subgraph.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace bitwright {

/// A tensor of an ONNX file as ours; integer types narrower than a byte become int8 or uint8. With `owner`, which keeps
/// the file's bytes, floats that lie there as memory wants them are viewed, not copied.
Result<at::Tensor> tensorOf(const onnx::Tensor &tensor, const std::shared_ptr<const void> &owner = {});
/// A sparse initializer, filled in.
Result<at::Tensor> tensorOf(const onnx::SparseTensor &sparse);

/// Turns ONNX nodes, one after the other, into a Graph in ATen's vocabulary.
class OnnxReader {
public:
    OnnxReader(const onnx::Model &model, Graph &graph);

    // ---- the node being read ----
    void enter(const onnx::Node &node) { m_node = &node; }
    [[nodiscard]] const onnx::Node &node() const { return *m_node; }
    [[nodiscard]] std::int64_t opset() const { return m_opset; }
    [[nodiscard]] bool has(std::size_t input) const { return input < m_node->inputs.size() && !m_node->inputs[input].empty(); }
    [[nodiscard]] std::int64_t integer(const char *attribute, std::int64_t fallback) const { return integerOf(*m_node, attribute, fallback); }
    [[nodiscard]] double number(const char *attribute, double fallback) const { return numberOf(*m_node, attribute, fallback); }
    [[nodiscard]] std::string text(const char *attribute, const std::string &fallback) const { return textOf(*m_node, attribute, fallback); }
    [[nodiscard]] std::vector<std::int64_t> integers(const char *attribute) const { return bitwright::integersOf(*m_node, attribute); }

    /// Reads one node: computed now where it depends on constants alone, lowered where a reading takes it, else run by
    /// its kernel. Unsupported where there is none of these.
    Status read(const onnx::Node &node);

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
    /// Whether an input is sure to hold floating-point numbers.
    [[nodiscard]] bool isFloating(std::size_t index) const;
    /// Dimensions of an input, -1 where unknown.
    [[nodiscard]] std::int64_t rank(std::size_t index) const;

    /// Adds an ATen node and gives its value; bind() then makes it the node's output.
    Result<ValueId> add(const std::string &op, std::vector<Argument> positional, const Keywords &keywords = {});
    /// The node as a call of its kernel, outputs bound.
    Status emitKernel(OnnxKernel kernel);
    /// A sub-graph of the node: its nodes go into a list of their own. `carried` makes the values that it is run on.
    Result<BodyParts> body(const char *attribute, const std::vector<ValueId> &inputs);
    /// A value with this name, for a body's input or an output that a caller binds.
    ValueId newValue(const std::string &name) { return m_graph.addValue(name); }
    [[nodiscard]] Graph &graph() { return m_graph; }
    /// Adds a node with a kernel of our own.
    ValueId addOwn(const std::string &op, std::vector<Argument> arguments, Kernel kernel);
    void bind(const Argument &value, std::int64_t rank, std::size_t output = 0);
    /// The node's output is a constant.
    void bindConstant(at::Tensor value, const std::string &parameterName = {}, std::size_t output = 0);
    /// What the file says of the values that an output of the node holds, where it is quantized in it already.
    void noteStored(std::optional<StoredQuantization> stored, std::size_t output = 0);
    /// The same, as it is for an input of the node.
    [[nodiscard]] std::optional<StoredQuantization> storedOfInput(std::size_t index) const;
    /// Whether a node before has de-quantized the same inputs in the same way; the output then is that value. A weight that
    /// several layers read stays one.
    bool bindSameWeight();
    /// The name of a weight that is de-quantized here: the initializer's, if no other weight came from it.
    [[nodiscard]] std::string weightName();
    /// A weight that the file holds in a form of its own, so that no value of the file stands for it.
    Argument ownWeight(const std::string &name, at::Tensor values, const std::optional<StoredQuantization> &stored);
    /// add and bind in one; the rank is that of the first input unless said.
    Status emit(const std::string &op, std::vector<Argument> positional, const Keywords &keywords = {}, std::int64_t rank = -2);

    // ---- the whole ----
    void declareInput(const std::string &name, ValueId value, std::int64_t rank, onnx::DataType type = onnx::DataType::Undefined);
    void declareConstant(const onnx::Tensor &source, at::Tensor tensor);
    /// What the file says of a value that a node will make.
    void declareValue(const onnx::ValueInfo &info);
    Result<Argument> output(const std::string &name);
    [[nodiscard]] bool knows(const std::string &name) const { return m_known.contains(name); }
    /// Puts a node that cannot run in the place of this one, so that the rest of the file can be read.
    void placeObstacle(const onnx::Node &node, const std::string &why);

private:
    struct Known {
        std::optional<Argument> argument;
        at::Tensor constant;
        std::string parameterName;
        std::int64_t rank = -1;
        onnx::DataType type = onnx::DataType::Undefined;   ///< of an initializer or input
        bool floating = false;                             ///< sure to be
        std::vector<std::string> path = {};                ///< Parameter::originPath
        std::optional<StoredQuantization> stored = {};     ///< for Graph::stored
    };
    Result<Argument> argumentOf(const std::string &name, bool trainable);
    [[nodiscard]] bool allConstant() const;
    [[nodiscard]] bool isWeightInput() const;
    Status readTyped(const onnx::Node &node);
    Status readNode(const onnx::Node &node);
    void noteTypes();
    Result<bool> fold(OnnxKernel kernel);

    Graph &m_graph;
    std::shared_ptr<const void> m_file;
    std::unordered_map<std::string, std::int64_t> m_declaredRanks;
    std::unordered_map<std::string, onnx::DataType> m_declaredTypes;
    std::int64_t m_opset = 0;
    const onnx::Node *m_node = nullptr;
    std::vector<std::string> m_path;                       ///< of the body that is being read
    std::unordered_map<std::string, Known> m_known;
    std::map<std::string, std::string> m_dequantized;      ///< by the names of what they were made from: weights' values
    std::set<std::string> m_dequantizedCodes;              ///< whose names went to a weight
};

/// The padding that a convolution or pooling states, low values first, then high ones. Unsupported where it is automatic
/// and depends on the size of the input.
Result<std::vector<std::int64_t>> statedPads(const OnnxReader &reader, std::size_t spatial);

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
std::span<const OnnxReadingRow> onnxControlReadings();
/// The function that reads an operator of ONNX's own domain, or one of another as "domain::operator"; or null.
OnnxReading findOnnxReading(const std::string &op);

} // namespace bitwright
