// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "config/model_config.h"
#include "grid/quant_grid.h"
#include "quant/site_statistics.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// Where a quantizer sits.
struct Site {
    std::string layer;                  ///< for messages; may be empty
    Role role = Role::Weight;
    int channelAxis = 0;                ///< per-channel groups run over this dimension (1 for transposed convolutions)
    bool nonNegative = false;           ///< activation behind a ReLU
};

/// A parameter that training learns; `tensor` is a leaf, float32, one entry per group.
struct Learnable { std::string name; at::Tensor tensor; };

/// One method bound to one site. Not thread-safe; copy by making another from spec().
class Quantizer {
public:
    virtual ~Quantizer() = default;
    /// True when every value forward() needs is known.
    [[nodiscard]] virtual bool calibrated() const = 0;
    /// Derives the values from the tensor itself (weights, raw tensors); overwrites what was there.
    virtual Status calibrate(const at::Tensor &x) = 0;
    /// Derives them from what was streamed over the calibration set (activations).
    virtual Status calibrate(const SiteStatistics &statistics) = 0;
    /// Quantizes; differentiable by the method's backward rule when grad mode is on and x or a learnable requires it.
    virtual at::Tensor forward(const at::Tensor &x) = 0;
    /// The same numbers without gradient, one fused pass; in place when `mayOverwrite`, else into a new tensor.
    virtual at::Tensor apply(const at::Tensor &x, bool mayOverwrite) = 0;
    /// The levels as they are now. Requires calibrated().
    [[nodiscard]] virtual QuantGrid grid() const = 0;
    /// What training learns under the present options; may be empty.
    virtual std::vector<Learnable> learnables() { return {}; }
    /// Training begins on the weight `x`: a method that learns shared values alone keeps the codes that x has now.
    virtual void freeze(const at::Tensor &x) { (void)x; }
    /// After freeze(): what such a weight is by now, its shape and each element's shared value. Undefined for all others,
    /// whose weights are trained themselves.
    [[nodiscard]] virtual at::Tensor frozen() const { return {}; }
    /// Keeps learned values legal (a step stays positive); called after each optimizer step.
    virtual void clampLearnables() {}
    /// Learned and calibrated values as they stand in an assignment.
    [[nodiscard]] virtual std::map<std::string, std::vector<double>> values() const = 0;
};

struct QuantizerRow {
    MethodTraits traits;
    /// Options are complete and valid; values may be there or not. The error names the layer and the option.
    Result<std::unique_ptr<Quantizer>> (*make)(const QuantSpec &spec, const Site &site) = nullptr;
};

/// The table: order is the order in menus.
const std::vector<QuantizerRow> &quantizerRows();
/// The catalogue of everything there is, for engine, window and command line.
const Catalog &methodCatalog();
/// Makes the quantizer of a resolved spec (not "float").
Result<std::unique_ptr<Quantizer>> makeQuantizer(const QuantSpec &spec, const Site &site);

} // namespace bitwright
