// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// How a front end makes a graph:
//
//   Graph graph;
//   ValueId x = graph.addValue("x");                         // then graph.inputs, graph.parameters
//   BW_ASSIGN(ValueId y, appendNode(graph, "aten::conv2d", {Argument::of(x), Argument::of(w), Argument::of(c10::IValue())},
//                                   {{"stride", Argument::of(c10::IValue(2))}}, "conv1"));
//   BW_CHECK(normalize(graph));
//
// Operators are named as the dispatcher spells them: "aten::conv2d", "aten::add.Tensor". TorchScript's own scalar
// operators ("aten::add.int", "aten::__getitem__.t", "aten::size", "prim::NumToTensor.Scalar", …) are found too, and
// the glue below. Front ends may pass in-place operators ("aten::relu_"): normalize() makes them functional.

#include "graph/graph.h"

#include <string>
#include <utility>
#include <vector>

namespace bitwright {

using Keywords = std::vector<std::pair<std::string, Argument>>;

/// True where makeNode would find a kernel: dispatcher, TorchScript's registry or the glue.
bool knownOperator(const std::string &qualifiedOp);

/// A node of this operator: schema defaults filled in, constants and lists converted to the schema's types, kernel
/// resolved, training argument found. `outputs` are values made by Graph::addValue, one per result of the schema
/// (a front end may give none and fill node.outputs itself). Unsupported where the operator is unknown, Invalid where
/// an argument is missing or has an impossible type; the message names operator and argument.
///
/// Glue by name (dynamically typed, Python's semantics; no keywords):
///   prim::ListConstruct(…) typed by its elements    prim::TupleConstruct(…)      prim::DictConstruct(key, value, …)
///   prim::ListUnpack(list), prim::TupleUnpack(tuple): as many results as node.outputs
///   prim::getitem(list|tuple|dict, key)   prim::len(x)   prim::identity(x)
///   prim::add sub mul truediv floordiv mod pow (a, b)   prim::neg floor ceil round abs trunc sqrt (a)
///   prim::eq ne lt le gt ge and or (a, b)   prim::not (a)   prim::min max (a, b)   prim::ite(condition, a, b)
///   prim::Int Float Bool (number or one-element tensor)   prim::NumToTensor(number)
///   prim::size(tensor) → int list   prim::dim(tensor)   prim::shape(tensor, dimension)
Result<Node> makeNode(const std::string &qualifiedOp, std::vector<Argument> positional, const Keywords &keywords = {},
                      std::vector<ValueId> outputs = {}, std::string name = {});

/// makeNode and push_back with one new value as its output, named `name`.
Result<ValueId> appendNode(Graph &graph, const std::string &qualifiedOp, std::vector<Argument> positional,
                           const Keywords &keywords = {}, const std::string &name = {});

/// A node's kernel, wants and training argument found again after its op or arguments were changed by hand.
Status resolveNode(Node &node);

/// The names of the arguments of an operator in schema order, empty where it is unknown or glue.
std::vector<std::string> argumentNames(const std::string &qualifiedOp);
/// The index of an argument in a node's schema, or -1.
int argumentIndex(const Node &node, const std::string &argument);

/// Rewrites to one spelling: in-place operators become functional (later readers of the changed value read the
/// result); _convolution/convolution become conv1d…3d or conv_transpose1d…3d; addmm or matmul over a transposed weight
/// becomes linear; the native and cudnn batch norms become batch_norm; native_dropout becomes dropout; lift_fresh_copy,
/// detach, alias, assertions, num_batches_tracked counters and nodes that nobody reads go away. Scalar glue over
/// constants is computed. Unsupported where an in-place operator changes a view whose base is read later.
Status normalize(Graph &graph);

/// Removes nodes whose results nobody reads, and parameters no one reads when `parametersToo`.
void dropDeadNodes(Graph &graph, bool parametersToo = false);
/// Makes every reader of `from` (arguments and graph outputs) read `to`.
void replaceValue(Graph &graph, ValueId from, const Argument &to);

} // namespace bitwright
