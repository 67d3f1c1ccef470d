// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// One file of an archive; the bytes are the caller's.
struct ArchiveRecord {
    std::string name;
    std::string_view bytes;
};

/// The raw numbers of a contiguous tensor, as archives hold them.
std::string_view bytesOf(const at::Tensor &tensor);

/// Writes the zip that PyTorch's formats are, records in this order.
Status writeTorchArchive(const std::string &path, const std::vector<ArchiveRecord> &records);

} // namespace bitwright
