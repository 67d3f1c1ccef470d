// SPDX-License-Identifier: GPL-3.0-or-later
#include "cost/channels_gone.h"

#include <algorithm>

namespace bitwright {

namespace {

using Emptied = std::map<std::string, std::vector<bool>>;

/// Units that no layer writes any more; empty where the group is whole or cannot be cut.
std::vector<bool> goneUnits(const ChannelGroup &group, const Emptied &emptied)
{
    std::vector<bool> gone(std::size_t(group.units), group.removable());
    bool written = false;
    for (const ChannelGroup::Part &part : group.parts) {
        if (!part.layer || !part.output)
            continue;
        written = true;
        const auto channels = emptied.find(part.name);
        for (std::size_t c = 0; c < part.unit.size(); ++c)
            if (part.unit[c] >= 0 && (channels == emptied.end() || c >= channels->second.size() || !channels->second[c]))
                gone[std::size_t(part.unit[c])] = false;
    }
    return written && std::ranges::count(gone, true) > 0 ? gone : std::vector<bool>{};
}

} // namespace

std::vector<bool> emptiedOutputs(const LayerInfo &layer, const PruneSpec &spec)
{
    const Mask &mask = spec.mask;
    const std::int64_t channels = layer.channels();
    if (mask.empty() || channels <= 0 || mask.size() != layer.weightCount || mask.keptCount() == mask.size())
        return {};
    // The weight as [outer, channels, inner] in storage order.
    std::int64_t inner = 1;
    for (std::size_t d = std::size_t(layer.channelAxis) + 1; d < layer.weightShape.size(); ++d)
        inner *= layer.weightShape[d];
    const std::int64_t outer = mask.size() / (channels * inner);
    if (spec.method.empty() || (hasParam(spec.options, "channels") && !boolParam(spec.options, "channels")))
        return {};
    std::vector<bool> gone(std::size_t(channels), true);
    for (std::int64_t c = 0; c < channels; ++c) {
        bool kept = false;
        for (std::int64_t o = 0; o < outer && !kept; ++o)
            for (std::int64_t i = 0; i < inner && !kept; ++i)
                kept = mask.keeps((o * channels + c) * inner + i);
        gone[std::size_t(c)] = !kept;
    }
    return std::ranges::count(gone, true) > 0 ? gone : std::vector<bool>{};
}

std::map<std::string, double> liveMacShares(const ModelSummary &model, const ResolvedConfig &config)
{
    Emptied emptied;
    std::map<std::string, double> shares;
    for (const LayerInfo &layer : model.layers) {
        const auto found = config.find(layer.name);
        if (found == config.end())
            continue;
        std::vector<bool> gone = emptiedOutputs(layer, found->second.prune);
        if (gone.empty())
            continue;
        shares[layer.name] = double(std::ranges::count(gone, false)) / double(gone.size());
        emptied[layer.name] = std::move(gone);
    }
    if (emptied.empty())
        return shares;
    for (const ChannelGroup &group : model.groups) {
        const std::vector<bool> gone = goneUnits(group, emptied);
        if (gone.empty())
            continue;
        for (const ChannelGroup::Part &part : group.parts) {
            if (!part.layer || part.output || part.unit.empty())
                continue;
            const auto missing = std::ranges::count_if(part.unit, [&](std::int32_t unit) { return unit >= 0 && gone[std::size_t(unit)]; });
            const double left = 1 - double(missing) / double(part.unit.size());
            shares[part.name] = (shares.contains(part.name) ? shares[part.name] : 1) * left;
        }
    }
    return shares;
}

} // namespace bitwright
