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

} // namespace bitwright
