// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// The sample networks and their data, opened once per test program.

#include "config/model_config.h"
#include "data/dataset.h"
#include "quant/quantizer.h"
#include "simulate/calibration.h"
#include "simulate/network.h"

#include <ATen/Parallel.h>

#include <climits>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include <malloc.h>

namespace bitwright::testing {

inline std::string sourceFolder()
{
    const char *folder = std::getenv("BITWRIGHT_SOURCE_DIR");
    return folder ? folder : BITWRIGHT_TEST_DATA "/..";
}

inline std::string samplePath(const std::string &file)
{
    return sourceFolder() + "/sample_models/" + file;
}

/// The value, or an exception that says why there is none.
template <typename T>
T take(Result<T> result)
{
    if (!result)
        throw std::runtime_error(result.error().message);
    return std::move(*result);
}

inline void take(const Status &status)
{
    if (!status)
        throw std::runtime_error(status.error().message);
}

/// Tests run beside each other: one thread each, and memory that stays (design.md, section 2).
inline void quietProcess()
{
    at::set_num_threads(1);
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, 64 << 20);
}

inline std::shared_ptr<const Network> openSample(const std::string &file)
{
    quietProcess();
    return take(Network::open(samplePath(file)));
}

inline std::shared_ptr<const Dataset> openSampleData(const std::string &spec, const std::string &model)
{
    DataContext context;
    context.modelPath = samplePath(model);
    context.inputShape = {-1, 1, 28, 28};
    return take(openData(spec, context));
}

/// Every layer uniform at these bits; 32 leaves a role float.
inline ModelConfig uniformConfig(int weightBits, int activationBits, const std::string &granularity = "channel")
{
    ModelConfig config;
    if (weightBits < 32) {
        config.defaults.weight.method = "uniform";
        config.defaults.weight.bits = weightBits;
        config.defaults.weight.options["granularity"] = granularity;
    }
    if (activationBits < 32) {
        config.defaults.activation.method = "uniform";
        config.defaults.activation.bits = activationBits;
    }
    return config;
}

inline ResolvedConfig resolveAndCalibrate(const std::shared_ptr<const Network> &network, const ModelConfig &config,
                                          const Dataset &data, std::int64_t samples = 128)
{
    ResolvedConfig resolved = take(resolve(config, network->summary(), methodCatalog()));
    if (take(needsActivations(*network, resolved))) {
        const auto statistics = take(collectActivations(*network, config.foldBatchNorm, {}, data, samples, {}));
        take(fillActivations(resolved, *network, statistics));
    }
    return resolved;
}

} // namespace bitwright::testing
