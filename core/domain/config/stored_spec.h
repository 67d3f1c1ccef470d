// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"
#include "grid/quant_grid.h"
#include "network/stored_quantization.h"

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bitwright {

/// How a person names it: "int8 per channel", "uint4 in blocks of 32", "uint8".
[[nodiscard]] std::string storedText(const StoredQuantization &stored);
/// Both of a layer in one sentence for a table's last column, "in the file: weight int8 per channel, input uint8"; empty where
/// neither is quantized.
[[nodiscard]] std::string storedText(const LayerInfo &layer);

/// The file's levels, ascending, one group for each scale. Empty where only the running network finds the scale.
[[nodiscard]] QuantGrid storedGrid(const StoredQuantization &stored);
/// The same levels with as few numbers beside the codes as there can be: a zero point that all groups share moves into the
/// codes, which then count from it. Scales keep their sign: under a negative one the levels descend.
[[nodiscard]] QuantGrid compactGrid(const StoredQuantization &stored);
/// What stands beside the codes, in bits: a float32 for each scale and, where they differ, 32 for each zero point.
[[nodiscard]] double storedSideBits(const StoredQuantization &stored);

/// bits, signed, axis (null: the tensor has one), block, scales (how many; 0: found while the network runs) and, where there
/// is one for all, scale and zero_point.
[[nodiscard]] nlohmann::json storedJson(const StoredQuantization &stored);

/// The quantizer with the file's own levels: `uniform` with its bits, scale and zero point. Unsupported, with the reason,
/// where there is none: blocks, scales along another dimension than the output channels, or known to the run alone.
/// Invalid where the layer has nothing stored for the role.
Result<QuantSpec> storedSpec(const LayerInfo &layer, Role role, const Catalog &catalog);

/// The network after training: its weights are no longer the codes of the file.
[[nodiscard]] ModelSummary afterTraining(ModelSummary model);

/// The file's quantization as an assignment to start from.
struct StoredConfig {
    ModelConfig config;
    std::size_t taken = 0;               ///< tensors
    std::vector<std::string> left;       ///< those that an assignment cannot express, one sentence each
};
StoredConfig storedConfig(const ModelSummary &model, const Catalog &catalog);

} // namespace bitwright
