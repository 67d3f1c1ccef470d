// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "search/layer_walk.h"
#include "simulate/calibration.h"

#include <functional>
#include <string>
#include <vector>

namespace bitwright {

/// One layer at one bit width, all others float (methods.md F1.1, F1.3).
struct SweepResult {
    std::string layer;
    int bits = 0;
    double value = 0;        ///< the metric, or the SQNR of the network's output in dB
    double delta = 0;        ///< value less the float network's; NaN when the measure is sqnr
    double sqnrDb = 0;       ///< of the network's output against the float network's
    std::int64_t sizeBytes = 0;
    double low = 0, high = 0;    ///< 95 % interval of the value
    double bops = 0;
    std::int64_t samples = 0;
    ModelConfig config;          ///< of this point, with its values
};

struct SweepOptions {
    std::vector<int> bits{8, 4, 2};
    bool weight = true, activation = true;
    bool sqnr = false;                  ///< measure SQNR instead of the metric
    Metric metric = Metric::Top1;
    LayerPatch spec;                    ///< method and options of both roles; the bits come from the list
    bool foldBatchNorm = false;
    std::int64_t limit = 0;
    std::int64_t batch = 64;
    std::int64_t memoryBytes = std::int64_t(1) << 30;   ///< live sets held at a time
};

/// Sweeps layer after layer; costs and cancellation as in walkLayers().
Result<std::vector<SweepResult>> sweep(Evaluator &evaluator, std::shared_ptr<const Network> network, const SweepOptions &options,
                                       const ActivationStatistics &statistics, const Catalog &catalog, const JobContext &context,
                                       const std::function<void(const SweepResult &)> &onPoint = {});

} // namespace bitwright
