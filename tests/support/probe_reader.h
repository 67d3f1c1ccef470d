// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Reads one file the way the program would, for the mutation harness and for the replay of what it found.

#include "config/model_config.h"
#include "data/array_file.h"
#include "data/idx.h"
#include "exporters/pack_file.h"
#include "frontends/frontend.h"
#include "graph/executor.h"
#include "graph/layer_list.h"
#include "graph/shape_probe.h"
#include "quant/quantizer.h"
#include "train/checkpoint.h"

#include <ATen/core/grad_mode.h>

#include <memory>
#include <string>

namespace bitwright::test {

enum class ReadStage { Load, Layers, Run };

/// Reads `path` as `format` ("onnx", "pt2", "torchscript", "safetensors", "checkpoint", "training", "npy", "npz", "idx",
/// "pack", "assignment"); a network that loads is listed and run once on zeros. Success or the reader's error; `stage` says
/// how far it came. An exception is the reader's fault and goes through.
inline Status probeReader(const std::string &format, const std::string &path, volatile ReadStage *stage = nullptr)
{
    const auto reach = [stage](ReadStage now) {
        if (stage != nullptr)
            *stage = now;
    };
    reach(ReadStage::Load);
    if (format == "npy" || format == "npz") {
        BW_CHECK(readArrays(path));
        return {};
    }
    if (format == "idx") {
        BW_CHECK(readIdx(path));
        return {};
    }
    if (format == "training") {
        BW_CHECK(readArchive(path));
        return {};
    }
    if (format == "assignment") {
        BW_CHECK(readConfig(path, methodCatalog()));
        return {};
    }
    if (format == "pack") {
        BW_ASSIGN(const pack::PackFile file, pack::readPack(path));
        for (const pack::PackedTensor &tensor : file.tensors)
            BW_CHECK(pack::unpackTensor(tensor));
        return {};
    }
    BW_ASSIGN(Graph loaded, loadGraph(path));
    const auto graph = std::make_shared<const Graph>(std::move(loaded));
    reach(ReadStage::Layers);
    const std::vector<LayerBinding> layers = listLayers(*graph);
    reach(ReadStage::Run);
    const at::NoGradGuard noGrad;
    const Executor executor(graph, layers);
    const std::vector<c10::IValue> inputs = zeroInputs(*graph, {}, std::max<std::int64_t>(graph->fixedBatch, 1), 8);
    if (inputs.size() != graph->inputs.size())
        return fail(ErrorKind::Unsupported, path + ", the shapes of its inputs are not said");
    BW_CHECK(executor.run(inputs, executor.bind()));
    return {};
}

} // namespace bitwright::test
