// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/pack_file.h"
#include "exporters/runtimes.h"
#include "quant/quantizer.h"
#include "simulate/network.h"

#include <ATen/ATen.h>

#include <map>

namespace bitwright {

Result<WeightsContents> packContents(const std::string &path, std::shared_ptr<const Network> network, const ParameterMap &simulated)
{
    if (!network)
        return fail(ErrorKind::Invalid, path + ", a pack holds no operators; give the network that it was made from");
    BW_ASSIGN(const pack::PackFile file, pack::readPack(path));
    ParameterMap parameters;
    for (const auto &packed : file.tensors) {
        auto tensor = pack::unpackTensor(packed);
        if (!tensor)
            return fail(tensor.error().kind, path + ", " + tensor.error().message);
        parameters[packed.name] = *tensor;
    }
    WeightsContents contents;
    contents.reader = "Bitwright reader";
    const bool folded = file.assignment.is_object() && file.assignment.contains("network") && file.assignment["network"].is_object()
                        && file.assignment["network"].value("fold_batch_norm", nlohmann::json(false)) == true;
    for (const auto &[name, tensor] : simulated) {
        const auto packed = parameters.find(name);
        if (packed == parameters.end() || packed->second.sizes() != tensor.sizes())
            return fail(ErrorKind::Invalid, path + ", it has no " + name + " of the network's shape; give the network and the assignment that it was made from");
        contents.weights.push_back(compareWeights(name, tensor.detach(), packed->second));
    }
    BW_ASSIGN(const ModelConfig config, configFromJson(file.assignment, methodCatalog()));
    BW_ASSIGN(const ResolvedConfig resolved, resolve(config, network->summary(), methodCatalog()));
    BW_ASSIGN(contents.runtime, weightsRuntime(path, std::move(network), folded, resolved, parameters));
    return contents;
}

} // namespace bitwright
