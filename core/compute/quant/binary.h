// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/grid_quantizer.h"

namespace bitwright {

// What the methods with two levels share (methods.md B2, B3, B6d). sign(0) is +1.

/// -a below zero, +a from zero on, for each of the scales. Behind a ReLU (`nonNegative`) zero itself is below: the sign is
/// then that of the value before the ReLU, else all of it would be +1.
StepTables signSteps(const std::vector<float> &scales, bool nonNegative = false);
/// mean |x| over the finite values of each group, 0 where there are none.
std::vector<float> meanMagnitudes(const at::Tensor &x, int axis);
/// The float weight behind a binary one stays in [-1, 1], in place.
void clampLatent(at::Tensor &weight);
/// One bit, family binary.
MethodTraits binaryTraits(std::string id, std::string title, std::string paper, int year, std::vector<Role> roles);
/// The error of a weight method that is asked to look at activations.
Status onlyForWeights(const std::string &label);

/// alpha sign(w), alpha = mean |w| of each group, followed from the weight; the weight rule of BWN and XNOR-Net.
class BinaryWeight : public GridQuantizer {
public:
    BinaryWeight(const QuantSpec &spec, const Site &site);
    Status calibrate(const at::Tensor &x) override;
    Status calibrate(const SiteStatistics &) override { return onlyForWeights(label()); }

protected:
    Grid makeGrid() const override;
    /// Exact: alpha g where |w| < 1, and what alpha itself passes on; paper: g (1/N + alpha 1[|w| < 1]).
    RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const override;
    [[nodiscard]] float alpha(std::size_t group) const { return m_alpha[m_alpha.size() == 1 ? 0 : group]; }

private:
    bool m_exact;
    std::vector<float> m_alpha;
};
/// `gradient=exact|paper`.
ParamSpec binaryGradientOption();

} // namespace bitwright
