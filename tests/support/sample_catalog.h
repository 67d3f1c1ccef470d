// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "catalog/method_traits.h"
#include "network/model_summary.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bitwright::test {

/// A small catalogue for tests without torch: `uniform` for both roles, `bwn` for weights at 1 bit, `pact` for activations;
/// the pruners `magnitude` and `nm`.
inline Catalog sampleCatalog()
{
    MethodTraits uniform;
    uniform.id = "uniform";
    uniform.roles = {Role::Weight, Role::Activation};
    uniform.minimumBits = 1;
    uniform.maximumBits = 16;
    uniform.options = {
        {.name = "symmetric", .type = ParamType::Bool, .fallback = true},
        {.name = "granularity", .type = ParamType::Choice, .fallback = std::string("tensor"), .choices = {"tensor", "channel"}},
        {.name = "range", .type = ParamType::Choice, .fallback = std::string("minmax"), .choices = {"minmax", "percentile"}},
        {.name = "percentile", .type = ParamType::Real, .fallback = 99.9, .minimum = 50, .maximum = 100},
        {.name = "learned_step", .type = ParamType::Bool, .fallback = false},
        {.name = "scale", .type = ParamType::RealList, .fallback = std::vector<double>{}, .optional = true},
    };
    uniform.values = {"scale", "zero_point"};

    MethodTraits bwn;
    bwn.id = "bwn";
    bwn.roles = {Role::Weight};
    bwn.minimumBits = bwn.maximumBits = 1;
    bwn.options = {{.name = "granularity", .type = ParamType::Choice, .fallback = std::string("channel"), .choices = {"tensor", "channel"}}};
    bwn.values = {"alpha"};

    MethodTraits pact;
    pact.id = "pact";
    pact.roles = {Role::Activation};
    pact.minimumBits = 2;
    pact.maximumBits = 8;
    pact.options = {{.name = "variant", .type = ParamType::Choice, .fallback = std::string("pact"), .choices = {"pact", "plus"}},
                    {.name = "rounds", .type = ParamType::Int, .fallback = std::int64_t(10), .minimum = 0, .maximum = 100}};
    pact.values = {"alpha"};

    MethodTraits magnitude, pattern;
    magnitude.id = "magnitude";
    pattern.id = "nm";
    pattern.options = {{.name = "m", .type = ParamType::Int, .fallback = std::int64_t(4), .minimum = 2, .maximum = 64}};
    magnitude.kind = pattern.kind = MethodKind::Pruner;
    return Catalog({uniform, bwn, pact, magnitude, pattern});
}

/// A convolution as the layer list would give it, batch norm included.
inline LayerInfo convolution(const std::string &name, std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t map)
{
    LayerInfo layer;
    layer.name = name;
    layer.op = "conv2d";
    layer.weightShape = {out, in, kernel, kernel};
    layer.weightCount = out * in * kernel * kernel;
    layer.macs = layer.weightCount * map * map;
    layer.status = LayerStatus::Quantizable;
    layer.batchNorm = name + "_bn";
    layer.batchNormCount = 2 * out;
    return layer;
}

/// CIFAR ResNet-20 with parameter-free shortcuts (methods.md I1), first layer "conv1", last "fc".
inline ModelSummary cifarResNet20()
{
    ModelSummary model;
    model.layers.push_back(convolution("conv1", 3, 16, 3, 32));
    std::int64_t in = 16;
    for (const auto &[width, map] : {std::pair{16, 32}, {32, 16}, {64, 8}})
        for (int i = 0; i < 6; ++i) {
            model.layers.push_back(convolution("layer" + std::to_string(width) + "." + std::to_string(i), in, width, 3, map));
            in = width;
        }
    LayerInfo fc;
    fc.name = "fc";
    fc.op = "linear";
    fc.weightShape = {10, 64};
    fc.weightCount = 640;
    fc.biasCount = 10;
    fc.macs = 640;
    fc.status = LayerStatus::Quantizable;
    model.layers.push_back(fc);
    for (const auto &layer : model.layers)
        model.parameters += layer.parameters() + layer.batchNormCount;
    return model;
}

} // namespace bitwright::test
