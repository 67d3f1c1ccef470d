// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/exporter.h"

#include "exporters/pack.h"
#include "exporters/torch_exporters.h"

#include "quant/quantizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace bitwright {

const std::vector<Exporter> &exporters()
{
    static const std::vector<Exporter> table{onnxQdqExporter(), torchscriptExporter(), pt2Exporter(), packExporter(), stateDictExporter()};
    return table;
}

const Exporter *findExporter(const std::string &id)
{
    const auto found = std::ranges::find(exporters(), id, &Exporter::id);
    return found == exporters().end() ? nullptr : &*found;
}

std::vector<std::string> exportObstacles(const Exporter &exporter, const ExportInput &input)
{
    std::vector<std::string> obstacles;
    const auto check = [&](const std::string &layer, const char *what, const QuantSpec &spec) {
        if (spec.isFloat())
            return;
        if (spec.bits < exporter.capabilities.minimumBits || spec.bits > exporter.capabilities.maximumBits)
            obstacles.push_back("layer " + layer + ", " + what + " of " + std::to_string(spec.bits) + " bits do not fit " +
                                exporter.title);
        else if (spec.method != "uniform" && !exporter.capabilities.codebook) {
            // Other methods may still have a uniform grid; only the grid itself can tell.
            auto quantizer = makeQuantizer(spec, {layer, Role::Activation, 0, false});
            if (quantizer && (*quantizer)->calibrated() && !(*quantizer)->grid().uniform)
                obstacles.push_back("layer " + layer + ", the levels of " + spec.method + " are not evenly spaced, which " +
                                    exporter.title + " cannot express");
        }
    };
    for (const auto &[layer, config] : input.config) {
        check(layer, "weights", config.weight);
        check(layer, "inputs", config.activation);
    }
    return obstacles;
}

at::Tensor survivors(const at::Tensor &weight, const Mask &mask)
{
    if (mask.empty())
        return weight;
    const auto kept = mask.kept();
    const at::Tensor stays = at::tensor(at::ArrayRef<std::uint8_t>(kept)).reshape(weight.sizes()).to(at::kBool);
    return at::where(stays, weight, at::full({}, std::numeric_limits<float>::quiet_NaN(), weight.options()));
}

} // namespace bitwright
