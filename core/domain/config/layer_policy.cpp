// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/layer_policy.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bitwright {

namespace {

using Keep = LayerPolicy::Keep;

constexpr std::array kNames{std::pair{Keep::Same, "same"}, std::pair{Keep::EightBit, "8bit"}, std::pair{Keep::Float, "float"}};
constexpr int kKeptBits = 8;

bool isQuantizable(const LayerInfo &layer)
{
    return layer.status == LayerStatus::Quantizable;
}

/// By the name, since a caller may hold a copy of the layer.
bool isFirstOrLast(const LayerInfo &layer, const ModelSummary &model)
{
    const auto first = std::ranges::find_if(model.layers, isQuantizable);
    const auto last = std::find_if(model.layers.rbegin(), model.layers.rend(), isQuantizable);
    return first != model.layers.end() && (layer.name == first->name || layer.name == last->name);
}

} // namespace

const char *keepName(Keep keep)
{
    for (const auto &[value, name] : kNames)
        if (value == keep)
            return name;
    return "same";
}

std::optional<Keep> keepFromName(const std::string &name)
{
    for (const auto &[value, known] : kNames)
        if (name == known)
            return value;
    return std::nullopt;
}

Keep keepFor(const LayerPolicy &policy, const LayerInfo &layer, const ModelSummary &model)
{
    if (policy.firstLast != Keep::Same && isFirstOrLast(layer, model))
        return policy.firstLast;
    return layer.shortcut ? policy.shortcuts : Keep::Same;
}

QuantPatch patchBeneath(const QuantPatch &own, const QuantPatch &defaults, Keep keep)
{
    // What the defaults leave in float, or say nothing of, has no low bits that the policy could replace.
    if (keep == Keep::Same || own.method || !defaults.method || *defaults.method == kFloatMethod)
        return defaults;
    QuantPatch kept;
    kept.method = keep == Keep::Float ? kFloatMethod : "uniform";
    if (keep == Keep::EightBit)
        kept.bits = kKeptBits;
    return kept;
}

void setPolicy(ModelConfig &config, const LayerPolicy &policy, const ModelSummary &model)
{
    for (const LayerInfo &layer : model.layers) {
        const auto own = config.layers.find(layer.name);
        if (own == config.layers.end() || !isQuantizable(layer) || keepFor(policy, layer, model) == keepFor(config.policy, layer, model))
            continue;
        own->second.weight = own->second.activation = {};
        if (own->second.empty())
            config.layers.erase(own);
    }
    config.policy = policy;
}

} // namespace bitwright
