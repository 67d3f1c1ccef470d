// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"

namespace bitwright {

/// What the policy says about one quantizable layer of `model`; the rule for the first and the last layer goes before the
/// one for shortcuts.
[[nodiscard]] LayerPolicy::Keep keepFor(const LayerPolicy &policy, const LayerInfo &layer, const ModelSummary &model);

/// What stands beneath a layer's own entry: the defaults, or what the policy puts in their place where that entry names no
/// method.
[[nodiscard]] QuantPatch patchBeneath(const QuantPatch &own, const QuantPatch &defaults, LayerPolicy::Keep keep);

/// resolveLayer() with the policy: what the layer is evaluated and trained with.
Result<LayerConfig> resolveLayer(const ModelConfig &config, const LayerInfo &layer, const ModelSummary &model, const Catalog &catalog);

/// Sets another policy and lets it act: the layers whose rule changes lose the quantizers of their own entries, which
/// calibration may have written there; masks stay.
void setPolicy(ModelConfig &config, const LayerPolicy &policy, const ModelSummary &model);

} // namespace bitwright
