// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <ATen/core/stack.h>

#include <string>

namespace bitwright {

/// Whether a network's file may name an operator at all: those that write or read other files are none of a network's.
bool isAllowedOperator(const std::string &base);

/// What must hold of the arguments of an operator that LibTorch runs without a look at them; null for all others. Throws.
using OperatorGuard = void (*)(const torch::jit::Stack &arguments);
OperatorGuard operatorGuard(const std::string &base, const std::string &overload);

} // namespace bitwright
