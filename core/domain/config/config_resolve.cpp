// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/names.h"
#include "config/layer_policy.h"
#include "config/spec_keys.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

constexpr int kFloatBits = 32;

/// A tensor left alone takes no bits and no options from its own entry; what the defaults say does not concern it.
Result<QuantSpec> floatSpec(const QuantPatch &own, const std::string &label)
{
    std::string extra;
    if (own.bits && *own.bits != kFloatBits)
        extra = "bits";
    else if (!own.options.empty())
        extra = own.options.begin()->first;
    else if (!own.values.empty())
        extra = own.values.begin()->first;
    if (!extra.empty())
        return fail(ErrorKind::Invalid, label + ", the method \"float\" has no key \"" + extra
                                            + "\"; name a method or leave the key out");
    return QuantSpec{};
}

Result<int> mergedBits(const QuantPatch &defaults, const QuantPatch &own, const MethodTraits &traits,
                       const std::string &label)
{
    std::optional<int> bits = own.bits ? own.bits : defaults.bits;
    if (!bits && traits.minimumBits == traits.maximumBits)
        bits = traits.minimumBits;
    if (!bits)
        return fail(ErrorKind::Invalid, label + ", the key \"bits\" is missing; add it beside the method");
    BW_CHECK(checkBits(traits, *bits, label));
    return *bits;
}

/// Options of the own entry over those of the defaults over the method's. Default options that another method does not
/// know, or knows with another meaning, stay behind with the default method.
Result<ParamValues> mergedOptions(const QuantPatch &defaults, const QuantPatch &own, const MethodTraits &traits,
                                  const std::string &label)
{
    const bool sameMethod = !own.method || own.method == defaults.method;
    ParamValues merged = own.options;
    for (const auto &[name, value] : defaults.options) {
        const ParamSpec *spec = traits.option(name);
        if (sameMethod || (spec && checkParam(*spec, value)))
            merged.emplace(name, value);
    }
    for (const auto &[name, value] : merged)
        if (!traits.option(name))
            return unknownKey(name, traits, label);
    return completeParams(traits.options, merged, label);
}

Result<std::map<std::string, std::vector<double>>> mergedValues(const QuantPatch &defaults, const QuantPatch &own,
                                                                const MethodTraits &traits, const std::string &label)
{
    const bool sameMethod = !own.method || own.method == defaults.method;
    auto merged = own.values;
    for (const auto &[name, value] : defaults.values)
        if (sameMethod || isValueName(traits, name))
            merged.emplace(name, value);
    for (const auto &[name, value] : merged) {
        if (!isValueName(traits, name))
            return unknownKey(name, traits, label);
        if (value.empty() || !std::ranges::all_of(value, [](double v) { return std::isfinite(v); }))
            return fail(ErrorKind::Invalid, label + ", \"" + name + "\" is empty or not finite; give finite numbers or leave it out");
    }
    return merged;
}

Result<QuantSpec> mergedSpec(const QuantPatch &defaults, const QuantPatch &own, const std::string &layer, Role role,
                             const Catalog &catalog)
{
    const std::string label = siteLabel(layer, role);
    const auto &method = own.method ? own.method : defaults.method;
    if (!method && defaults.empty() && own.empty())
        return QuantSpec{};
    if (!method)
        return fail(ErrorKind::Invalid, label + ", the key \"method\" is missing; add it here or to the defaults");
    if (*method == kFloatMethod)
        return floatSpec(own, label);
    BW_ASSIGN(const MethodTraits *traits, quantizerFor(*method, role, label, catalog));
    QuantSpec spec;
    spec.method = *method;
    BW_ASSIGN(spec.bits, mergedBits(defaults, own, *traits, label));
    BW_ASSIGN(spec.options, mergedOptions(defaults, own, *traits, label));
    BW_ASSIGN(spec.values, mergedValues(defaults, own, *traits, label));
    return spec;
}

/// Options of the own entry over those of the defaults, which count only for the same method; a mask of the own entry.
Result<PruneSpec> mergedPrune(const PrunePatch &defaults, const PrunePatch &own, const std::string &layer, const Catalog &catalog)
{
    const std::string label = pruneLabel(layer);
    if (defaults.empty() && own.empty())
        return PruneSpec{};
    PruneSpec spec;
    spec.method = own.method.value_or(defaults.method.value_or(""));
    if (spec.method == kNoPruning)
        return PruneSpec{};
    if (spec.method.empty())
        return fail(ErrorKind::Invalid, label + ", the key \"method\" is missing; add it here or to the defaults");
    BW_ASSIGN(const MethodTraits *traits, prunerFor(spec.method, label, catalog));
    spec.sparsity = own.sparsity.value_or(defaults.sparsity.value_or(0));
    ParamValues options = own.options;
    if (!own.method || own.method == defaults.method)
        for (const auto &option : defaults.options)
            options.insert(option);
    BW_ASSIGN(spec.options, completeParams(traits->options, options, label));
    spec.mask = own.mask;
    return spec;
}

Status checkLayerNames(const ModelConfig &config, const ModelSummary &model, const Catalog &catalog)
{
    for (const auto &[name, patch] : config.layers) {
        const LayerInfo *layer = model.layer(name);
        if (!layer) {
            std::vector<std::string> names;
            for (const auto &candidate : model.layers)
                names.push_back(candidate.name);
            const std::string near = closestName(name, names);
            return fail(ErrorKind::Invalid, "layer \"" + name + "\", the network has no such layer; "
                                                + (near.empty() ? std::string("`inspect` lists its layers")
                                                                : "did you mean \"" + near + "\"?"));
        }
        if (layer->status == LayerStatus::Quantizable)
            continue;
        if (!patch.prune.empty() && patch.prune.method != kNoPruning)
            return fail(ErrorKind::Unsupported, pruneLabel(name) + ", this layer cannot be pruned ("
                                                    + (layer->reason.empty() ? std::string(layerStatusName(layer->status)) : layer->reason)
                                                    + "); leave it out");
        for (const Role role : {Role::Weight, Role::Activation}) {
            if (patch.of(role).empty())
                continue;
            BW_ASSIGN(const QuantSpec spec, mergedSpec(config.defaults.of(role), patch.of(role), name, role, catalog));
            if (!spec.isFloat())
                return fail(ErrorKind::Unsupported, siteLabel(name, role) + ", this layer cannot be quantized ("
                                                        + (layer->reason.empty() ? std::string(layerStatusName(layer->status))
                                                                                 : layer->reason)
                                                        + "); leave it out");
        }
    }
    return {};
}

Result<LayerConfig> resolvedUnder(const ModelConfig &config, const std::string &layer, LayerPolicy::Keep keep, const Catalog &catalog)
{
    static const LayerPatch kNothing;
    const auto found = config.layers.find(layer);
    const LayerPatch &own = found == config.layers.end() ? kNothing : found->second;
    LayerConfig result;
    for (const Role role : {Role::Weight, Role::Activation}) {
        BW_ASSIGN(result.of(role), mergedSpec(patchBeneath(own.of(role), config.defaults.of(role), keep), own.of(role), layer, role, catalog));
    }
    BW_ASSIGN(result.prune, mergedPrune(config.defaults.prune, own.prune, layer, catalog));
    return result;
}

} // namespace

Result<LayerConfig> resolveLayer(const ModelConfig &config, const std::string &layer, const Catalog &catalog)
{
    return resolvedUnder(config, layer, LayerPolicy::Keep::Same, catalog);
}

Result<LayerConfig> resolveLayer(const ModelConfig &config, const LayerInfo &layer, const ModelSummary &model, const Catalog &catalog)
{
    if (!layer.weightOnly)
        return resolvedUnder(config, layer.name, keepFor(config.policy, layer, model), catalog);
    // What the defaults say of inputs does not concern it; an entry of its own does.
    ModelConfig weights = config;
    weights.defaults.activation = {};
    BW_ASSIGN(LayerConfig made, resolvedUnder(weights, layer.name, keepFor(config.policy, layer, model), catalog));
    if (!made.activation.isFloat())
        return fail(ErrorKind::Unsupported, siteLabel(layer.name, Role::Activation) + ", only the weight of this layer can be quantized (" +
                                                weightOnlyReason(layer) + "); leave it out");
    return made;
}

Result<ResolvedConfig> resolve(const ModelConfig &config, const ModelSummary &model, const Catalog &catalog)
{
    BW_CHECK(checkLayerNames(config, model, catalog));
    ResolvedConfig resolved;
    for (const auto &layer : model.layers) {
        if (layer.status != LayerStatus::Quantizable)
            continue;
        BW_ASSIGN(auto complete, resolveLayer(config, layer, model, catalog));
        if (const std::int64_t masked = complete.prune.mask.size(); masked != 0 && masked != layer.weightCount)
            return fail(ErrorKind::Invalid, pruneLabel(layer.name) + ", the mask is for " + std::to_string(masked) +
                                                " weights and the layer has " + std::to_string(layer.weightCount) +
                                                "; prune this network again");
        resolved.emplace(layer.name, std::move(complete));
    }
    return resolved;
}

void setSpec(ModelConfig &config, const std::string &layer, Role role, const QuantSpec &spec)
{
    QuantPatch &patch = config.layers[layer].of(role);
    patch = QuantPatch{};
    patch.method = spec.method;
    if (spec.isFloat())
        return;
    patch.bits = spec.bits;
    patch.options = spec.options;
    patch.values = spec.values;
}

void setPrune(ModelConfig &config, const std::string &layer, const PruneSpec &spec)
{
    PrunePatch &patch = config.layers[layer].prune;
    patch = PrunePatch{};
    patch.method = spec.isNone() ? std::string(kNoPruning) : spec.method;
    if (spec.isNone())
        return;
    patch.sparsity = spec.sparsity;
    patch.options = spec.options;
    patch.mask = spec.mask;
}

std::string modelMismatch(const ModelConfig &config, const ModelSummary &model)
{
    if (config.modelSha.empty() || model.sha256.empty() || config.modelSha == model.sha256)
        return {};
    return "the assignment was made for another file (sha256 " + config.modelSha.substr(0, 12) + "…, this one is "
           + model.sha256.substr(0, 12) + "…); its values may not fit these weights";
}

} // namespace bitwright
