// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "simulate/evaluator.h"
#include "simulate/evidence.h"

#include <functional>
#include <string>
#include <vector>

namespace bitwright {

/// One layer pruned to one sparsity, all others as they are in the float network (methods.md F1.1).
struct SensitivityResult {
    std::string layer;
    double sparsity = 0;         ///< that was asked for
    double keptShare = 1;        ///< of the layer's weights, as the mask has it
    double value = 0;            ///< the metric, or the SQNR of the network's output in dB
    double delta = 0;            ///< value less the float network's; NaN when the measure is sqnr
    double sqnrDb = 0;           ///< of the network's output against the float network's
    std::int64_t sizeBytes = 0;  ///< of the network with this layer pruned
    double low = 0, high = 0;    ///< 95 % interval of the value
    double bops = 0;
    std::int64_t samples = 0;
    ModelConfig config;          ///< of this point, with its mask
};

struct SensitivityOptions {
    std::string method = "magnitude";
    ParamValues options;
    std::vector<double> sparsities{0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95};
    bool sqnr = false;                  ///< measure SQNR instead of the metric
    Metric metric = Metric::Top1;
    bool foldBatchNorm = false;
    std::int64_t limit = 0;
    std::int64_t batch = 64;
    std::int64_t memoryBytes = std::int64_t(1) << 30;   ///< live sets held at a time
};

/// Prunes layer after layer to each sparsity. Costs and cancellation as in walkLayers(). `evidence` may be empty for a
/// criterion that looks at weights alone. Errors: what the criterion refuses, no sparsities.
Result<std::vector<SensitivityResult>> sensitivity(Evaluator &evaluator, std::shared_ptr<const Network> network,
                                                   const SensitivityOptions &options, const Evidence &evidence,
                                                   const JobContext &context,
                                                   const std::function<void(const SensitivityResult &)> &onPoint = {});

} // namespace bitwright
