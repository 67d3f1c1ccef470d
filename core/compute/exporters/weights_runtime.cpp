// SPDX-License-Identifier: GPL-3.0-or-later
// Files of weights, run in the network that they were made from.
#include "exporters/runtimes.h"
#include "quant/quantizer.h"

#include <ATen/ATen.h>

namespace bitwright {

namespace {

class WeightsRuntime final : public Runtime {
public:
    WeightsRuntime(std::shared_ptr<const Network> network, bool folded, const ParameterMap &parameters,
                   std::vector<std::unique_ptr<Quantizer>> quantizers)
        : m_network(std::move(network)), m_folded(folded), m_parameters(m_network->executor(folded).bind(parameters)),
          m_quantizers(std::move(quantizers))
    {
        m_tap = [this](std::size_t binding, int, const at::Tensor &input, bool mayOverwrite) {
            return m_quantizers[binding] ? m_quantizers[binding]->apply(input, mayOverwrite) : input;
        };
    }

    std::string name() const override { return "Bitwright reader"; }

    Result<RuntimeOutput> run(const std::vector<c10::IValue> &inputs, const JobContext &context) override
    {
        RunOptions options;
        options.tap = &m_tap;
        options.stop = context.stop;
        const Executor &executor = m_network->executor(m_folded);
        if (inputs.size() == 1 && inputs[0].isTensor()) {
            BW_ASSIGN(const at::Tensor output, executor.runBatch(inputs[0].toTensor(), m_parameters, options));
            return RuntimeOutput{output, {}};
        }
        BW_ASSIGN(const auto outputs, executor.run(inputs, m_parameters, options));
        BW_ASSIGN(const at::Tensor output, firstOutput(outputs));
        return RuntimeOutput{output, {}};
    }

private:
    std::shared_ptr<const Network> m_network;
    bool m_folded = false;
    std::vector<at::Tensor> m_parameters;
    std::vector<std::unique_ptr<Quantizer>> m_quantizers;
    Tap m_tap;
};

} // namespace

Result<at::Tensor> firstOutput(const std::vector<c10::IValue> &outputs)
{
    if (!outputs.empty() && outputs[0].isTensor())
        return outputs[0].toTensor();
    if (!outputs.empty() && outputs[0].isScalar())
        return at::scalar_tensor(outputs[0].toScalar(), at::kDouble);
    return fail(ErrorKind::Unsupported, outputs.empty() ? std::string("network, it gives no output to compare; export it with one")
                                                        : "network, its first output is a " + outputs[0].tagKind() +
                                                              ", which cannot be compared; export it with a tensor as the first output");
}

LayerAgreement compareWeights(const std::string &name, const at::Tensor &ours, const at::Tensor &theirs)
{
    LayerAgreement agreement{name, 0, 0};
    const at::Tensor same = (ours == theirs).logical_or(ours.isnan().logical_and(theirs.isnan()));
    agreement.differingLevels = same.logical_not().sum().item<std::int64_t>();
    if (agreement.differingLevels > 0)
        agreement.maxAbsDifference = (ours.to(at::kDouble) - theirs.to(at::kDouble)).abs().nan_to_num().max().item<double>();
    return agreement;
}

Result<std::unique_ptr<Runtime>> weightsRuntime(const std::string &path, std::shared_ptr<const Network> network, bool folded,
                                                const ResolvedConfig &config, const ParameterMap &parameters)
{
    const Executor &executor = network->executor(folded);
    for (const Parameter &parameter : executor.graph().parameters)
        if (const auto found = parameters.find(parameter.name); found == parameters.end() || found->second.sizes() != parameter.tensor.sizes())
            return fail(ErrorKind::Invalid, path + ", it has no " + parameter.name + " of the network's shape; give the network that it was made from");
    std::vector<std::unique_ptr<Quantizer>> quantizers(executor.bindings().size());
    for (std::size_t i = 0; i < quantizers.size(); ++i) {
        const LayerInfo &info = executor.bindings()[i].info;
        const auto layer = config.find(info.name);
        if (layer == config.end() || layer->second.activation.isFloat())
            continue;
        BW_ASSIGN(quantizers[i], makeQuantizer(layer->second.activation, {info.name, Role::Activation, 0, info.nonNegativeInput}));
        if (!quantizers[i]->calibrated())
            return fail(ErrorKind::Invalid, path + ", layer " + info.name + " lacks the values of its input; calibrate and export it again");
    }
    return std::unique_ptr<Runtime>(std::make_unique<WeightsRuntime>(std::move(network), folded, parameters, std::move(quantizers)));
}

} // namespace bitwright
