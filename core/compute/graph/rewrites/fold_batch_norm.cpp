// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/rewrites/fold_batch_norm.h"

#include "graph/node_builder.h"
#include "graph/shape_probe.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace bitwright {

namespace {

using Kind = Argument::Kind;

struct Readers {
    std::vector<int> count;
    explicit Readers(const Graph &graph) : count(graph.valueNames.size(), 0)
    {
        for (const Node &node : graph.nodes)
            for (const Argument &argument : node.arguments)
                add(argument);
        for (const Argument &output : graph.outputs)
            add(output);
    }
    void add(const Argument &argument)
    {
        if (argument.kind == Kind::Value && argument.value >= 0)
            ++count[std::size_t(argument.value)];
        for (const Argument &element : argument.list)
            add(element);
    }
    [[nodiscard]] bool once(ValueId value) const { return count[std::size_t(value)] == 1; }
};

bool isLayer(const std::string &op)
{
    return op == "aten::linear" || (op.starts_with("aten::conv") && op != "aten::convolution");
}

bool isTransposed(const std::string &op) { return op.starts_with("aten::conv_transpose"); }

const Parameter *parameterOf(const Graph &graph, const Argument &argument)
{
    const int index = argument.kind == Kind::Value ? graph.parameterOf(argument.value) : -1;
    return index < 0 ? nullptr : &graph.parameters[std::size_t(index)];
}

std::int64_t groupsOf(const Node &node)
{
    const int index = argumentIndex(node, "groups");
    if (index < 0 || node.arguments[std::size_t(index)].kind != Kind::Constant)
        return 1;
    return node.arguments[std::size_t(index)].constant.toInt();
}

/// gamma, beta, mean and variance are parameters (the first two may be missing), eps is a number.
bool normIsConstant(const Graph &graph, const Node &norm)
{
    for (std::size_t i = 1; i < 5; ++i) {
        const bool missing = norm.arguments[i].kind == Kind::Constant && norm.arguments[i].constant.isNone();
        if (!parameterOf(graph, norm.arguments[i]) && !(missing && i < 3))
            return false;
    }
    return norm.arguments[7].kind == Kind::Constant && norm.arguments[7].constant.isDouble();
}

std::string nameOf(const Graph &graph, const Argument &argument)
{
    const Parameter *parameter = parameterOf(graph, argument);
    return parameter ? parameter->name : std::string();
}

std::string withoutEnding(const std::string &name, const std::string &ending)
{
    return name.ends_with(ending) ? name.substr(0, name.size() - ending.size()) : name;
}

class Folder {
public:
    explicit Folder(const Graph &graph) : m_original(graph), m_readers(graph) { m_folded.graph = graph; }
    FoldedGraph run();

private:
    void fold(const FoldSite &site);
    Argument biasArgument(const Node &layer, FoldedGraph::Fold &fold);

    const Graph &m_original;
    Readers m_readers;
    FoldedGraph m_folded;
    std::set<std::size_t> m_removed;
};

/// The bias that the folded layer reads: its own where nothing else uses it, else a new parameter.
Argument Folder::biasArgument(const Node &layer, FoldedGraph::Fold &fold)
{
    Graph &graph = m_folded.graph;
    fold.originalBias = nameOf(m_original, layer.arguments[2]);
    if (!fold.originalBias.empty() && m_readers.once(layer.arguments[2].value)) {
        fold.bias = fold.originalBias;
        return layer.arguments[2];
    }
    fold.bias = fold.layer + ".bias";
    while (graph.parameter(fold.bias))
        fold.bias += "_folded";
    const ValueId value = graph.addValue(fold.bias);
    graph.parameters.push_back({fold.bias, value, at::Tensor(), true});
    return Argument::of(value);
}

void Folder::fold(const FoldSite &site)
{
    Node &layer = m_folded.graph.nodes[site.layer];
    const Node &norm = m_folded.graph.nodes[site.norm];
    FoldedGraph::Fold fold;
    fold.weight = nameOf(m_original, layer.arguments[1]);
    fold.layer = withoutEnding(fold.weight, ".weight");
    fold.gamma = nameOf(m_original, norm.arguments[1]);
    fold.beta = nameOf(m_original, norm.arguments[2]);
    fold.mean = nameOf(m_original, norm.arguments[3]);
    fold.variance = nameOf(m_original, norm.arguments[4]);
    fold.eps = norm.arguments[7].constant.toDouble();
    fold.channelAxis = isTransposed(layer.op) ? 1 : 0;
    fold.groups = isTransposed(layer.op) ? groupsOf(layer) : 1;
    layer.arguments[2] = biasArgument(layer, fold);
    m_folded.graph.stored.erase(layer.arguments[1].value);   // another weight than the file's
    m_removed.insert(site.norm);
    m_folded.folds.push_back(std::move(fold));
}

FoldedGraph Folder::run()
{
    const std::vector<FoldSite> sites = foldSites(m_original);
    for (const FoldSite &site : sites)
        fold(site);
    Graph &graph = m_folded.graph;
    for (const FoldSite &site : sites)
        replaceValue(graph, m_original.nodes[site.norm].outputs[0], Argument::of(m_original.nodes[site.layer].outputs[0]));
    std::vector<Node> kept;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i)
        if (!m_removed.contains(i))
            kept.push_back(std::move(graph.nodes[i]));
    graph.nodes = std::move(kept);
    // What only the folded norms read is gone; parameters that nobody read before stay as they were.
    const Readers now(graph);
    std::erase_if(graph.parameters, [&](const Parameter &p) {
        const auto value = std::size_t(p.value);
        return now.count[value] == 0 && value < m_readers.count.size() && m_readers.count[value] > 0;
    });
    const at::NoGradGuard noGrad;
    const ParameterMap tensors = m_folded.apply(m_original.parameterMap());
    for (Parameter &parameter : graph.parameters)
        parameter.tensor = tensors.at(parameter.name).detach();
    return std::move(m_folded);
}

/// The scale as a shape that multiplies the weight along its output channels.
at::Tensor spread(const at::Tensor &scale, const at::Tensor &weight, const FoldedGraph::Fold &fold)
{
    std::vector<std::int64_t> shape(std::size_t(weight.dim()), 1);
    if (fold.groups == 1) {
        shape[std::size_t(fold.channelAxis)] = -1;
        return scale.reshape(shape);
    }
    // Transposed with groups: input channel i belongs to group i / (in / groups).
    const std::int64_t inputs = weight.size(0) / fold.groups;
    shape[0] = weight.size(0);
    shape[1] = weight.size(1);
    return scale.reshape({fold.groups, 1, -1}).expand({fold.groups, inputs, weight.size(1)}).reshape(shape);
}

} // namespace

std::vector<FoldSite> foldSites(const Graph &graph)
{
    const Readers readers(graph);
    std::map<ValueId, std::size_t> producer;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i)
        for (ValueId output : graph.nodes[i].outputs)
            producer[output] = i;
    std::vector<FoldSite> sites;
    std::optional<ShapeProbe> shapes;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node &norm = graph.nodes[i];
        const bool candidate = norm.op == "aten::batch_norm" && norm.arguments[0].kind == Kind::Value
            && producer.contains(norm.arguments[0].value) && normIsConstant(graph, norm);
        if (!candidate)
            continue;
        const std::size_t source = producer[norm.arguments[0].value];
        const Node &layer = graph.nodes[source];
        if (!isLayer(layer.op) || !readers.once(layer.outputs[0]) || layer.arguments[1].kind != Kind::Value)
            continue;
        const Parameter *weight = parameterOf(graph, layer.arguments[1]);
        const bool biasKnown = parameterOf(graph, layer.arguments[2])
            || (layer.arguments[2].kind == Kind::Constant && layer.arguments[2].constant.isNone());
        if (!weight || !readers.once(weight->value) || !biasKnown || !c10::isFloatingType(weight->tensor.scalar_type()))
            continue;
        if (layer.op == "aten::linear") {
            // Over more than two dimensions a batch norm does not normalize the linear layer's outputs.
            if (!shapes)
                shapes = probeShapes(graph);
            if (!shapes->ok || shapes->nodes[source].output.size() != 2)
                continue;
        }
        sites.push_back({source, i});
    }
    return sites;
}

ParameterMap FoldedGraph::apply(const ParameterMap &original) const
{
    ParameterMap result;
    for (const Parameter &parameter : graph.parameters)
        if (const auto found = original.find(parameter.name); found != original.end())
            result.insert(*found);
    for (const Fold &fold : folds) {
        const at::Tensor &weight = original.at(fold.weight), &mean = original.at(fold.mean);
        at::Tensor scale = (original.at(fold.variance) + fold.eps).rsqrt();
        if (!fold.gamma.empty())
            scale = scale * original.at(fold.gamma);
        at::Tensor bias = fold.originalBias.empty() ? -mean : original.at(fold.originalBias) - mean;
        bias = bias * scale;
        if (!fold.beta.empty())
            bias = bias + original.at(fold.beta);
        result[fold.weight] = weight * spread(scale, weight, fold);
        result[fold.bias] = bias;
    }
    return result;
}

FoldedGraph foldBatchNorm(const Graph &graph)
{
    return Folder(graph).run();
}

} // namespace bitwright
