// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/json_util.h"
#include "base/names.h"
#include "base/text_file.h"
#include "config/model_config.h"
#include "config/spec_keys.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

namespace bitwright {

using nlohmann::json;

namespace {

constexpr const char *kSchema = "bitwright/assignment/1";
constexpr std::uint64_t kLargestFile = std::uint64_t(256) << 20;
constexpr int kWidest = 32;

std::unexpected<Error> wrong(const std::string &where, const std::string &why, const std::string &mend)
{
    return fail(ErrorKind::Invalid, where + ", " + why + "; " + mend);
}

Status checkObject(const json &value, const std::string &where)
{
    if (value.is_object())
        return {};
    return wrong(where, jsonExcerpt(value) + " is not an object", "write { … }");
}

Status checkKeys(const json &object, const std::string &where, const std::vector<std::string> &known)
{
    for (const auto &item : object.items())
        if (std::ranges::find(known, item.key()) == known.end())
            return wrong(where, "unknown key \"" + item.key() + "\"", "it has " + joinNames(known));
    return {};
}

/// A number, or a list of them: one entry per group.
Result<std::vector<double>> valueFromJson(const json &value, const std::string &key, const std::string &label)
{
    std::vector<double> numbers;
    const auto add = [&numbers](const json &entry) {
        const auto number = jsonNumber(entry);
        if (number)
            numbers.push_back(*number);
        return number.has_value();
    };
    const bool good = value.is_array() ? !value.empty() && std::ranges::all_of(value, add) : add(value);
    if (!good)
        return wrong(label, "\"" + key + "\": " + jsonExcerpt(value) + " is not possible",
                     "it takes a finite number or a list of them");
    return numbers;
}

/// What the keys of one tensor mean: the method of its own entry, else of the defaults; null for float or when unsaid.
struct KeyMeaning {
    std::optional<std::string> method;
    const MethodTraits *traits = nullptr;
};

Result<KeyMeaning> keyMeaning(const json &object, const QuantPatch *defaults, Role role, const std::string &label,
                              const Catalog &catalog)
{
    KeyMeaning meaning;
    if (defaults)
        meaning.method = defaults->method;
    if (const auto found = object.find("method"); found != object.end()) {
        if (!found->is_string())
            return wrong(label, "\"method\": " + jsonExcerpt(*found) + " is not a text", "write a method's id");
        meaning.method = found->get<std::string>();
    }
    if (meaning.method && *meaning.method != kFloatMethod) {
        BW_ASSIGN(meaning.traits, quantizerFor(*meaning.method, role, label, catalog));
    }
    return meaning;
}

Status readBits(const json &value, const KeyMeaning &meaning, const std::string &label, QuantPatch &patch)
{
    const auto bits = jsonInteger(value);
    if (!bits)
        return wrong(label, "\"bits\": " + jsonExcerpt(value) + " is not an integer", "write a whole number of bits");
    if (meaning.traits)
        BW_CHECK(checkBits(*meaning.traits, *bits, label));
    if (*bits < 1 || *bits > kWidest)
        return wrong(label, "\"bits\": " + std::to_string(*bits) + " is not possible", "it takes 1 to 32");
    if (meaning.method == kFloatMethod && *bits != kWidest)
        return wrong(label, "the method \"float\" has no key \"bits\"", "name a method or leave the key out");
    patch.bits = int(*bits);
    return {};
}

Status readKey(const std::string &key, const json &value, const KeyMeaning &meaning, const std::string &label,
               QuantPatch &patch)
{
    if (key == "method") {
        patch.method = value.get<std::string>();
        return {};
    }
    if (key == "bits")
        return readBits(value, meaning, label, patch);
    if (!meaning.method)
        return wrong(label, "the key \"" + key + "\" has no meaning without a method", "add \"method\" here or to the defaults");
    if (!meaning.traits)
        return wrong(label, "the method \"float\" has no key \"" + key + "\"", "name a method or leave the key out");
    // A name that is both an option of `quantize` (LSQ's start) and a value is the value in an assignment.
    if (isValueName(*meaning.traits, key)) {
        BW_ASSIGN(patch.values[key], valueFromJson(value, key, label));
        return {};
    }
    const ParamSpec *spec = meaning.traits->option(key);
    if (!spec)
        return unknownKey(key, *meaning.traits, label);
    auto option = paramFromJson(*spec, value);
    if (!option)
        return fail(option.error().kind, label + ", " + option.error().message);
    patch.options[key] = std::move(*option);
    return {};
}

Result<QuantPatch> patchFromJson(const json &object, const QuantPatch *defaults, Role role, const std::string &layer,
                                 const Catalog &catalog)
{
    const std::string label = siteLabel(layer, role);
    BW_CHECK(checkObject(object, label));
    BW_ASSIGN(const KeyMeaning meaning, keyMeaning(object, defaults, role, label, catalog));
    QuantPatch patch;
    for (const auto &item : object.items())
        BW_CHECK(readKey(item.key(), item.value(), meaning, label, patch));
    return patch;
}

Status readPruneKey(const std::string &key, const json &value, const MethodTraits &traits, const std::string &label, PrunePatch &patch)
{
    if (key == "sparsity") {
        const auto share = jsonNumber(value);
        if (!share || *share < 0 || *share >= 1)
            return wrong(label, "\"sparsity\": " + jsonExcerpt(value) + " is not possible", "it takes a share from 0 to below 1");
        patch.sparsity = *share;
        return {};
    }
    const ParamSpec *spec = traits.option(key);
    if (!spec)
        return unknownKey(key, traits, label);
    auto option = paramFromJson(*spec, value);
    if (!option)
        return fail(option.error().kind, label + ", " + option.error().message);
    patch.options[key] = std::move(*option);
    return {};
}

Result<Mask> maskFromJson(const json &value, const std::string &label)
{
    if (!value.is_object() || value.size() != 2 || !value.contains("size") || !value.contains("bitmap") || !value["bitmap"].is_string())
        return wrong(label, "\"mask\" is no {\"size\": …, \"bitmap\": …}", "make it with the command `prune`");
    const auto size = jsonInteger(value["size"]);
    auto mask = Mask::fromBitmap(value["bitmap"].get<std::string>(), size.value_or(0));
    if (!mask)
        return fail(mask.error().kind, label + ", " + mask.error().message);
    return mask;
}

/// "prune" of one layer, or of the defaults, which may hold no mask.
Result<PrunePatch> pruneFromJson(const json &object, const PrunePatch *defaults, const std::string &layer, const Catalog &catalog)
{
    const std::string label = pruneLabel(layer);
    BW_CHECK(checkObject(object, label));
    PrunePatch patch;
    std::optional<std::string> method = defaults ? defaults->method : std::nullopt;
    if (const auto found = object.find("method"); found != object.end()) {
        if (!found->is_string())
            return wrong(label, "\"method\": " + jsonExcerpt(*found) + " is not a text", "write a pruner's id");
        patch.method = method = found->get<std::string>();
    }
    if (method == kNoPruning && object.size() > (patch.method ? 1U : 0U))
        return wrong(label, "the method \"none\" has no other keys", "name a pruner or leave them out");
    if (object.empty() || method == kNoPruning)
        return patch;
    if (!method)
        return wrong(label, "the key \"method\" is missing", "add it here or to the defaults");
    BW_ASSIGN(const MethodTraits *traits, prunerFor(*method, label, catalog));
    for (const auto &item : object.items()) {
        if (item.key() == "method")
            continue;
        if (item.key() == "mask" && defaults) {
            BW_ASSIGN(patch.mask, maskFromJson(item.value(), label));
        } else {
            BW_CHECK(readPruneKey(item.key(), item.value(), *traits, label, patch));
        }
    }
    return patch;
}

json pruneToJson(const PrunePatch &patch)
{
    json object = json::object();
    if (patch.method)
        object["method"] = *patch.method;
    if (patch.sparsity)
        object["sparsity"] = *patch.sparsity;
    for (const auto &[name, value] : patch.options)
        object[name] = paramToJson(value);
    if (!patch.mask.empty())
        object["mask"] = {{"size", patch.mask.size()}, {"bitmap", patch.mask.bitmap()}};
    return object;
}

/// One entry of `layers`, or `defaults` (then `layer` is empty and there are no defaults beneath it).
Result<LayerPatch> layerFromJson(const json &object, const LayerPatch *defaults, const std::string &layer,
                                 const Catalog &catalog)
{
    const std::string where = layer.empty() ? std::string("defaults") : "layer \"" + layer + "\"";
    BW_CHECK(checkObject(object, where));
    BW_CHECK(checkKeys(object, where, {"weight", "activation", "prune"}));
    LayerPatch patch;
    for (const Role role : {Role::Weight, Role::Activation}) {
        const auto found = object.find(roleName(role));
        if (found == object.end())
            continue;
        BW_ASSIGN(patch.of(role), patchFromJson(*found, defaults ? &defaults->of(role) : nullptr, role, layer, catalog));
    }
    if (const auto prune = object.find("prune"); prune != object.end()) {
        BW_ASSIGN(patch.prune, pruneFromJson(*prune, defaults ? &defaults->prune : nullptr, layer, catalog));
    }
    return patch;
}

Status readModel(const json &object, ModelConfig &config)
{
    BW_CHECK(checkObject(object, "model"));
    BW_CHECK(checkKeys(object, "model", {"sha256", "layers"}));
    if (const auto found = object.find("sha256"); found != object.end()) {
        if (!found->is_string())
            return wrong("model", "\"sha256\": " + jsonExcerpt(*found) + " is not a text", "write the file's sum or leave it out");
        config.modelSha = found->get<std::string>();
    }
    if (const auto found = object.find("layers"); found != object.end()) {
        const auto count = jsonInteger(*found);
        if (!count || *count < 0)
            return wrong("model", "\"layers\": " + jsonExcerpt(*found) + " is not a count", "write how many layers there are");
        config.modelLayers = *count;
    }
    return {};
}

Status readNetwork(const json &object, ModelConfig &config)
{
    BW_CHECK(checkObject(object, "network"));
    BW_CHECK(checkKeys(object, "network", {"fold_batch_norm"}));
    if (const auto found = object.find("fold_batch_norm"); found != object.end()) {
        if (!found->is_boolean())
            return wrong("network", "\"fold_batch_norm\": " + jsonExcerpt(*found) + " is not possible", "write true or false");
        config.foldBatchNorm = found->get<bool>();
    }
    return {};
}

Status readPolicy(const json &object, ModelConfig &config)
{
    BW_CHECK(checkObject(object, "policy"));
    BW_CHECK(checkKeys(object, "policy", {"first_last", "shortcut"}));
    for (const auto &[key, keep] : {std::pair{"first_last", &config.policy.firstLast}, std::pair{"shortcut", &config.policy.shortcuts}}) {
        const auto found = object.find(key);
        if (found == object.end())
            continue;
        const auto named = found->is_string() ? keepFromName(found->get<std::string>()) : std::nullopt;
        if (!named)
            return wrong("policy", "\"" + std::string(key) + "\": " + jsonExcerpt(*found) + " is not possible", "it takes same, 8bit or float");
        *keep = *named;
    }
    return {};
}

Status readLayers(const json &object, const Catalog &catalog, ModelConfig &config)
{
    BW_CHECK(checkObject(object, "layers"));
    for (const auto &item : object.items()) {
        if (item.key().empty())
            return wrong("layers", "a layer has an empty name", "name the layer");
        BW_ASSIGN(config.layers[item.key()], layerFromJson(item.value(), &config.defaults, item.key(), catalog));
    }
    return {};
}

Status checkSchema(const json &document)
{
    const auto found = document.find("schema");
    if (found == document.end() || *found == kSchema)
        return {};
    return fail(ErrorKind::Unsupported, "the assignment, its schema is " + jsonExcerpt(*found)
                                            + "; this version reads \"" + kSchema + "\"");
}

json patchToJson(const QuantPatch &patch)
{
    json object = json::object();
    if (patch.method)
        object["method"] = *patch.method;
    if (patch.bits)
        object["bits"] = *patch.bits;
    for (const auto &[name, value] : patch.options)
        object[name] = paramToJson(value);
    for (const auto &[name, value] : patch.values)
        object[name] = value.size() == 1 ? json(value.front()) : json(value);
    return object;
}

json layerToJson(const LayerPatch &patch)
{
    json object = json::object();
    for (const Role role : {Role::Weight, Role::Activation})
        if (!patch.of(role).empty())
            object[roleName(role)] = patchToJson(patch.of(role));
    if (!patch.prune.empty())
        object["prune"] = pruneToJson(patch.prune);
    return object;
}

Status checkFinite(const QuantPatch &patch, const std::string &label)
{
    for (const auto &[name, value] : patch.values)
        if (!std::ranges::all_of(value, [](double v) { return std::isfinite(v); }))
            return fail(ErrorKind::Numeric, label + ", \"" + name + "\" is not finite; calibrate the layer again");
    return {};
}

} // namespace

Result<ModelConfig> configFromJson(const json &document, const Catalog &catalog)
{
    BW_CHECK(checkObject(document, "the assignment"));
    BW_CHECK(checkSchema(document));
    BW_CHECK(checkKeys(document, "the assignment", {"schema", "model", "network", "policy", "defaults", "layers"}));
    ModelConfig config;
    if (const auto found = document.find("model"); found != document.end())
        BW_CHECK(readModel(*found, config));
    if (const auto found = document.find("network"); found != document.end())
        BW_CHECK(readNetwork(*found, config));
    if (const auto found = document.find("policy"); found != document.end())
        BW_CHECK(readPolicy(*found, config));
    if (const auto found = document.find("defaults"); found != document.end()) {
        BW_ASSIGN(config.defaults, layerFromJson(*found, nullptr, {}, catalog));
    }
    if (const auto found = document.find("layers"); found != document.end()) {
        BW_CHECK(readLayers(*found, catalog, config));
    }
    return config;
}

json configToJson(const ModelConfig &config)
{
    json document = {{"schema", kSchema}, {"network", {{"fold_batch_norm", config.foldBatchNorm}}}};
    if (!config.modelSha.empty())
        document["model"]["sha256"] = config.modelSha;
    if (config.modelLayers > 0)
        document["model"]["layers"] = config.modelLayers;
    if (config.policy != LayerPolicy{})
        document["policy"] = {{"first_last", keepName(config.policy.firstLast)}, {"shortcut", keepName(config.policy.shortcuts)}};
    if (!config.defaults.empty())
        document["defaults"] = layerToJson(config.defaults);
    if (!config.layers.empty()) {
        json &layers = document["layers"] = json::object();
        for (const auto &[name, patch] : config.layers)
            layers[name] = layerToJson(patch);
    }
    return document;
}

Result<ModelConfig> configFromText(const std::string &text, const std::string &source, const Catalog &catalog)
{
    BW_ASSIGN(const json document, parseJson(text, source));
    auto config = configFromJson(document, catalog);
    if (!config)
        config.error().message = source + ", " + config.error().message;
    return config;
}

std::string configToText(const ModelConfig &config)
{
    return prettyJson(configToJson(config), {"schema", "model", "network", "policy", "defaults", "sha256", "layers", "weight",
                                             "activation", "prune", "method", "bits", "sparsity"});
}

Result<ModelConfig> readConfig(const std::string &path, const Catalog &catalog)
{
    BW_ASSIGN(const std::string text, readTextFile(path, kLargestFile));
    return configFromText(text, path, catalog);
}

Status writeConfig(const ModelConfig &config, const std::string &path)
{
    for (const Role role : {Role::Weight, Role::Activation}) {
        BW_CHECK(checkFinite(config.defaults.of(role), siteLabel({}, role)));
        for (const auto &[name, patch] : config.layers)
            BW_CHECK(checkFinite(patch.of(role), siteLabel(name, role)));
    }
    return writeTextFile(path, configToText(config));
}

} // namespace bitwright
