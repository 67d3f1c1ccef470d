// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine_factory.h"

#include "engine/engine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace bitwright {

std::unique_ptr<EngineApi> makeGuiEngine(PlainDecoder decoder, int threads)
{
    EngineOptions options;
    options.threads = threads;
    options.decodeImage = [decode = std::move(decoder)](const std::string &path) -> Result<at::Tensor> {
        BW_ASSIGN(const DecodedImage image, decode(path));
        at::Tensor tensor = at::empty({image.height, image.width, image.channels}, at::kByte);
        std::memcpy(tensor.data_ptr(), image.bytes.data(), image.bytes.size());
        return tensor;
    };
    return makeEngine(std::move(options));
}

int defaultThreads()
{
    return std::max(1, int(std::thread::hardware_concurrency()));
}

std::string samplesFolder()
{
    return findSamples().value_or(std::string());
}

} // namespace bitwright
