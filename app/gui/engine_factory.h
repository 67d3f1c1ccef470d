// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// One decoded picture, rows from the top, channels innermost. Plain bytes: Qt and torch never meet in a source file.
struct DecodedImage {
    std::int64_t height = 0, width = 0, channels = 0;
    std::vector<std::uint8_t> bytes;
};
using PlainDecoder = std::function<Result<DecodedImage>(const std::string &path)>;

/// The engine on LibTorch with a decoder for image folders. `threads` 0 takes all cores.
std::unique_ptr<EngineApi> makeGuiEngine(PlainDecoder decoder, int threads);
/// Threads that the heavy lane gets when nothing is said.
int defaultThreads();
/// The folder of the sample networks; empty when there is none.
std::string samplesFolder();

} // namespace bitwright
