// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "simulate/evaluator.h"

#include <functional>
#include <memory>
#include <string>

namespace bitwright {

struct LayerWalkOptions {
    bool sqnr = false;                  ///< measure SQNR instead of the metric
    Metric metric = Metric::Top1;
    bool foldBatchNorm = false;
    std::int64_t limit = 0;             ///< samples, 0 for all
    std::int64_t batch = 64;
    std::int64_t memoryBytes = std::int64_t(1) << 30;   ///< live sets held at a time
};

/// One variant of one layer, measured with all other layers float.
struct LayerPoint {
    std::string layer;
    std::size_t variant = 0;
    double value = 0;            ///< the metric, or the SQNR of the network's output in dB
    double delta = 0;            ///< value less the float network's; NaN when the measure is sqnr
    double sqnrDb = 0;           ///< of the network's output against the float network's
    double low = 0, high = 0;    ///< 95 % interval of the value
    std::int64_t samples = 0;
};

/// The network with variant number `variant` of `layer` in it and everything before that layer as in the float network; null
/// where the layer has no such variant, which is then left out.
using MakeVariant = std::function<Result<std::unique_ptr<Simulation>>(const LayerInfo &layer, std::size_t variant)>;

/// Measures `variants` variants of every quantizable layer, one at a time. The float prefix of each layer is computed
/// once: the live sets move through the network with the layer under test, so the whole costs about half of as many full
/// evaluations. Every variant is made before the first is measured, so that what is impossible is said at once. `onPoint`
/// gets each finished point, layers in execution order; after a cancellation those reported stay valid.
Status walkLayers(Evaluator &evaluator, std::shared_ptr<const Network> network, const LayerWalkOptions &options, std::size_t variants,
                  const MakeVariant &makeVariant, const JobContext &context, const std::function<void(const LayerPoint &)> &onPoint);

} // namespace bitwright
