// SPDX-License-Identifier: GPL-3.0-or-later
#include "network/model_summary.h"

#include <algorithm>

namespace bitwright {

const char *layerStatusName(LayerStatus status)
{
    switch (status) {
    case LayerStatus::Quantizable: return "quantizable";
    case LayerStatus::Float: return "float";
    case LayerStatus::Unsupported: return "unsupported";
    }
    return "float";
}

Shape TensorInfo::acceptedShape() const
{
    Shape accepted = shape;
    for (const std::int64_t dimension : freeDimensions)
        accepted[std::size_t(dimension)] = -1;
    return accepted;
}

const LayerInfo *ModelSummary::layer(const std::string &name) const
{
    auto found = std::ranges::find(layers, name, &LayerInfo::name);
    return found == layers.end() ? nullptr : &*found;
}

std::int64_t ModelSummary::quantizableLayers() const
{
    return std::ranges::count(layers, LayerStatus::Quantizable, &LayerInfo::status);
}

std::vector<const ChannelGroup *> ModelSummary::groupsOf(const std::string &layer) const
{
    std::vector<const ChannelGroup *> found;
    for (const ChannelGroup &group : groups)
        if (group.part(layer, true))
            found.push_back(&group);
    return found;
}

} // namespace bitwright
