// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/network.h"

#include "frontends/frontend.h"
#include "graph/layer_list.h"
#include "simulate/input_needs.h"

#include <algorithm>
#include <ranges>

namespace bitwright {

Result<std::shared_ptr<const Network>> Network::open(const std::string &path, const JobContext &context)
{
    BW_ASSIGN(Graph graph, loadGraph(path, context));
    if (context.stopped())
        return cancelled();
    return make(std::move(graph), path);
}

std::shared_ptr<const Network> Network::make(Graph graph, const std::string &path)
{
    std::shared_ptr<Network> network(new Network);
    auto shared = std::make_shared<const Graph>(std::move(graph));
    ShapeProbe shapes;
    auto bindings = listLayers(*shared, {}, &shapes);
    network->m_summary = summarize(*shared, bindings, path, shapes);
    network->m_parameters = shared->parameterMap();
    network->m_needs = inputNeeds(*shared);
    network->m_fixedBatch = bitwright::fixedBatch(*shared, network->m_needs);
    network->m_executor = std::make_unique<Executor>(std::move(shared), std::move(bindings));
    return network;
}

ModelSummary Network::summaryFor(const Shape &sample) const
{
    ModelSummary summary = m_summary;
    if (summary.inputs.empty() || summary.inputs[0].shape.size() != sample.size() + 1 ||
        std::ranges::equal(sample, summary.inputs[0].shape | std::views::drop(1)))
        return summary;
    const auto bindings = listLayers(m_executor->graph(), sample);
    for (std::size_t i = 0; i < bindings.size() && i < summary.layers.size(); ++i)
        summary.layers[i].macs = bindings[i].info.macs;
    return summary;
}

const Network::Folded &Network::foldedTwin() const
{
    std::call_once(m_foldOnce, [this] {
        m_folded = std::make_unique<Folded>();
        m_folded->plan = foldBatchNorm(m_executor->graph());
        auto graph = std::make_shared<const Graph>(m_folded->plan.graph);
        auto bindings = listLayers(*graph);
        m_folded->executor = std::make_unique<Executor>(std::move(graph), std::move(bindings));
    });
    return *m_folded;
}

const Executor &Network::executor(bool folded) const
{
    return folded ? *foldedTwin().executor : *m_executor;
}

ParameterMap Network::parameters(bool folded, const ParameterMap &state) const
{
    ParameterMap complete = m_parameters;
    for (const auto &[name, tensor] : state) {
        if (auto found = complete.find(name); found != complete.end())
            found->second = tensor;
    }
    return folded ? foldedTwin().plan.apply(complete) : complete;
}

std::optional<std::size_t> Network::binding(const std::string &layer, bool folded) const
{
    const auto &bindings = executor(folded).bindings();
    for (std::size_t i = 0; i < bindings.size(); ++i) {
        if (bindings[i].info.name == layer)
            return i;
    }
    return std::nullopt;
}

} // namespace bitwright
