// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"

#include <ATen/core/function_schema.h>

#include <optional>

namespace bitwright {

/// What the dispatcher, TorchScript's registry or our glue knows about an operator.
struct OperatorInfo {
    const c10::FunctionSchema *schema = nullptr;   ///< null for glue; lives as long as the process
    Kernel kernel;
    bool scalar = false;                           ///< glue or TorchScript-only: cheap, no tensor arithmetic
};

/// Looks an operator up, "aten::add.Tensor"; empty where nobody knows it.
std::optional<OperatorInfo> findOperator(const std::string &qualifiedOp);
/// The glue of node_builder.h; `results` is how many values an unpacking leaves.
std::optional<Kernel> findGlue(const std::string &name, std::size_t results);

/// "aten::conv2d.padding" → "conv2d".
std::string plainName(const std::string &op);

/// What a schema type asks of a value at run time.
Want wantOf(const c10::Type &type);
/// Converts a run-time value; throws c10::Error where it is impossible.
void convertValue(c10::IValue &value, Want want);
/// The list that `want` asks for, from its elements.
c10::IValue makeList(std::vector<c10::IValue> elements, Want want);

} // namespace bitwright
