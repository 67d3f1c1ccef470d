// SPDX-License-Identifier: GPL-3.0-or-later
#include "network/channel_group.h"

namespace bitwright {

const ChannelGroup::Part *ChannelGroup::part(const std::string &layer, bool output) const
{
    for (const Part &part : parts)
        if (part.layer && part.output == output && part.name == layer)
            return &part;
    return nullptr;
}

} // namespace bitwright
