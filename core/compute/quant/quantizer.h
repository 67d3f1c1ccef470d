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
struct Learnable {
    std::string name;
    at::Tensor tensor;
    double rateFactor = 1;              ///< times the run's learning rate
    bool decay = false;                 ///< the run's weight decay acts on it (methods.md A4: not unless the method says so)
};

/// Where a training run is, for schedules and for noise that a resumed run repeats.
struct TrainingClock {
    std::uint64_t seed = 0;
    std::int64_t step = 0, totalSteps = 0;   ///< step counts from 0 over the whole run
    int epoch = 1;                           ///< from 1
    std::uint64_t site = 0;                  ///< another number for each quantizer of the network
};

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

    // ---- hooks of a training step (methods.md A8), in this order ----

    /// Before anything else of the step.
    virtual void beginStep(const TrainingClock &clock) { (void)clock; }
    /// True where `secondMoment` of setCurvature() is wanted (weights).
    [[nodiscard]] virtual bool wantsCurvature() const { return false; }
    /// The running second moment of the weight's gradient, bias-corrected, of the weight's shape (methods.md B19).
    virtual void setCurvature(const at::Tensor &secondMoment) { (void)secondMoment; }
    /// What forward() is about to see, pruned entries as NaN: running averages and statistics are taken here.
    virtual void observe(const at::Tensor &x) { (void)x; }
    /// After the optimizer: keeps learned values legal (a step stays positive), takes over running averages.
    virtual void endStep() {}
    /// After the optimizer: keeps the float weight behind the quantized one in its range, in place (BinaryConnect).
    virtual void constrain(at::Tensor &weight) { (void)weight; }
    /// True where training moves values that nothing learns (running averages, loss-aware scales): they are then kept in
    /// the assignment, because the weight alone does not give them back.
    [[nodiscard]] virtual bool keepsValues() const { return false; }
    /// Tensors behind such values; a checkpoint holds them. Changed in place only.
    virtual std::vector<Learnable> running() { return {}; }

    /// Learned and calibrated values as they stand in an assignment.
    [[nodiscard]] virtual std::map<std::string, std::vector<double>> values() const = 0;
};

struct QuantizerRow {
    MethodTraits traits;
    /// Options are complete and valid; values may be there or not. The error names the layer and the option.
    Result<std::unique_ptr<Quantizer>> (*make)(const QuantSpec &spec, const Site &site) = nullptr;
    bool surrogates = true;             ///< takes the option `surrogate`
    bool normalizes = true;             ///< takes the option `normalize` (weights), where it is a weight method at all
    bool normalizedByDefault = false;
};

/// Names of the surrogate gradients that the option `surrogate` takes (methods.md A2).
const std::vector<std::string> &surrogateNames();

/// The table: order is the order in menus.
const std::vector<QuantizerRow> &quantizerRows();
/// The catalogue of everything there is, for engine, window and command line.
const Catalog &methodCatalog();
/// Makes the quantizer of a resolved spec (not "float").
Result<std::unique_ptr<Quantizer>> makeQuantizer(const QuantSpec &spec, const Site &site);

} // namespace bitwright
