// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <ATen/core/stack.h>

#include <functional>
#include <string>

namespace bitwright::torchscript {

/// True where a tensor in it, lists included, is on the meta device.
bool onMeta(const c10::IValue &value);

/// Runs an operator on tensors without storage. Convolutions and normalizations, whose meta kernels exist in Python only,
/// go by their formulas; any other operator without one runs on zeros. Throws where the operator refuses the shapes.
void runOnMeta(const std::string &kind, const std::function<void(torch::jit::Stack &)> &operation,
               torch::jit::Stack &stack);

} // namespace bitwright::torchscript
