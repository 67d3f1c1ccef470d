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

std::string weightOnlyReason(const LayerInfo &layer)
{
    if (layer.op == "embedding" || layer.op == "embedding_bag" || layer.op == "index_select" || layer.op == "index")
        return "an embedding looks rows up";
    for (const char *cell : {"lstm", "gru", "rnn", "LSTM", "GRU", "RNN"})
        if (layer.op.starts_with(cell))
            return "a recurrent layer meets its input and its state at once";
    if (layer.op == "tensor")
        return "the file holds weights without a network";
    if (layer.op.find("attention") != std::string::npos || layer.op.find("encoder") != std::string::npos)
        return "the operator multiplies within itself";
    if (layer.op == "matmul" || layer.op == "bmm" || layer.op == "bilinear")
        return "its other operand is no plain input";
    return "it runs within a branch or a loop";
}

std::string layerNote(const LayerInfo &layer)
{
    return layer.status == LayerStatus::Quantizable && layer.weightOnly ? "weight only: " + weightOnlyReason(layer) : layer.reason;
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
