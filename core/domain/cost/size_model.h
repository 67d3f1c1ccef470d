// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"
#include "network/model_summary.h"

#include <algorithm>
#include <map>
#include <string>

namespace bitwright {

/// What a weight of `mask.size()` elements takes under each way of storing it, in bits (methods.md I1). Relative indices
/// are counted with the best of 4, 5 and 8 bits; CSR has `rows` rows and as many bits a column as their length needs.
struct SparseBits {
    double dense = 0, bitmap = 0, relative = 0, csr = 0;
    [[nodiscard]] double least() const { return std::min({dense, bitmap, relative, csr}); }
    friend bool operator==(const SparseBits &, const SparseBits &) = default;
};
SparseBits sparseBits(const Mask &mask, double bitsPerCode, std::int64_t rows);

/// What one layer takes and costs under an assignment (methods.md I1, I2). Bits unless the name says bytes.
struct LayerCost {
    double weightBits = 0;       ///< codes, the file's own ones too, or 32 per weight when float; masked ones as the smallest of SparseBits
    double keptShare = 1;        ///< of the weight's elements
    double sideBits = 0;         ///< scales and zero points of weight and activation
    double restBits = 0;         ///< bias (float32) and, unless folded, its batch norm
    double macs = 0;
    /// MACs times weight bits times activation bits (32 when float, the file's where it is quantized already); less what channels save that structured masks took
    /// away, here and as inputs of others. Single zeros save nothing here: macs * keptShare is what hardware could save.
    double bops = 0;
    [[nodiscard]] double totalBits() const { return weightBits + sideBits + restBits; }
    friend bool operator==(const LayerCost &, const LayerCost &) = default;
};

struct ModelCost {
    std::map<std::string, LayerCost> layers;
    double otherBits = 0;        ///< float32 parameters outside the listed layers
    double bops = 0;
    double sizeBits = 0;
    [[nodiscard]] std::int64_t sizeBytes() const { return std::int64_t((sizeBits + 7) / 8); }
};

/// Whether a `uniform` spec stores a zero point: asymmetric as an option says it, else by role (weights are symmetric,
/// activations are not unless an option of symmetric grids is given).
[[nodiscard]] bool hasZeroPoint(const QuantSpec &spec, Role role);

/// Side information of one spec in bits: uniform 32 per scale and, asymmetric, b per zero point; `groups` is the number
/// of channels when the granularity is per channel. The same number as the quantizer's grid gives (a test holds them).
double sideBits(const QuantSpec &spec, Role role, std::int64_t groups);

ModelCost modelCost(const ModelSummary &model, const ResolvedConfig &config, bool foldBatchNorm);
/// The float32 network's size in bytes: 4 times its parameters.
std::int64_t floatSizeBytes(const ModelSummary &model);

} // namespace bitwright
