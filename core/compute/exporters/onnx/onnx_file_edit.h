// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "frontends/onnx_proto.h"

#include <map>
#include <set>
#include <string>

namespace bitwright {

/// What to change in an ONNX file; nodes by their index in its main graph.
struct OnnxFileEdit {
    std::vector<onnx::Node> front;                                      ///< before all others
    std::map<std::size_t, std::vector<onnx::Node>> before;
    std::map<std::size_t, std::map<std::size_t, std::string>> inputs;   ///< new names; one past the end is added
    std::map<std::size_t, std::map<std::size_t, std::string>> renamedOutputs;
    std::map<std::size_t, onnx::Node> replacedNodes;
    std::set<std::size_t> removedNodes;
    std::set<std::string> removedInitializers;                          ///< taken from the inputs too, where old files list them
    std::vector<onnx::Tensor> initializers;
    std::map<std::string, std::string> metadata;                        ///< added, or put in the place of what has the key
};

/// The file with the edit; every field that the edit does not touch is copied as it stands.
Result<std::string> editedFile(const std::string &path, const OnnxFileEdit &edit);

} // namespace bitwright
