// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "graph/graph.h"

#include <string>
#include <vector>

namespace bitwright {

/// One file format. `probe` reads magic bytes, never the extension.
struct Frontend {
    std::string id;        ///< "pt2", "torchscript", "onnx"
    std::string title;
    bool (*probe)(const std::string &path) = nullptr;
    Result<Graph> (*load)(const std::string &path, const JobContext &context) = nullptr;
    /// Writes a copy of `source` with parameters and buffers of these names replaced (fine-tuned weights leave in the
    /// format that came in). Null where the format cannot. Writes a temporary file, then renames.
    Status (*writeWithParameters)(const std::string &source, const ParameterMap &replaced, const std::string &target) = nullptr;
};

/// All formats, in the order they are probed.
const std::vector<Frontend> &frontends();

/// Opens a network of any known format. Errors say what the file is (a state dict, a pickle, truncated, foreign) and how
/// to export it.
Result<Graph> loadGraph(const std::string &path, const JobContext &context = {});

/// Writes the network of `source` with these tensors in place, in its own format.
Status writeWithParameters(const std::string &source, const ParameterMap &replaced, const std::string &target);

} // namespace bitwright
