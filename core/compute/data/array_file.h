// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bitwright {

class ByteSource;

using NamedTensor = std::pair<std::string, at::Tensor>;

/// Reads a .npy file (versions 1 to 3, either byte order, C or Fortran order; bool, signed and unsigned integers, float16
/// to float64). uint16 comes as int32, uint32 and uint64 as int64. A header cannot make it ask for more memory than the
/// file can fill.
Result<at::Tensor> readNpy(const std::string &path);
/// The same from an opened source; `first` and `limit` choose rows of dimension 0 (limit < 0: all), `total` receives
/// the number of rows in the file.
Result<at::Tensor> readNpy(ByteSource &source, std::int64_t first = 0, std::int64_t limit = -1,
                           std::int64_t *total = nullptr);
/// Names of the arrays in a .npz file, in its order.
Result<std::vector<std::string>> npzNames(const std::string &path);
/// One array of a .npz file.
Result<at::Tensor> readNpz(const std::string &path, const std::string &name, std::int64_t first = 0,
                           std::int64_t limit = -1, std::int64_t *total = nullptr);
/// All arrays of a .npz file, or the one of a .npy file under an empty name. The content decides, not the extension.
Result<std::vector<NamedTensor>> readArrays(const std::string &path);

/// The bytes of a version 1 .npy file.
std::string npyBytes(const at::Tensor &tensor);
/// Writes version 1 .npy; beside the target first, then renamed.
Status writeNpy(const std::string &path, const at::Tensor &tensor);
/// Writes an uncompressed .npz; beside the target first, then renamed.
Status writeNpz(const std::string &path, const std::vector<NamedTensor> &tensors);

} // namespace bitwright
