// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/exporter.h"

#include "exporters/pack.h"
#include "exporters/torch_exporters.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace bitwright {

const std::vector<Exporter> &exporters()
{
    static const std::vector<Exporter> table{onnxQdqExporter(), torchscriptExporter(), pt2Exporter(), packExporter(), stateDictExporter(), reportExporter()};
    return table;
}

const std::vector<ExportFormat> &exportFormats()
{
    static const std::vector<ExportFormat> formats(exporters().begin(), exporters().end());
    return formats;
}

const Exporter *findExporter(const std::string &id)
{
    const auto found = std::ranges::find(exporters(), id, &Exporter::id);
    return found == exporters().end() ? nullptr : &*found;
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
