// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "frontends/onnx_proto.h"

namespace bitwright {

/// Puts the bodies of the model's own functions in the place of the nodes that call them, in sub-graphs too. Parse where
/// a function calls itself or the result would be impossibly large.
Status inlineFunctions(onnx::Model &model);

} // namespace bitwright
