// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "frontends/frontend.h"

namespace bitwright {

// One function per format, each defined in a file of that name beside this one. `load` must call normalize().
Frontend pt2Frontend();
Frontend torchscriptFrontend();
Frontend onnxFrontend();
Frontend safetensorsFrontend();
Frontend checkpointFrontend();

namespace onnx { struct Model; }
/// The network of a model that was read from `path` already; `load` of ONNX's row is `readModel` and this.
Result<Graph> onnxGraph(onnx::Model model, const std::string &path, const JobContext &context);

} // namespace bitwright
