// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/backward_rule.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

namespace bitwright {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// The rule travels to the backward pass in saved_data, which holds script values: as an opaque one.
struct HeldRule final : torch::CustomClassHolder {
    explicit HeldRule(BackwardRule held) : rule(std::move(held)) {}
    BackwardRule rule;
};

/// All parameters come as one flat tensor, made by cat and split again by its own backward pass.
class Ruled : public torch::autograd::Function<Ruled> {
public:
    static Variable forward(AutogradContext *context, const Variable &x, const Variable &parameters,
                            const std::function<at::Tensor(const at::Tensor &)> &body, const BackwardRule &rule)
    {
        context->save_for_backward({x});
        context->saved_data["rule"] = c10::IValue::make_capsule(c10::make_intrusive<HeldRule>(rule));
        context->saved_data["count"] = parameters.numel();
        return body(x.detach());
    }
    static variable_list backward(AutogradContext *context, const variable_list &gradients)
    {
        const at::Tensor x = context->get_saved_variables()[0];
        const auto held = context->saved_data["rule"].toCapsule();
        const RuleGradients out = static_cast<HeldRule &>(*held).rule(gradients[0], x);
        at::Tensor flat;
        if (!out.parameters.empty()) {
            std::vector<at::Tensor> each;
            for (const at::Tensor &d : out.parameters)
                each.push_back(d.reshape({-1}).to(at::kFloat));
            flat = at::cat(each);
            TORCH_CHECK(flat.numel() == context->saved_data["count"].toInt(), "a backward rule gave ", flat.numel(),
                        " parameter gradients for ", context->saved_data["count"].toInt());
        }
        return {out.dx, flat, Variable(), Variable()};
    }
};

} // namespace

at::Tensor withRule(const at::Tensor &x, const std::vector<at::Tensor> &parameters,
                    const std::function<at::Tensor(const at::Tensor &)> &forward, BackwardRule rule)
{
    std::vector<at::Tensor> flat;
    for (const at::Tensor &p : parameters)
        flat.push_back(p.reshape({-1}));
    return Ruled::apply(x, flat.empty() ? at::empty({0}, at::kFloat) : at::cat(flat), forward, rule);
}

at::Tensor onGradient(const at::Tensor &x, std::function<at::Tensor(const at::Tensor &g)> change)
{
    return withRule(x, {}, [](const at::Tensor &v) { return v.clone(); },
                    [change = std::move(change)](const at::Tensor &g, const at::Tensor &) { return RuleGradients{change(g), {}}; });
}

} // namespace bitwright
