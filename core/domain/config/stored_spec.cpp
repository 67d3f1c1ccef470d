// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/stored_spec.h"

#include "config/spec_keys.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

template <class T>
bool allEqual(const std::vector<T> &values)
{
    return std::ranges::adjacent_find(values, std::not_equal_to<>()) == values.end();
}

std::int64_t zeroOf(const StoredQuantization &stored, std::size_t group)
{
    return group < stored.zeroPoint.size() ? stored.zeroPoint[group] : 0;
}

/// Whether one scale and zero point serve the whole tensor, however many times the file writes them.
bool oneForAll(const StoredQuantization &stored)
{
    return !stored.scale.empty() && allEqual(stored.scale) && allEqual(stored.zeroPoint);
}

std::int64_t lowestCode(const StoredQuantization &stored)
{
    return stored.isSigned ? -(std::int64_t(1) << (stored.bits - 1)) : 0;
}

/// Why an assignment cannot say it; empty where it can.
std::string whyNot(const StoredQuantization &stored, const LayerInfo &layer, Role role)
{
    if (layer.status != LayerStatus::Quantizable)
        return layer.reason.empty() ? "this layer cannot be quantized" : layer.reason;
    if (stored.scale.empty())
        return "its scale is found while the network runs";
    if (oneForAll(stored))
        return {};
    if (stored.block > 0)
        return "its scales are for blocks of " + std::to_string(stored.block) + ", and a uniform quantizer has one for each output channel";
    if (role == Role::Activation || stored.axis != layer.channelAxis)
        return "its scales run along dimension " + std::to_string(stored.axis) + ", and a uniform quantizer has one for "
               + (role == Role::Activation ? "the tensor" : "each output channel");
    return {};
}

} // namespace

std::string storedText(const StoredQuantization &stored)
{
    std::string text = (stored.isSigned ? "int" : "uint") + std::to_string(stored.bits);
    if (stored.scale.empty())
        return text + ", scale found at run time";
    if (stored.block > 0)
        return text + " in blocks of " + std::to_string(stored.block);
    return stored.scale.size() > 1 ? text + " per channel" : text;
}

std::string storedText(const LayerInfo &layer)
{
    std::string text;
    if (layer.storedWeight)
        text = "weight " + storedText(*layer.storedWeight);
    if (layer.storedInput)
        text += (text.empty() ? "input " : ", input ") + storedText(*layer.storedInput);
    return text.empty() ? text : "in the file: " + text;
}

QuantGrid storedGrid(const StoredQuantization &stored)
{
    QuantGrid grid;
    grid.qmin = lowestCode(stored);
    grid.qmax = grid.qmin + (std::int64_t(1) << stored.bits) - 1;
    grid.perChannel = stored.scale.size() > 1;
    for (std::size_t i = 0; i < stored.scale.size(); ++i) {
        // Under a negative scale the codes count down: the same levels from the other end.
        const bool down = stored.scale[i] < 0;
        grid.groups.push_back({.scale = std::abs(stored.scale[i]), .zeroPoint = down ? grid.qmin + grid.qmax - zeroOf(stored, i) : zeroOf(stored, i),
                               .levels = {}, .thresholds = {}});
    }
    grid.sideBits = storedSideBits(stored);
    return grid;
}

QuantGrid compactGrid(const StoredQuantization &stored)
{
    QuantGrid grid = storedGrid(stored);
    if (grid.groups.empty() || !allEqual(stored.zeroPoint))
        return grid;
    const std::int64_t zero = zeroOf(stored, 0);
    grid.qmin -= zero;
    grid.qmax -= zero;
    for (std::size_t i = 0; i < grid.groups.size(); ++i) {
        grid.groups[i].scale = stored.scale[i];
        grid.groups[i].zeroPoint = 0;
    }
    return grid;
}

double storedSideBits(const StoredQuantization &stored)
{
    return 32.0 * double(stored.scale.size()) * (allEqual(stored.zeroPoint) ? 1 : 2);
}

nlohmann::json storedJson(const StoredQuantization &stored)
{
    nlohmann::json made{{"bits", stored.bits}, {"signed", stored.isSigned}, {"axis", nullptr}, {"block", stored.block},
                        {"scales", stored.scale.size()}};
    if (stored.axis >= 0)
        made["axis"] = stored.axis;
    if (stored.scale.size() == 1) {
        made["scale"] = stored.scale.front();
        made["zero_point"] = zeroOf(stored, 0);
    }
    return made;
}

Result<QuantSpec> storedSpec(const LayerInfo &layer, Role role, const Catalog &catalog)
{
    const std::string label = siteLabel(layer.name, role);
    const auto &stored = role == Role::Weight ? layer.storedWeight : layer.storedInput;
    if (!stored)
        return fail(ErrorKind::Invalid, label + ", the file does not quantize it; choose a method and bits");
    if (const std::string why = whyNot(*stored, layer, role); !why.empty())
        return fail(ErrorKind::Unsupported, label + ", " + why + "; it stays as it is in the file");
    BW_ASSIGN(const MethodTraits *traits, quantizerFor("uniform", role, label, catalog));
    BW_CHECK(checkBits(*traits, stored->bits, label));
    const bool single = oneForAll(*stored);
    const QuantGrid grid = storedGrid(*stored);
    // A zero point counts from the lowest code. Signed codes around zero need none.
    const bool symmetric = stored->isSigned && std::ranges::all_of(grid.groups, [](const auto &group) { return group.zeroPoint == 0; });
    QuantSpec spec{.method = "uniform", .bits = stored->bits, .options = {}, .values = {}};
    ParamValues options{{"symmetric", symmetric}, {"granularity", std::string(single ? "tensor" : "channel")}};
    if (symmetric) {
        options["signed"] = true;
        options["full_range"] = true;
    }
    for (std::size_t i = 0; i < (single ? 1 : grid.groups.size()); ++i) {
        // Codes times a scale of zero are zero, and so is a channel of zeros under any other.
        spec.values["scale"].push_back(grid.groups[i].scale > 0 ? grid.groups[i].scale : 1);
        spec.values["zero_point"].push_back(symmetric ? 0 : double(grid.groups[i].zeroPoint - grid.qmin));
    }
    BW_ASSIGN(spec.options, completeParams(traits->options, options, label));
    return spec;
}

ModelSummary afterTraining(ModelSummary model)
{
    for (LayerInfo &layer : model.layers)
        if (layer.status == LayerStatus::Quantizable)
            layer.storedWeight.reset();
    return model;
}

StoredConfig storedConfig(const ModelSummary &model, const Catalog &catalog)
{
    StoredConfig made;
    made.config.modelSha = model.sha256;
    made.config.modelLayers = model.quantizableLayers();
    for (const LayerInfo &layer : model.layers) {
        for (const Role role : {Role::Weight, Role::Activation}) {
            if (!(role == Role::Weight ? layer.storedWeight : layer.storedInput))
                continue;
            const auto spec = storedSpec(layer, role, catalog);
            if (!spec) {
                made.left.push_back(spec.error().message);
                continue;
            }
            setSpec(made.config, layer.name, role, *spec);
            ++made.taken;
        }
    }
    return made;
}

} // namespace bitwright
