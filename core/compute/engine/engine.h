// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/dataset.h"
#include "session/engine_api.h"

#include <cstdint>
#include <memory>

namespace bitwright {

struct EngineOptions {
    int threads = 0;                                    ///< of the heavy lane; 0: all cores
    std::int64_t cacheBytes = std::int64_t(1) << 30;    ///< live sets kept for incremental evaluation
    ImageDecoder decodeImage;                           ///< may be empty: image folders are then refused
};

/// The engine on LibTorch: a heavy lane (open, statistics, calibrate, evaluate, sweep, fine-tune, export; first in, first
/// out) and a light lane (previews; newest wins by layer and role), one thread each. See design.md, section 6.
std::unique_ptr<EngineApi> makeEngine(EngineOptions options = {});

} // namespace bitwright
