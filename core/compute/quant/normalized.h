// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/quantizer.h"

namespace bitwright {

/// Any weight quantizer behind the normalisation of methods.md A7: it sees (w - mean) / (std + 1e-5) of each of its groups
/// (per tensor, or per channel where `inner` has channels), with the statistics of the present weight and no gradient
/// through them. With `restore` the answer is mapped back to the weight's own scale, without it stays normalised, as
/// methods that rely on a batch norm behind them have it. Thresholds are in units of the weight either way.
std::unique_ptr<Quantizer> normalized(std::unique_ptr<Quantizer> inner, const Site &site, bool perChannel, bool restore,
                                      const std::string &label);

} // namespace bitwright
