// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace bitwright {

/// Reads rows [first, first + limit) of an IDX file (MNIST's format), plain or gzip; limit < 0 takes all. Bytes stay
/// bytes, other types become float32 (labels: int64 is up to the caller). `total` receives the number in the file.
Result<at::Tensor> readIdx(const std::string &path, std::int64_t first = 0, std::int64_t limit = -1,
                           std::int64_t *total = nullptr);

struct IdxPair { std::string images, labels; };
/// Finds images and labels of a split ("test" or "train") in a folder, as the MNIST family names them; also takes the
/// image file itself.
Result<IdxPair> findIdxPair(const std::string &path, const std::string &split);

} // namespace bitwright
