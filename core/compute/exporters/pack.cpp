// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/pack.h"

#include "config/stored_spec.h"
#include "exporters/output_file.h"
#include "quant/quantizer.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace bitwright {

namespace {

using pack::PackedTensor;
using pack::PackFile;

const LayerBinding *bindingOf(const ExportInput &input, std::size_t parameter)
{
    for (const LayerBinding &binding : input.bindings)
        if ((binding.info.status == LayerStatus::Quantizable || binding.info.storedWeight) && input.graph->parameterOf(binding.weight) == int(parameter))
            return &binding;
    return nullptr;
}

/// A weight that is left as it is: the file's own codes where it has some and the weight still lies on their levels.
PackedTensor packPlain(const std::string &name, const at::Tensor &weight, const LayerInfo &info, const Mask &mask)
{
    if (!info.storedWeight || info.storedWeight->scale.empty())
        return pack::packTensor(name, weight, nullptr, -1, 32, mask);
    const StoredQuantization &stored = *info.storedWeight;
    const QuantGrid grid = compactGrid(stored);
    PackedTensor packed = pack::packTensor(name, weight, &grid, stored.axis, stored.bits, mask, stored.block);
    if (packed.quantized || stored.bits < 16)
        return packed;
    // A pack has no room for the last of 65536 levels, which is hardly ever used.
    for (const bool low : {true, false}) {
        QuantGrid fewer = grid;
        low ? ++fewer.qmin : --fewer.qmax;
        packed = pack::packTensor(name, weight, &fewer, stored.axis, stored.bits, mask, stored.block);
        if (packed.quantized)
            break;
    }
    return packed;
}

/// The quantized weight as a simulation holds it, on its grid; zero where it is pruned.
Result<PackedTensor> packWeight(const Parameter &parameter, const at::Tensor &weight, const LayerBinding &binding, const LayerConfig &layer)
{
    const Mask &mask = layer.prune.mask;
    if (layer.weight.isFloat())
        return packPlain(parameter.name, weight, binding.info, mask);
    BW_ASSIGN(auto quantizer, makeQuantizer(layer.weight, {binding.info.name, Role::Weight, binding.info.channelAxis, false}));
    if (!quantizer->calibrated())
        BW_CHECK(quantizer->calibrate(survivors(weight, mask)));
    at::Tensor quantized = quantizer->apply(weight, false).contiguous();
    if (!mask.empty()) {
        const auto kept = mask.kept();
        const at::Tensor stays = at::from_blob(const_cast<std::uint8_t *>(kept.data()), quantized.sizes(), at::kByte).to(at::kBool);
        quantized = at::where(stays, quantized, at::zeros({}, quantized.options()));
    }
    const QuantGrid grid = quantizer->grid();
    return pack::packTensor(parameter.name, quantized, &grid, binding.info.channelAxis, layer.weight.bits, mask);
}

/// What the tensors hold themselves is left out: masks and the values of weights.
nlohmann::json leanAssignment(ModelConfig config)
{
    config.defaults.weight.values.clear();
    config.defaults.prune.mask = {};
    for (auto &[name, patch] : config.layers) {
        patch.weight.values.clear();
        patch.prune.mask = {};
    }
    return configToJson(config);
}

Result<ExportReport> write(const ExportInput &input, const std::string &path, const JobContext &context)
{
    return guarded(path + " cannot be written", ErrorKind::Internal, [&]() -> Result<ExportReport> {
        BW_ASSIGN(const PackFile file, packModel(input, context));
        const std::string bytes = pack::serialize(file);
        BW_CHECK(writeChecked(path, bytes, [&](const std::string &temporary) -> Status {
            BW_ASSIGN(const PackFile back, pack::readPack(temporary));
            for (const PackedTensor &tensor : back.tensors)
                BW_CHECK(pack::unpackTensor(tensor));
            return {};
        }));
        ExportReport report;
        report.bytes = std::int64_t(bytes.size());
        report.layers = packedLayers(input, file);
        report.notes.push_back("weights and the assignment, not the operators; it runs with the network that it was made from");
        return report;
    });
}

} // namespace

Result<PackFile> packModel(const ExportInput &input, const JobContext &context)
{
    return guarded("the network cannot be packed", ErrorKind::Internal, [&]() -> Result<PackFile> {
        c10::NoGradGuard noGrad;
        if (!input.graph)
            return fail(ErrorKind::Internal, "nothing to export");
        PackFile file;
        file.assignment = leanAssignment(input.assignment);
        file.modelSha = input.assignment.modelSha;
        for (std::size_t i = 0; i < input.graph->parameters.size(); ++i) {
            if (context.stopped())
                return cancelled();
            context.progress("packing", std::int64_t(i), std::int64_t(input.graph->parameters.size()));
            const Parameter &parameter = input.graph->parameters[i];
            const auto given = input.parameters.find(parameter.name);
            const at::Tensor tensor = given == input.parameters.end() ? parameter.tensor : given->second;
            const LayerBinding *binding = bindingOf(input, i);
            const auto layer = binding ? input.config.find(binding->info.name) : input.config.end();
            if (layer == input.config.end()) {
                file.tensors.push_back(binding ? packPlain(parameter.name, tensor, binding->info, {}) : pack::packTensor(parameter.name, tensor, nullptr, -1, 32, {}));
                continue;
            }
            BW_ASSIGN(auto packed, packWeight(parameter, tensor, *binding, layer->second));
            file.tensors.push_back(std::move(packed));
        }
        return file;
    });
}

std::vector<ExportedLayer> packedLayers(const ExportInput &input, const PackFile &file)
{
    std::vector<ExportedLayer> layers;
    for (const LayerBinding &binding : input.bindings) {
        const int index = input.graph->parameterOf(binding.weight);
        if (binding.info.status == LayerStatus::Quantizable && index >= 0)
            layers.push_back({binding.info.name, file.tensors[std::size_t(index)].bits, file.tensors[std::size_t(index)].describe()});
    }
    return layers;
}

Exporter packExporter()
{
    return {{"pack", "Pack", ".pack", {true, true, true, true, 1, 16, true, {}, true, false},
             "Quantized weights, as small as they get; Bitwright and the reader in docs/pack.md read it."}, write};
}

} // namespace bitwright
