// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/layer_list.h"

#include "base/sha256.h"
#include "graph/channel_plan.h"
#include "graph/node_builder.h"
#include "graph/operators.h"
#include "graph/rewrites/fold_batch_norm.h"
#include "graph/shape_probe.h"
#include "graph/shortcuts.h"

#include <algorithm>
#include <map>
#include <set>

namespace bitwright {

namespace {

using Kind = Argument::Kind;

const std::set<std::string> kQuantizable{
    "aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::conv1d.padding", "aten::conv2d.padding", "aten::conv3d.padding",
    "aten::conv_transpose1d", "aten::conv_transpose2d.input", "aten::conv_transpose3d.input", "aten::linear"};

/// A product with a constant matrix [inputs, outputs] on its right.
bool isProduct(const Node &node) { return node.op == "aten::matmul" || node.op == "aten::mm"; }

/// Results are never below zero whatever comes in.
const std::set<std::string> kNonNegative{"relu", "relu6", "sigmoid", "hardsigmoid", "softmax", "_softmax", "abs", "exp",
                                         "square", "softplus"};
/// Results are never below zero when the first input (of cat: every input) is not.
const std::set<std::string> kKeepsSign{
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d", "adaptive_max_pool2d",
    "dropout", "feature_dropout", "native_dropout", "flatten", "view", "reshape", "_unsafe_view", "permute", "transpose",
    "contiguous", "clone", "to", "mean", "sum", "amax", "squeeze", "unsqueeze", "slice", "select", "split", "chunk",
    "ListUnpack", "expand", "upsample_nearest2d", "pixel_shuffle", "channel_shuffle", "cat", "stack", "detach", "relu_"};

std::string prefixOf(const std::string &parameter)
{
    const auto dot = parameter.rfind('.');
    return dot == std::string::npos ? parameter : parameter.substr(0, dot);
}

bool numberAtLeastZero(const Argument &argument)
{
    return argument.kind == Kind::Constant && argument.constant.isScalar() && !argument.constant.toScalar().isComplex()
        && argument.constant.toScalar().toDouble() >= 0;
}

class Lister {
public:
    Lister(const Graph &graph, const Shape &sample) : m_graph(graph), m_sample(sample) {}
    std::vector<LayerBinding> run();
    ShapeProbe takeShapes() { return std::move(m_shapes); }

private:
    void index();
    void noteReaders(const Argument &argument, std::size_t node);
    void addLayer(std::size_t node);
    void addOther(std::size_t node);
    [[nodiscard]] bool isLayer(const Node &node) const;
    LayerBinding weighted(std::size_t node, const Parameter &weight) const;
    [[nodiscard]] std::string whyFloat(const Node &node, const Parameter &weight) const;
    [[nodiscard]] std::int64_t macs(std::size_t node, const LayerInfo &info) const;
    bool nonNegative(const Argument &argument, int depth = 0) const;
    [[nodiscard]] const Parameter *parameterOf(const Argument &argument) const;
    [[nodiscard]] std::int64_t groupsOf(const Node &node) const;

    const Graph &m_graph;
    const Shape &m_sample;
    ShapeProbe m_shapes;
    std::vector<int> m_parameterOf;
    std::map<ValueId, std::size_t> m_producer;
    std::map<ValueId, std::vector<std::size_t>> m_readers;   ///< of parameters
    std::map<std::size_t, std::size_t> m_normAfter;          ///< layer node → batch norm node
    std::map<ValueId, std::size_t> m_bindingOf;              ///< weight → binding
    std::vector<LayerBinding> m_bindings;
};

const Parameter *Lister::parameterOf(const Argument &argument) const
{
    if (argument.kind != Kind::Value || argument.value < 0 || m_parameterOf[std::size_t(argument.value)] < 0)
        return nullptr;
    return &m_graph.parameters[std::size_t(m_parameterOf[std::size_t(argument.value)])];
}

void Lister::noteReaders(const Argument &argument, std::size_t node)
{
    if (parameterOf(argument) && (m_readers[argument.value].empty() || m_readers[argument.value].back() != node))
        m_readers[argument.value].push_back(node);
    for (const Argument &element : argument.list)
        noteReaders(element, node);
}

void Lister::index()
{
    m_parameterOf.assign(m_graph.valueNames.size(), -1);
    for (std::size_t i = 0; i < m_graph.parameters.size(); ++i)
        if (m_graph.parameters[i].value >= 0)
            m_parameterOf[std::size_t(m_graph.parameters[i].value)] = int(i);
    for (std::size_t i = 0; i < m_graph.nodes.size(); ++i) {
        for (ValueId output : m_graph.nodes[i].outputs)
            m_producer[output] = i;
        for (const Argument &argument : m_graph.nodes[i].arguments)
            noteReaders(argument, i);
    }
    for (const FoldSite &site : foldSites(m_graph))
        m_normAfter[site.layer] = site.norm;
    m_shapes = probeShapes(m_graph, m_sample);
}

std::int64_t Lister::groupsOf(const Node &node) const
{
    const int at = argumentIndex(node, "groups");
    const Argument *argument = at < 0 ? nullptr : &node.arguments[std::size_t(at)];
    return argument && argument->kind == Kind::Constant && argument->constant.isInt() ? argument->constant.toInt() : 1;
}

/// Whether a value can only be zero or more, seen from the operators that made it.
bool Lister::nonNegative(const Argument &argument, int depth) const
{
    constexpr int kDeepest = 64;
    if (argument.kind == Kind::List)
        return !argument.list.empty()
            && std::ranges::all_of(argument.list, [&](const Argument &a) { return nonNegative(a, depth + 1); });
    const auto found = argument.kind == Kind::Value ? m_producer.find(argument.value) : m_producer.end();
    if (found == m_producer.end() || depth > kDeepest)
        return false;
    const Node &node = m_graph.nodes[found->second];
    const std::string name = plainName(node.op);
    if (kNonNegative.contains(name))
        return true;
    if (kKeepsSign.contains(name))
        return nonNegative(node.arguments[0], depth + 1);
    if (name == "hardtanh" || name == "clamp" || name == "clamp_min")
        return node.arguments.size() > 1 && numberAtLeastZero(node.arguments[1]);
    if (name == "constant_pad_nd")
        return numberAtLeastZero(node.arguments[2]) && nonNegative(node.arguments[0], depth + 1);
    if (node.op == "aten::add.Tensor" || node.op == "aten::mul.Tensor")
        return nonNegative(node.arguments[0], depth + 1) && nonNegative(node.arguments[1], depth + 1)
            && (name == "mul" || numberAtLeastZero(node.arguments[2]));
    return false;
}

/// Multiplications per sample of one call: each output element (of a transposed one: each input) meets one filter.
std::int64_t Lister::macs(std::size_t node, const LayerInfo &info) const
{
    if (!m_shapes.ok || info.weightShape.empty())
        return 0;
    const ShapeProbe::OfNode &shapes = m_shapes.nodes[node];
    const auto count = [](const Shape &shape) {
        std::int64_t product = shape.empty() ? 0 : 1;
        for (std::int64_t size : shape)
            product *= size;
        return product;
    };
    const std::int64_t elements = count(info.channelAxis == 1 ? shapes.input : shapes.output);
    return info.weightShape[0] == 0 ? 0 : elements * (info.weightCount / info.weightShape[0]) / m_shapes.batch;
}

std::string Lister::whyFloat(const Node &node, const Parameter &weight) const
{
    if (!c10::isFloatingType(weight.tensor.scalar_type()))
        return "its weight is not a floating-point tensor";
    for (std::size_t reader : m_readers.at(weight.value)) {
        const Node &other = m_graph.nodes[reader];
        const bool asWeight = other.op == node.op && other.arguments[1].kind == Kind::Value && other.arguments[1].value == weight.value;
        if (!asWeight)
            return "its weight is also read by " + plainName(other.op);
    }
    return {};
}

LayerBinding Lister::weighted(std::size_t node, const Parameter &weight) const
{
    const Node &call = m_graph.nodes[node];
    LayerBinding binding;
    LayerInfo &info = binding.info;
    binding.weight = weight.value;
    info.name = weight.name.ends_with(".weight") ? weight.name.substr(0, weight.name.size() - 7) : weight.name;
    info.op = plainName(call.op);
    info.weightShape = weight.tensor.sizes().vec();
    info.weightCount = weight.tensor.numel();
    info.groups = groupsOf(call);
    info.channelAxis = info.op.starts_with("conv_transpose") || isProduct(call) ? 1 : 0;
    if (const Parameter *bias = isProduct(call) ? nullptr : parameterOf(call.arguments[2])) {
        binding.bias = bias->value;
        info.biasCount = bias->tensor.numel();
    }
    info.reason = whyFloat(call, weight);
    info.status = info.reason.empty() ? LayerStatus::Quantizable : LayerStatus::Float;
    if (const auto norm = m_normAfter.find(node); norm != m_normAfter.end()) {
        const Node &batchNorm = m_graph.nodes[norm->second];
        const Parameter *gamma = parameterOf(batchNorm.arguments[1]), *beta = parameterOf(batchNorm.arguments[2]);
        const Parameter *named = gamma ? gamma : parameterOf(batchNorm.arguments[3]);
        info.batchNorm = prefixOf(named->name);
        for (const Parameter *parameter : {gamma, beta})
            info.batchNormCount += parameter && parameter->trainable ? parameter->tensor.numel() : 0;
    }
    return binding;
}

void Lister::addLayer(std::size_t node)
{
    const Node &call = m_graph.nodes[node];
    const Parameter *weight = parameterOf(call.arguments[1]);
    if (!weight) {
        LayerBinding binding;
        binding.info.name = call.name;
        binding.info.op = plainName(call.op);
        binding.info.reason = "its weight is computed while the network runs";
        binding.nodes = {node};
        binding.info.nonNegativeInput = nonNegative(call.arguments[0]);
        m_bindings.push_back(std::move(binding));
        return;
    }
    const auto known = m_bindingOf.find(weight->value);
    if (known == m_bindingOf.end()) {
        m_bindingOf[weight->value] = m_bindings.size();
        LayerBinding binding = weighted(node, *weight);
        binding.nodes = {node};
        binding.info.macs = macs(node, binding.info);
        binding.info.nonNegativeInput = nonNegative(call.arguments[0]);
        m_bindings.push_back(std::move(binding));
        return;
    }
    LayerBinding &binding = m_bindings[known->second];
    binding.nodes.push_back(node);
    ++binding.info.calls;
    binding.info.macs += macs(node, binding.info);
    binding.info.nonNegativeInput = binding.info.nonNegativeInput && nonNegative(call.arguments[0]);
}

bool Lister::isLayer(const Node &node) const
{
    if (!isProduct(node))
        return kQuantizable.contains(node.op);
    const Parameter *matrix = parameterOf(node.arguments[1]);
    return matrix && matrix->trainable && matrix->tensor.dim() == 2 && !parameterOf(node.arguments[0]);
}

/// A batch norm, an embedding, a scale: anything else that owns trainable parameters.
void Lister::addOther(std::size_t node)
{
    const Node &call = m_graph.nodes[node];
    std::vector<const Parameter *> owned;
    const auto collect = [&](const Argument &argument, const auto &self) -> void {
        const Parameter *parameter = parameterOf(argument);
        if (parameter && parameter->trainable && !m_bindingOf.contains(parameter->value))
            owned.push_back(parameter);
        for (const Argument &element : argument.list)
            self(element, self);
    };
    for (const Argument &argument : call.arguments)
        collect(argument, collect);
    if (owned.empty())
        return;
    LayerBinding binding;
    LayerInfo &info = binding.info;
    info.op = plainName(call.op);
    info.name = owned.size() == 1 && !owned[0]->name.ends_with(".weight") ? owned[0]->name : prefixOf(owned[0]->name);
    info.weightShape = owned[0]->tensor.sizes().vec();
    info.weightCount = owned[0]->tensor.numel();
    for (std::size_t i = 1; i < owned.size(); ++i)
        info.biasCount += owned[i]->tensor.numel();
    info.reason = info.op == "batch_norm" ? "batch norm stays float, or is folded into the layer before it"
                                          : info.op + " is computed in float";
    binding.nodes = {node};
    binding.inputArgument = parameterOf(call.arguments[0]) && call.arguments.size() > 1 ? 1 : 0;
    binding.weight = owned[0]->value;
    for (const Parameter *parameter : owned)
        m_bindingOf[parameter->value] = m_bindings.size();
    m_bindings.push_back(std::move(binding));
}

std::vector<LayerBinding> Lister::run()
{
    index();
    // A weight that some layer multiplies belongs to that layer, also where another operator reads it first.
    std::set<ValueId> ofLayers;
    for (const Node &node : m_graph.nodes)
        if (isLayer(node))
            for (std::size_t i = 1; i < std::min<std::size_t>(3, node.arguments.size()); ++i)
                if (const Parameter *parameter = parameterOf(node.arguments[i]))
                    ofLayers.insert(parameter->value);
    for (std::size_t i = 0; i < m_graph.nodes.size(); ++i) {
        const Node &node = m_graph.nodes[i];
        if (isLayer(node)) {
            addLayer(i);
            continue;
        }
        const bool shares = std::ranges::any_of(node.arguments, [&](const Argument &a) {
            return a.kind == Kind::Value && ofLayers.contains(a.value);
        });
        if (!shares)
            addOther(i);
    }
    const std::set<std::size_t> shortcuts = shortcutConvolutions(m_graph);
    for (LayerBinding &binding : m_bindings)
        binding.info.shortcut = std::ranges::all_of(binding.nodes, [&](std::size_t node) { return shortcuts.contains(node); });
    return std::move(m_bindings);
}

/// The tensors of a state dict: without a network, floating ones of two dimensions and more are taken for layers.
std::vector<LayerBinding> listTensors(const Graph &graph)
{
    std::vector<LayerBinding> bindings;
    for (const Parameter &parameter : graph.parameters) {
        LayerBinding binding;
        LayerInfo &info = binding.info;
        binding.weight = parameter.value;
        info.name = parameter.name.ends_with(".weight") ? prefixOf(parameter.name) : parameter.name;
        info.op = "tensor";
        info.weightShape = parameter.tensor.sizes().vec();
        info.weightCount = parameter.tensor.numel();
        if (!c10::isFloatingType(parameter.tensor.scalar_type()))
            info.reason = "its weight is not a floating-point tensor";
        else if (c10::elementSize(parameter.tensor.scalar_type()) < 2)
            info.reason = "its weight has 8 bits already";
        else if (parameter.tensor.dim() < 2)
            info.reason = "a tensor of one dimension (a bias, a scale) stays float";
        else if (info.weightCount == 0)
            info.reason = "its weight is empty";
        info.status = info.reason.empty() ? LayerStatus::Quantizable : LayerStatus::Float;
        bindings.push_back(std::move(binding));
    }
    return bindings;
}

} // namespace

std::vector<LayerBinding> listLayers(const Graph &graph, const Shape &sample, ShapeProbe *shapes)
{
    if (graph.weightsOnly)
        return listTensors(graph);
    Lister lister(graph, sample);
    auto bindings = lister.run();
    if (shapes)
        *shapes = lister.takeShapes();
    return bindings;
}

ModelSummary summarize(const Graph &graph, const std::vector<LayerBinding> &bindings, const std::string &path, const ShapeProbe &shapes)
{
    ModelSummary summary;
    summary.path = path;
    summary.format = graph.format;
    summary.sha256 = sha256OfFile(path).value_or("");
    for (const GraphInput &input : graph.inputs)
        summary.inputs.push_back(input.info);
    summary.outputs = shapes.outputs;
    if (!shapes.ok)
        for (const std::string &name : graph.outputNames)
            summary.outputs.push_back({name, {}, ""});
    summary.parameters = graph.trainableCount();
    summary.nodes = std::int64_t(graph.nodes.size());
    for (const Node &node : graph.nodes)
        ++summary.operators[plainName(node.op)];
    for (const LayerBinding &binding : bindings)
        summary.layers.push_back(binding.info);
    summary.groups = planChannels(graph, bindings).groups;
    summary.fixedBatch = graph.fixedBatch;
    summary.obstacles = graph.obstacles;
    return summary;
}

} // namespace bitwright
