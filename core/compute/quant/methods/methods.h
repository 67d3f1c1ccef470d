// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/quantizer.h"

namespace bitwright {

// One function per file of this folder; quantizer_registry.cpp puts them in order.
QuantizerRow uniformRow();
QuantizerRow binaryconnectRow();
QuantizerRow bnnRow();
QuantizerRow bwnRow();
QuantizerRow xnorRow();
QuantizerRow birealRow();
QuantizerRow abcRow();
QuantizerRow horqRow();
QuantizerRow twnRow();
QuantizerRow ttqRow();
QuantizerRow inqRow();
QuantizerRow apotRow();
QuantizerRow hwgqRow();
QuantizerRow dorefaRow();
QuantizerRow wrpnRow();
QuantizerRow balancedRow();
QuantizerRow pactRow();
QuantizerRow sawbRow();
QuantizerRow qilRow();
QuantizerRow kmeansRow();
QuantizerRow lloydRow();
QuantizerRow lqnetsRow();
QuantizerRow quantnetRow();
QuantizerRow laqRow();

/// "conv1 (weight), uniform" for messages; just the method where the layer has no name.
std::string siteLabel(const Site &site, const std::string &method);

} // namespace bitwright
