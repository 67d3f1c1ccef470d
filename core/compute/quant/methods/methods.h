// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/quantizer.h"

namespace bitwright {

// One function per file of this folder; quantizer_registry.cpp puts them in order.
QuantizerRow uniformRow();
QuantizerRow kmeansRow();

/// "conv1 (weight), uniform" for messages; just the method where the layer has no name.
std::string siteLabel(const Site &site, const std::string &method);

} // namespace bitwright
