// SPDX-License-Identifier: GPL-3.0-or-later
#include "network/channel_unit.h"

#include <algorithm>

namespace bitwright {

namespace {

std::vector<std::int64_t> indicesOf(const ChannelGroup::Part &part, std::int32_t unit)
{
    std::vector<std::int64_t> indices;
    for (std::size_t i = 0; i < part.unit.size(); ++i)
        if (part.unit[i] == unit)
            indices.push_back(std::int64_t(i));
    return indices;
}

ChannelUnit unitOf(const ChannelGroup &group, const std::string &layer, std::int32_t unit)
{
    ChannelUnit found;
    found.known = true;
    found.refusal = group.refusal;
    for (const ChannelGroup::Part &part : group.parts) {
        const auto indices = part.layer ? indicesOf(part, unit) : std::vector<std::int64_t>();
        if (indices.empty())
            continue;
        if (!part.output)
            found.readers.push_back(part.name);
        else if (part.name == layer)
            found.outputs.insert(found.outputs.begin(), {part.name, indices});
        else
            found.outputs.push_back({part.name, indices});
    }
    return found;
}

} // namespace

ChannelUnit channelUnit(const ModelSummary &model, const std::string &layer, std::int64_t channel)
{
    for (const ChannelGroup *group : model.groupsOf(layer)) {
        const auto &units = group->part(layer, true)->unit;
        if (channel < 0 || channel >= std::int64_t(units.size()) || units[std::size_t(channel)] < 0)
            continue;
        return unitOf(*group, layer, units[std::size_t(channel)]);
    }
    ChannelUnit alone;
    alone.outputs = {{layer, {channel}}};
    return alone;
}

} // namespace bitwright
