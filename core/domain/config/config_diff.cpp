// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/layer_policy.h"

namespace bitwright {

ConfigDiff diff(const ModelConfig &before, const ModelConfig &after, const ModelSummary &model, const Catalog &catalog)
{
    ConfigDiff result;
    result.network = before.foldBatchNorm != after.foldBatchNorm;
    for (const auto &layer : model.layers) {
        if (layer.status != LayerStatus::Quantizable)
            continue;
        const auto old = resolveLayer(before, layer, model, catalog);
        const auto now = resolveLayer(after, layer, model, catalog);
        ConfigDiff::Change change;
        if (old && now)
            change = {.weight = old->weight != now->weight || old->prune != now->prune, .activation = old->activation != now->activation};
        else if (old || now || old.error() != now.error())
            change = {.weight = true, .activation = true};   // one of them is invalid: nothing of it may be reused
        if (change != ConfigDiff::Change{})
            result.layers.emplace(layer.name, change);
    }
    return result;
}

} // namespace bitwright
