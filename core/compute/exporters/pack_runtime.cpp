// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/pack_file.h"
#include "exporters/runtimes.h"
#include "quant/quantizer.h"
#include "simulate/network.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace bitwright {

namespace {

/// The network's own graph with the weights and the input quantizers of the file.
class PackRuntime final : public Runtime {
public:
    static Result<std::unique_ptr<Runtime>> make(const std::string &path, std::shared_ptr<const Network> network, bool folded,
                                                 const pack::PackFile &file, ParameterMap parameters)
    {
        const Executor &executor = network->executor(folded);
        std::unique_ptr<PackRuntime> made(new PackRuntime);
        for (const Parameter &parameter : executor.graph().parameters)
            if (!parameters.contains(parameter.name) || parameters.at(parameter.name).sizes() != parameter.tensor.sizes())
                return fail(ErrorKind::Invalid, path + ", it has no " + parameter.name + " of the network's shape; give the network that it was made from");
        made->m_parameters = executor.bind(parameters);
        BW_ASSIGN(const ModelConfig config, configFromJson(file.assignment, methodCatalog()));
        BW_ASSIGN(const ResolvedConfig resolved, resolve(config, network->summary(), methodCatalog()));
        made->m_quantizers.resize(executor.bindings().size());
        for (std::size_t i = 0; i < made->m_quantizers.size(); ++i) {
            const LayerInfo &info = executor.bindings()[i].info;
            const auto layer = resolved.find(info.name);
            if (layer == resolved.end() || layer->second.activation.isFloat())
                continue;
            BW_ASSIGN(made->m_quantizers[i], makeQuantizer(layer->second.activation, {info.name, Role::Activation, 0, info.nonNegativeInput}));
            if (!made->m_quantizers[i]->calibrated())
                return fail(ErrorKind::Invalid, path + ", layer " + info.name + " lacks the values of its input; calibrate and export it again");
        }
        auto *self = made.get();
        made->m_tap = [self](std::size_t binding, int, const at::Tensor &input, bool mayOverwrite) {
            return self->m_quantizers[binding] ? self->m_quantizers[binding]->apply(input, mayOverwrite) : input;
        };
        made->m_network = std::move(network);
        made->m_folded = folded;
        return std::unique_ptr<Runtime>(std::move(made));
    }

    std::string name() const override { return "Bitwright reader"; }

    Result<RuntimeOutput> run(const at::Tensor &input, const JobContext &context) override
    {
        RunOptions options;
        options.tap = &m_tap;
        options.stop = context.stop;
        BW_ASSIGN(const at::Tensor output, m_network->executor(m_folded).runBatch(input, m_parameters, options));
        return RuntimeOutput{output, {}};
    }

private:
    PackRuntime() = default;
    std::shared_ptr<const Network> m_network;
    bool m_folded = false;
    std::vector<at::Tensor> m_parameters;
    std::vector<std::unique_ptr<Quantizer>> m_quantizers;
    Tap m_tap;
};

/// How many elements differ, in any bit but the sign of a zero.
LayerAgreement compareWeights(const std::string &layer, const at::Tensor &ours, const at::Tensor &theirs)
{
    LayerAgreement agreement{layer, 0, 0};
    const at::Tensor same = (ours == theirs).logical_or(ours.isnan().logical_and(theirs.isnan()));
    agreement.differingLevels = same.logical_not().sum().item<std::int64_t>();
    if (agreement.differingLevels > 0)
        agreement.maxAbsDifference = (ours.to(at::kDouble) - theirs.to(at::kDouble)).abs().nan_to_num().max().item<double>();
    return agreement;
}

} // namespace

Result<PackContents> packRuntime(const std::string &path, std::shared_ptr<const Network> network, const ParameterMap &simulated)
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
    PackContents contents;
    const bool folded = file.assignment.is_object() && file.assignment.contains("network") && file.assignment["network"].is_object()
                        && file.assignment["network"].value("fold_batch_norm", nlohmann::json(false)) == true;
    for (const auto &[name, tensor] : simulated) {
        const auto packed = parameters.find(name);
        if (packed == parameters.end() || packed->second.sizes() != tensor.sizes())
            return fail(ErrorKind::Invalid, path + ", it has no " + name + " of the network's shape; give the network and the assignment that it was made from");
        contents.weights.push_back(compareWeights(name, tensor.detach(), packed->second));
    }
    BW_ASSIGN(contents.runtime, PackRuntime::make(path, std::move(network), folded, file, std::move(parameters)));
    return contents;
}

} // namespace bitwright
