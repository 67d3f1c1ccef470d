// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/write_trained.h"

#include "engine/export_model.h"
#include "frontends/frontend.h"

namespace bitwright {

Status writeTrained(const std::shared_ptr<const Network> &network, const ParameterMap &tensors, const std::string &target,
                    const JobContext &context)
{
    const ModelSummary &summary = network->summary();
    if (summary.format != "onnx")
        return writeWithParameters(summary.path, tensors, target);
    ConfiguredModel model{network, {}, {}, {}};
    model.weights.tensors = tensors;
    BW_CHECK(exportModel(model, "onnx", target, {}, context));
    return {};
}

} // namespace bitwright
