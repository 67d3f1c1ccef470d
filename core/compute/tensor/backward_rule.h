// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace bitwright {

/// What a backward rule gives: the gradient of the input, of its shape, and of each learned parameter in their order.
struct RuleGradients {
    at::Tensor dx;
    std::vector<at::Tensor> parameters = {};
};
/// From the gradient of the output and the input of the forward pass, both float32.
using BackwardRule = std::function<RuleGradients(const at::Tensor &g, const at::Tensor &x)>;

/// `forward(x)` whose backward pass is `rule`, whatever the function is. x float32; `parameters` are leaves (float32)
/// that get what the rule says. The rule is kept until the backward pass is over.
at::Tensor withRule(const at::Tensor &x, const std::vector<at::Tensor> &parameters,
                    const std::function<at::Tensor(const at::Tensor &)> &forward, BackwardRule rule);

/// The identity whose backward pass hands the gradient to `change` first.
at::Tensor onGradient(const at::Tensor &x, std::function<at::Tensor(const at::Tensor &g)> change);

} // namespace bitwright
