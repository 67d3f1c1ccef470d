// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/methods/methods.h"
#include "tensor/backward_rule.h"
#include "tensor/codebook.h"
#include "tensor/fused.h"
#include "tensor/kernels.h"

#include <functional>
#include <optional>
#include <span>
#include <variant>

namespace bitwright {

/// Base of the methods whose output is, during one pass, a fixed function of each element alone: a uniform grid or a step
/// function per group. A method says where its values come from (calibrate), what grid they make (makeGrid) and how
/// gradients go back (backward); running it, its grid as a value, learned leaves, the surrogate gradients of methods.md A2
/// and given values are done here.
class GridQuantizer : public Quantizer {
public:
    /// std::monostate is "none yet".
    using Grid = std::variant<std::monostate, AffineGrid, StepTables>;

    bool calibrated() const override { return m_ready; }
    at::Tensor forward(const at::Tensor &x) override;
    at::Tensor apply(const at::Tensor &x, bool mayOverwrite) override;
    QuantGrid grid() const final;
    /// The values that were declared as learned, as leaves, in the order of MethodTraits::values; options `lr_factor` and `decay` where the method has them.
    std::vector<Learnable> learnables() override;
    /// All values.
    [[nodiscard]] std::map<std::string, std::vector<double>> values() const override;

protected:
    GridQuantizer(const QuantSpec &spec, const Site &site);

    // ---- what a method says ----

    /// The grid that the present values make, with groupCount() groups. Only called when ready.
    [[nodiscard]] virtual Grid makeGrid() const = 0;
    /// The gradients by the method's own rule: dx, then one entry for each of learnables(), in their order: that of MethodTraits::values.
    [[nodiscard]] virtual RuleGradients backward(const at::Tensor &g, const at::Tensor &x) const = 0;
    /// What is stored beside the codes, in bits (methods.md I1); by default 32 for each scale, one a group.
    [[nodiscard]] virtual double sideBits() const { return 32.0 * double(groupCount()); }
    /// Of `abc` and `horq`: the code is no ascending list of levels, so there are no thresholds to show.
    [[nodiscard]] virtual bool listsLevels() const { return true; }
    /// forward() of the training pass, where it is not the grid (stochastic rounding). Must not write to x.
    virtual at::Tensor trainingOutput(const at::Tensor &x) { return apply(x, false); }

    // ---- what a method works with ----

    [[nodiscard]] const QuantSpec &spec() const { return m_spec; }
    [[nodiscard]] const Site &site() const { return m_site; }
    [[nodiscard]] const std::string &label() const { return m_label; }
    [[nodiscard]] int bits() const { return m_spec.bits; }
    [[nodiscard]] bool isWeight() const { return m_site.role == Role::Weight; }
    [[nodiscard]] bool perChannel() const { return m_perChannel; }
    /// Of methods that have channels without the option `granularity`.
    void setPerChannel(bool perChannel) { m_perChannel = perChannel; }
    /// The dimension that groups of x run over; -1 for one group (per tensor, or an array of one dimension).
    [[nodiscard]] virtual int axisOf(const at::Tensor &x) const { return m_perChannel && x.dim() > 1 ? m_site.channelAxis : -1; }
    /// How many groups the last tensor had.
    [[nodiscard]] std::size_t groupCount() const { return m_groups; }
    /// From calibrate(): the values are there, for so many groups.
    void setReady(std::size_t groups);

    /// Sets a value: one number for each group, or a list that belongs to the only group. A learned one keeps its leaf
    /// where the shape allows, because an optimizer may hold it.
    void setValue(const std::string &name, const std::vector<float> &numbers, bool learned = false);
    [[nodiscard]] bool hasValue(const std::string &name) const { return m_values.contains(name); }
    /// Numbers of a value; throws where it is not there.
    [[nodiscard]] std::span<const float> value(const std::string &name) const;
    /// The tensor behind a value, for running().
    [[nodiscard]] at::Tensor tensorOf(const std::string &name) const { return m_values.at(name).tensor; }
    /// One number of it: the group's, or the only one there is.
    [[nodiscard]] float valueAt(const std::string &name, std::size_t group) const;
    /// The values of the spec that this method is to take as they are: each of `names` that is given is set. Errors: not
    /// finite, no numbers, or not `positive` (those named). Call it in make().
    Status takeGiven(const std::vector<std::string> &names, const std::vector<std::string> &positive = {}, bool learned = false);
    /// After learned values changed other than by the optimizer.
    void forgetGrid() { m_cached.reset(); }

private:
    struct Value { at::Tensor tensor; bool learned = false; };

    void fit(const at::Tensor &x);
    [[nodiscard]] const Grid &current() const;
    [[nodiscard]] RuleGradients gradients(const at::Tensor &g, const at::Tensor &x) const;

    QuantSpec m_spec;
    Site m_site;
    std::string m_label;
    std::string m_surrogate;
    bool m_perChannel = false, m_ready = false, m_anyLearned = false;
    std::size_t m_groups = 1;
    std::map<std::string, Value> m_values;
    mutable std::optional<Grid> m_cached;
};

/// Calls body(values, group) for each group of x, on several threads; NaN and infinities are among the values.
void eachGroup(const at::Tensor &x, int axis, const std::function<void(std::span<const float>, std::size_t)> &body);
/// The finite ones of them.
std::vector<float> finiteOf(std::span<const float> values);

/// The gradient by a surrogate of methods.md A2 instead of the method's own: `grid` says where clip and steps are.
at::Tensor surrogateGradient(const std::string &name, const at::Tensor &g, const at::Tensor &x, int axis, const QuantGrid &grid);

/// g where the condition of the straight-through estimator holds for x, else 0.
at::Tensor passBetween(const at::Tensor &g, const at::Tensor &x, float low, float high, bool lowIncluded = true, bool highIncluded = true);

// ---- options that many methods share ----

/// `granularity`, the first one being the default.
ParamSpec granularityOption(std::vector<std::string> choices);
ParamSpec choiceOption(std::string name, std::vector<std::string> choices, std::string help, std::string onlyWith = {});
ParamSpec realOption(std::string name, double fallback, double minimum, double maximum, std::string help, std::string onlyWith = {});
ParamSpec boolOption(std::string name, bool fallback, std::string help, std::string onlyWith = {});
/// `lr_factor` and `decay` of what the method learns, with the paper's defaults.
void addTrainingOptions(MethodTraits &traits, double rateFactor, bool decay);
/// The error for an activation per channel; ok otherwise.
Status refuseActivationChannels(const QuantSpec &spec, const Site &site);

} // namespace bitwright
