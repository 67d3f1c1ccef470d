// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "network/model_summary.h"

#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitwright {

using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;

/// Tensors by qualified name: parameters and buffers of a network, or a trained state of them.
using ParameterMap = std::map<std::string, at::Tensor>;

/// One argument of a node: another node's value, a constant, or a list that mixes both (sizes with symbolic entries).
struct Argument {
    enum class Kind { Value, List, Constant };
    Kind kind = Kind::Constant;
    ValueId value = kNoValue;
    std::vector<Argument> list;
    c10::IValue constant;   ///< None when default constructed
    static Argument of(ValueId id);
    static Argument of(c10::IValue constant);
    static Argument of(std::vector<Argument> list);
};

/// Runs on a stack of the arguments in schema order and leaves the results, as the boxed dispatcher does.
using Kernel = std::function<void(torch::jit::Stack &)>;

/// What an argument's schema type asks of a value that only the run knows, or of a list built at run time. None: the
/// value goes in as it is.
enum class Want : std::uint8_t {
    None, Tensor, Int, Float, Bool, Number, IntList, FloatList, BoolList, NumberList, TensorList, OptionalTensorList, List
};

/// One call of an operator in ATen's vocabulary, "aten::conv2d" or "aten::add.Tensor", arguments complete and in
/// schema order. Scalar glue of the exporters (sizes, list construction, integer arithmetic) is spelled "prim::…".
struct Node {
    std::string op;
    std::string name;                   ///< as in the file, for messages and exporters
    std::vector<Argument> arguments;
    std::vector<ValueId> outputs;
    Kernel kernel;
    std::vector<Want> wants;            ///< parallel to arguments; set by makeNode (node_builder.h)
    int trainingArgument = -1;          ///< index of the flag that the executor sets (batch_norm, dropout), or -1
};

struct Parameter {
    std::string name;                   ///< qualified, as PyTorch's state dict spells it
    ValueId value = kNoValue;
    at::Tensor tensor;                  ///< as loaded; never written
    bool trainable = true;              ///< false for buffers and lifted constants
    std::string origin = {};            ///< in ONNX: the value of the file that it stands for
    /// In ONNX, where that value lies in a sub-graph: the first output of a node and its attribute, level by level.
    std::vector<std::string> originPath = {};
};

struct GraphInput { ValueId value = kNoValue; TensorInfo info; };

/// A network as a list of nodes in execution order. A plain value: copying shares the tensors.
/// No node works in place and none aliases another's mutation: front ends leave it functional.
struct Graph {
    std::string format;                 ///< "pt2", "torchscript", "onnx"
    std::string source;                 ///< the file that it was read from
    std::vector<std::string> valueNames;   ///< by ValueId
    std::vector<GraphInput> inputs;
    std::vector<Argument> outputs;      ///< flattened outputs, in order
    std::vector<std::string> outputNames;
    std::vector<Parameter> parameters;
    std::vector<Node> nodes;
    std::int64_t fixedBatch = 0;        ///< > 0: the file insists on this batch size
    std::vector<std::string> obstacles; ///< why the network cannot be run, one sentence each naming operator and place; empty: it can
    bool weightsOnly = false;           ///< a state dict: weights without a network
    /// What the file says of values that are quantized in it already: parameters (their tensors hold the real values, or
    /// the codes where an integer operator reads those) and what a de-quantizing node makes.
    std::map<ValueId, StoredQuantization> stored;

    ValueId addValue(std::string name);
    [[nodiscard]] ParameterMap parameterMap() const;
    [[nodiscard]] const Parameter *parameter(const std::string &name) const;
    /// The index into parameters of a value, or -1. Linear search.
    [[nodiscard]] int parameterOf(ValueId value) const;
    [[nodiscard]] std::int64_t trainableCount() const;
};

/// Where a quantizable (or listed) layer sits in the graph; parallel to ModelSummary::layers.
struct LayerBinding {
    LayerInfo info;
    std::vector<std::size_t> nodes;     ///< every call, in execution order
    int inputArgument = 0;              ///< of the node: what the activation quantizer sees
    ValueId weight = kNoValue;
    ValueId bias = kNoValue;
};

} // namespace bitwright
