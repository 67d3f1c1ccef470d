// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "graph/graph.h"

#include <string>
#include <vector>

namespace bitwright {

/// Named tensors and a text, as one file that Python's torch.load opens too (a pickled dictionary of tensors).
struct TensorArchive {
    ParameterMap tensors;
    std::string text;      ///< JSON
};

Result<std::vector<char>> packTensors(const TensorArchive &archive);
/// `what` names the source in errors; bytes that are no such archive are an error, never a crash.
Result<TensorArchive> unpackTensors(const std::vector<char> &bytes, const std::string &what);

/// Writes beside the target first and renames, so that a crash leaves the older file whole.
Status writeArchive(const TensorArchive &archive, const std::string &path);
Result<TensorArchive> readArchive(const std::string &path);

} // namespace bitwright
