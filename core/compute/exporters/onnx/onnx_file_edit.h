// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "frontends/onnx_proto.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace bitwright {

/// What to change in an ONNX file; nodes by their index in its main graph, or in the sub-graph that the edit is for.
struct OnnxFileEdit {
    std::vector<onnx::Node> front;                                      ///< before all others
    std::map<std::size_t, std::vector<onnx::Node>> before;
    std::map<std::size_t, std::map<std::size_t, std::string>> inputs;   ///< new names; one past the end is added
    std::map<std::size_t, std::map<std::size_t, std::string>> renamedOutputs;
    std::map<std::size_t, onnx::Node> replacedNodes;
    std::set<std::size_t> removedNodes;
    std::set<std::string> removedInitializers;                          ///< taken from the inputs too, where old files list them
    std::vector<onnx::Tensor> initializers;
    std::map<std::size_t, std::map<std::string, std::shared_ptr<OnnxFileEdit>>> bodies;   ///< by the attribute that holds them
    std::map<std::string, std::string> metadata;                        ///< added, or put in the place of what has the key
};

/// The file `bytes` with the edit; every field that the edit does not touch is copied as it stands. `path` is for messages.
Result<std::string> editedFile(std::string_view bytes, const std::string &path, const OnnxFileEdit &edit);

} // namespace bitwright
