// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/pack_tensor.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace bitwright::pack {

/// A `.pack` file in memory (docs/pack.md).
struct PackFile {
    nlohmann::json assignment;     ///< without what the tensors hold: weights' values and masks
    std::string modelSha;
    std::vector<PackedTensor> tensors;
};

std::string serialize(const PackFile &file);
/// Checks magic, version, every checksum and that nothing is missing or left over.
Result<PackFile> parse(std::string_view bytes);
/// The same from a file; the error names it.
Result<PackFile> readPack(const std::string &path);
[[nodiscard]] bool isPack(const std::string &path);

} // namespace bitwright::pack
