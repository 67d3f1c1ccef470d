// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/ste.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>

namespace bitwright {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// The grid travels to the backward pass as plain values: what saved_data can hold.
void saveGrid(AutogradContext *context, const AffineGrid &grid)
{
    context->saved_data["scale"] = std::vector<double>(grid.scale.begin(), grid.scale.end());
    context->saved_data["zeroPoint"] = std::vector<double>(grid.zeroPoint.begin(), grid.zeroPoint.end());
    context->saved_data["range"] = std::vector<std::int64_t>{grid.qmin, grid.qmax, grid.axis};
}

AffineGrid loadGrid(AutogradContext *context)
{
    AffineGrid grid;
    for (const double s : context->saved_data["scale"].toDoubleVector())
        grid.scale.push_back(float(s));
    for (const double z : context->saved_data["zeroPoint"].toDoubleVector())
        grid.zeroPoint.push_back(float(z));
    const auto range = context->saved_data["range"].toIntVector();
    grid.qmin = range[0];
    grid.qmax = range[1];
    grid.axis = int(range[2]);
    return grid;
}

class StraightThrough : public torch::autograd::Function<StraightThrough> {
public:
    static Variable forward(AutogradContext *context, const Variable &x, const AffineGrid &grid)
    {
        context->save_for_backward({x});
        saveGrid(context, grid);
        return affineFakeQuant(x, grid);
    }
    static variable_list backward(AutogradContext *context, const variable_list &gradients)
    {
        const auto saved = context->get_saved_variables();
        return {affineFakeQuantBackward(gradients[0], saved[0], loadGrid(context)), Variable()};
    }
};

class LearnedStep : public torch::autograd::Function<LearnedStep> {
public:
    static Variable forward(AutogradContext *context, const Variable &x, const Variable &scale, const AffineGrid &grid,
                            double gradientScale)
    {
        context->save_for_backward({x, scale});
        saveGrid(context, grid);
        context->saved_data["gradientScale"] = gradientScale;
        return affineFakeQuant(x, grid);
    }
    static variable_list backward(AutogradContext *context, const variable_list &gradients)
    {
        const auto saved = context->get_saved_variables();
        LsqGradients out = lsqBackward(gradients[0], saved[0], loadGrid(context));
        const double factor = context->saved_data["gradientScale"].toDouble();
        for (double &d : out.scale)
            d *= factor;
        const at::Tensor ds = at::tensor(out.scale, at::kDouble).to(saved[1].scalar_type()).reshape(saved[1].sizes());
        return {out.dx, ds, Variable(), Variable()};
    }
};

} // namespace

at::Tensor affineStraightThrough(const at::Tensor &x, const AffineGrid &grid)
{
    return StraightThrough::apply(x, grid);
}

at::Tensor learnedStep(const at::Tensor &x, const at::Tensor &scale, const AffineGrid &grid, double gradientScale)
{
    return LearnedStep::apply(x, scale, grid, gradientScale);
}

} // namespace bitwright
