// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/pack_bits.h"
#include "grid/mask.h"
#include "grid/quant_grid.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bitwright::pack {

/// How the file says which elements there are codes for.
enum class Positions {
    All,      ///< each element has a code
    Code,     ///< each element has a code, and code 0 says pruned
    Bitmap,   ///< one bit for each element, then codes of those that are kept
    Gaps      ///< how many were skipped before each code; code 0 is a filler where a gap is too long (methods.md B1)
};

/// One tensor of the file: what its header says and its bytes.
struct PackedTensor {
    std::string name;
    std::vector<std::int64_t> shape;
    std::string type = "float32";      ///< of what unpacking gives
    bool quantized = false;            ///< false: values lie in the file as they are
    int bits = 32;                     ///< of the assignment
    // quantized only
    bool uniform = true;               ///< levels are (qmin + i - zero point) * scale; else they are listed
    std::int64_t qmin = 0, levels = 0, groups = 1;
    int axis = -1;                     ///< groups run over this dimension; -1 for one group
    std::int64_t block = 0;            ///< elements along axis that share a group, in each row of its own; 0: a group for each index
    bool zeroPoints = false;           ///< zero points lie in the file
    Coding codes = Coding::Plain;
    // where weights are pruned
    Positions positions = Positions::All;
    int gapBits = 0;
    std::int64_t entries = 0;          ///< codes in the file
    Coding positionCoding = Coding::Plain;

    std::string payload;

    [[nodiscard]] std::string describe() const;   ///< "4-bit codes, Huffman; gaps of 5 bits, Huffman"
    [[nodiscard]] double bitsPerWeight() const;
    [[nodiscard]] std::int64_t count() const;
};

/// Packs what a simulation uses, as small as any of the ways does. A tensor that does not lie on `grid` (null: float) goes
/// in as it is. `mask` may be empty; what it prunes is zero in `tensor`. `block`: as PackedTensor has it.
PackedTensor packTensor(const std::string &name, const at::Tensor &tensor, const QuantGrid *grid, int axis, int bits, const Mask &mask,
                        std::int64_t block = 0);
/// The other way, bit for bit. Errors say what is damaged.
Result<at::Tensor> unpackTensor(const PackedTensor &packed);

nlohmann::json tensorHeader(const PackedTensor &packed);
/// All but the payload; checks every number, so that unpacking needs no more memory than `elementLimit` elements.
Result<PackedTensor> tensorFromHeader(const nlohmann::json &header, std::int64_t elementLimit);

} // namespace bitwright::pack
