// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"
#include "network/model_summary.h"

#include <map>
#include <string>
#include <vector>

namespace bitwright {

/// Which output channels a mask takes away as a whole, one entry per channel; empty where it takes none. Only of masks that
/// are about channels: those of structured criteria, which have no option `channels`, and of others where that option says
/// so (options are complete). A row that a mask of single weights happens to empty still gives its bias.
std::vector<bool> emptiedOutputs(const LayerInfo &layer, const PruneSpec &spec);

/// What share of a layer's multiply-accumulates is left where structured masks took channels away: its own, and the inputs
/// that nobody writes any more (methods.md D4). 1 for layers that are not in the map.
std::map<std::string, double> liveMacShares(const ModelSummary &model, const ResolvedConfig &config);

} // namespace bitwright
