// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/layer_list.h"

#include "base/sha256.h"
#include "graph/channel_plan.h"
#include "graph/node_builder.h"
#include "graph/operators.h"
#include "graph/rewrites/fold_batch_norm.h"
#include "graph/shape_probe.h"
#include "graph/shortcuts.h"
#include "graph/stored_layers.h"
#include "graph/subgraph.h"

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

/// Where an operator that is no layer takes a weight: an argument, or the elements of that rank of a list.
struct WeightPlace {
    const char *op;
    std::size_t argument;
    int channelAxis;
    std::size_t bias;   ///< argument with what is added, or 0
};
constexpr WeightPlace kWeightPlaces[]{
    {"aten::embedding", 0, 0, 0}, {"aten::embedding_bag", 0, 0, 0}, {"aten::embedding_bag.padding_idx", 0, 0, 0},
    {"aten::lstm.input", 2, 0, 0}, {"aten::gru.input", 2, 0, 0}, {"aten::rnn_tanh.input", 2, 0, 0}, {"aten::rnn_relu.input", 2, 0, 0},
    {"aten::lstm.data", 3, 0, 0}, {"aten::gru.data", 3, 0, 0}, {"aten::rnn_tanh.data", 3, 0, 0}, {"aten::rnn_relu.data", 3, 0, 0},
    {"aten::lstm_cell", 2, 0, 4}, {"aten::lstm_cell", 3, 0, 5}, {"aten::gru_cell", 2, 0, 4}, {"aten::gru_cell", 3, 0, 5},
    {"aten::rnn_tanh_cell", 2, 0, 4}, {"aten::rnn_tanh_cell", 3, 0, 5}, {"aten::rnn_relu_cell", 2, 0, 4}, {"aten::rnn_relu_cell", 3, 0, 5},
    // [directions, gates × hidden, …]
    {"onnx::LSTM", 1, 1, 3}, {"onnx::LSTM", 2, 1, 0}, {"onnx::GRU", 1, 1, 3}, {"onnx::GRU", 2, 1, 0},
    {"onnx::RNN", 1, 1, 3}, {"onnx::RNN", 2, 1, 0}, {"onnx::Gather", 0, 0, 0},
    {"aten::_native_multi_head_attention", 5, 0, 6}, {"aten::_native_multi_head_attention", 7, 0, 8}, {"aten::bilinear", 2, 0, 3}};

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
    /// One place where a parameter is read, within branches and loops too.
    struct Use {
        std::string op;
        std::size_t node = 0;               ///< of the graph; for a body the one that runs it
        bool weight = false;                ///< it is multiplied or looked up there
        bool layer = false, inBody = false; ///< that is an operator of a layer; it lies in a body
        int channelAxis = 0;
        std::vector<ValueId> biases = {};   ///< what is added to the result
    };
    using Named = std::function<ValueId(ValueId)>;   ///< the parameter that a value of this graph or body is, or kNoValue

    void index();
    void noteUses(const Node &node, const Named &named, std::size_t top, bool inBody);
    void addWeightOnly(const Parameter &weight);
    void addLayer(std::size_t node);
    void addOther(std::size_t node);
    [[nodiscard]] bool isLayer(const Node &node) const;
    [[nodiscard]] bool isLayer(const Node &node, const Named &named) const;
    [[nodiscard]] ValueId trainableParameter(ValueId value) const;
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
    std::map<ValueId, std::vector<Use>> m_uses;              ///< of parameters
    std::set<ValueId> m_ofLayers;                            ///< weights and biases of layers proper
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

ValueId Lister::trainableParameter(ValueId value) const
{
    const Parameter *parameter = value < 0 ? nullptr : parameterOf(Argument::of(value));
    return parameter && parameter->trainable ? value : kNoValue;
}

/// The place of an operator where each of its parameters is a weight, if it is.
void Lister::noteUses(const Node &node, const Named &named, std::size_t top, bool inBody)
{
    const auto bodies = bodiesOf(node);
    for (const auto &body : bodies) {
        const std::size_t before = node.arguments.size() - body->inputs.size();   // a branch does not take the condition
        std::map<ValueId, ValueId> outside;
        for (std::size_t i = 0; i < body->inputs.size(); ++i)
            if (node.arguments[before + i].kind == Kind::Value)
                if (const ValueId parameter = named(node.arguments[before + i].value); parameter != kNoValue)
                    outside[body->inputs[i].value] = parameter;
        const Named within = [&outside](ValueId value) {
            const auto found = outside.find(value);
            return found == outside.end() ? kNoValue : found->second;
        };
        for (const Node &inner : body->nodes)
            noteUses(inner, within, top, true);
        for (const Argument &output : body->outputs)
            if (const ValueId parameter = output.kind == Kind::Value ? within(output.value) : kNoValue; parameter != kNoValue)
                m_uses[parameter].push_back({"result", top, false, false, true});
    }
    if (!bodies.empty())
        return;
    const auto parameterAt = [&](std::size_t argument) {
        const bool value = argument < node.arguments.size() && node.arguments[argument].kind == Kind::Value;
        return value ? named(node.arguments[argument].value) : kNoValue;
    };
    const bool layer = isLayer(node, named);
    for (std::size_t i = 0; i < node.arguments.size(); ++i) {
        const auto place = std::ranges::find_if(kWeightPlaces, [&](const WeightPlace &p) { return node.op == p.op && p.argument == i; });
        const bool listed = place != std::end(kWeightPlaces);
        if (const ValueId parameter = parameterAt(i); parameter != kNoValue) {
            Use use{node.op, top, listed, false, inBody};
            if (layer && i == 1)
                use = {node.op, top, true, true, inBody, node.op.starts_with("aten::conv_transpose") || isProduct(node) ? 1 : 0};
            else if (listed)
                use.channelAxis = place->channelAxis;
            const std::size_t bias = use.layer ? (isProduct(node) ? 0 : 2) : listed ? place->bias : 0;
            if (const ValueId added = bias == 0 ? kNoValue : parameterAt(bias); added != kNoValue)
                use.biases.push_back(added);
            if (node.op == "aten::index_select" && i == 0)
                use.weight = node.arguments[1].kind == Kind::Constant && node.arguments[1].constant.isInt() && node.arguments[1].constant.toInt() == 0;
            if (node.op == "aten::index.Tensor" && i == 0)
                use.weight = node.arguments[1].list.size() == 1;
            m_uses[parameter].push_back(std::move(use));
        }
        // The flat weights of a recurrent layer: of each direction matrices, then as many biases.
        std::vector<ValueId> matrices;
        for (const Argument &element : node.arguments[i].list) {
            const ValueId parameter = element.kind == Kind::Value ? named(element.value) : kNoValue;
            if (parameter == kNoValue)
                continue;
            const bool vector = parameterOf(Argument::of(parameter))->tensor.dim() < 2;
            m_uses[parameter].push_back({node.op, top, listed && !vector, false, inBody, listed ? place->channelAxis : 0});
            if (!vector) {
                matrices.push_back(parameter);
            } else if (!matrices.empty()) {
                m_uses[matrices.front()].back().biases.push_back(parameter);
                matrices.erase(matrices.begin());
            }
        }
    }
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
        noteUses(m_graph.nodes[i], [this](ValueId value) { return parameterOf(Argument::of(value)) ? value : kNoValue; }, i, false);
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
    for (const Use &use : m_uses.at(weight.value))
        if (!use.weight || (use.layer && use.op != node.op))
            return "its weight is also read by " + plainName(use.op);
    return {};
}

/// A matrix that is only multiplied or looked up in places where no single input could be quantized.
void Lister::addWeightOnly(const Parameter &weight)
{
    const auto found = m_uses.find(weight.value);
    const at::Tensor &tensor = weight.tensor;
    if (found == m_uses.end() || tensor.dim() < 2 || tensor.numel() == 0 || !c10::isFloatingType(tensor.scalar_type()) || c10::elementSize(tensor.scalar_type()) < 2
        || !std::ranges::all_of(found->second, &Use::weight))
        return;
    const std::vector<Use> &uses = found->second;
    LayerBinding binding;
    LayerInfo &info = binding.info;
    binding.weight = weight.value;
    binding.inputArgument = -1;
    info.name = weight.name.ends_with(".weight") ? prefixOf(weight.name) : weight.name;
    info.op = plainName(uses.front().op);
    info.weightShape = tensor.sizes().vec();
    info.weightCount = tensor.numel();
    info.channelAxis = uses.front().channelAxis;
    info.status = LayerStatus::Quantizable;
    info.weightOnly = true;
    info.calls = int(uses.size());
    m_bindingOf[weight.value] = m_bindings.size();
    for (const ValueId bias : uses.front().biases)
        if (const Parameter *parameter = parameterOf(Argument::of(bias)); parameter->trainable && m_bindingOf.try_emplace(bias, m_bindings.size()).second)
            info.biasCount += parameter->tensor.numel();
    for (const Use &use : uses) {
        if (binding.nodes.empty() || binding.nodes.back() != use.node)
            binding.nodes.push_back(use.node);
        // A recurrent layer multiplies once for each step and sample; what a body runs is not known.
        const bool looksUp = info.op.starts_with("embedding") || info.op.starts_with("index") || info.op == "Gather";
        const Shape *input = use.inBody || looksUp || !m_shapes.ok ? nullptr : &m_shapes.nodes[use.node].input;
        if (input && !input->empty() && input->back() > 0) {
            std::int64_t rows = 1;
            for (std::size_t i = 0; i + 1 < input->size(); ++i)
                rows *= (*input)[i];
            info.macs += rows * info.weightCount / m_shapes.batch;
        }
    }
    m_bindings.push_back(std::move(binding));
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
    return isLayer(node, [this](ValueId value) { return parameterOf(Argument::of(value)) ? value : kNoValue; });
}

bool Lister::isLayer(const Node &node, const Named &named) const
{
    if (!isProduct(node))
        return kQuantizable.contains(node.op);
    const auto parameterAt = [&](std::size_t argument) {
        return node.arguments[argument].kind == Kind::Value ? named(node.arguments[argument].value) : kNoValue;
    };
    const ValueId matrix = trainableParameter(parameterAt(1));
    return matrix != kNoValue && parameterOf(Argument::of(matrix))->tensor.dim() == 2 && parameterAt(0) == kNoValue;
}

/// A batch norm, a recurrent layer, a branch, a scale: anything else that owns trainable parameters.
void Lister::addOther(std::size_t node)
{
    const Node &call = m_graph.nodes[node];
    std::vector<const Parameter *> owned;
    const auto collect = [&](const Argument &argument, const auto &self) -> void {
        const Parameter *parameter = parameterOf(argument);
        if (parameter && parameter->trainable && !m_bindingOf.contains(parameter->value) && !m_ofLayers.contains(parameter->value))
            owned.push_back(parameter);
        for (const Argument &element : argument.list)
            self(element, self);
    };
    for (const Argument &argument : call.arguments)
        collect(argument, collect);
    for (const Parameter *parameter : owned)
        addWeightOnly(*parameter);
    std::erase_if(owned, [&](const Parameter *parameter) { return m_bindingOf.contains(parameter->value); });
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
    for (const Node &node : m_graph.nodes)
        if (isLayer(node))
            for (std::size_t i = 1; i < std::min<std::size_t>(3, node.arguments.size()); ++i)
                if (const Parameter *parameter = parameterOf(node.arguments[i]))
                    m_ofLayers.insert(parameter->value);
    for (std::size_t i = 0; i < m_graph.nodes.size(); ++i)
        isLayer(m_graph.nodes[i]) ? addLayer(i) : addOther(i);
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
        info.weightOnly = true;
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
    ShapeProbe seen = lister.takeShapes();
    noteStored(graph, seen, bindings);
    if (shapes)
        *shapes = std::move(seen);
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
    for (const LayerBinding &binding : bindings) {
        summary.layers.push_back(binding.info);
        // Codes and their integer biases cannot be trained, and are parameters all the same.
        const int weight = graph.parameterOf(binding.weight), bias = graph.parameterOf(binding.bias);
        if (weight < 0 || !hasCodes(binding, graph.parameters[std::size_t(weight)].tensor))
            continue;
        const bool counted = bias >= 0 && graph.parameters[std::size_t(bias)].trainable;
        summary.parameters += binding.info.weightCount + (counted ? 0 : binding.info.biasCount);
    }
    summary.groups = planChannels(graph, bindings).groups;
    summary.fixedBatch = graph.fixedBatch;
    summary.obstacles = graph.obstacles;
    return summary;
}

} // namespace bitwright
