// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/stored_layers.h"

#include "graph/operators.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace bitwright {

namespace {

using Kind = Argument::Kind;

/// Where an operator over integer codes takes what; -1 where it has no such argument.
struct IntegerLayer {
    const char *op, *shown;
    int input, inputScale, inputZero, weight, weightScale, weightZero, bias;
    int channelAxis;        ///< of the weight; -1 for the last one
    bool dynamic;           ///< it quantizes its float input itself, by a scale of the moment
};
constexpr IntegerLayer kIntegerLayers[]{
    {"onnx::QLinearConv", "QLinearConv", 0, 1, 2, 3, 4, 5, 8, 0, false},
    {"onnx::QLinearMatMul", "QLinearMatMul", 0, 1, 2, 3, 4, 5, -1, -1, false},
    {"onnx::ConvInteger", "ConvInteger", 0, -1, 2, 1, -1, 3, -1, 0, false},
    {"onnx::MatMulInteger", "MatMulInteger", 0, -1, 2, 1, -1, 3, -1, -1, false},
    {"onnx::com.microsoft.QGemm", "QGemm", 0, 1, 2, 3, 4, 5, 6, -1, false},
    {"onnx::com.microsoft.QGemm.transB", "QGemm", 0, 1, 2, 3, 4, 5, 6, 0, false},
    {"onnx::com.microsoft.DynamicQuantizeMatMul", "DynamicQuantizeMatMul", 0, -1, -1, 1, 2, 3, 4, -1, true},
    {"onnx::com.microsoft.MatMulIntegerToFloat", "MatMulIntegerToFloat", 0, 2, 4, 1, 3, 5, 6, -1, false},
    {"onnx::com.microsoft.QAttention", "QAttention", 0, 3, 6, 1, 4, 7, 2, -1, false},
    {"onnx::com.microsoft.DynamicQuantizeLSTM", "DynamicQuantizeLSTM", 0, -1, -1, 1, 8, 9, 3, -1, true},
    {"onnx::com.microsoft.DynamicQuantizeLSTM", "DynamicQuantizeLSTM", 0, -1, -1, 2, 10, 11, -1, -1, true},
    // a table of codes of which rows are looked up and de-quantized then
    {"aten::embedding", "embedding", -1, -1, -1, 0, -1, -1, -1, 0, false},
    {"onnx::Gather", "embedding", -1, -1, -1, 0, -1, -1, -1, 0, false},
};

bool isCodes(const at::Tensor &tensor)
{
    return tensor.defined() && c10::isIntegralType(tensor.scalar_type(), false) && c10::elementSize(tensor.scalar_type()) <= 2;
}

/// Operators that only move values, or choose among them: what lay on a grid with a zero still does.
const std::set<std::string> kKeepsLevels{
    "view", "reshape", "_unsafe_view", "flatten", "unflatten", "permute", "transpose", "t", "squeeze", "unsqueeze", "contiguous", "clone",
    "expand", "slice", "select", "dropout", "relu", "max_pool1d", "max_pool2d", "max_pool3d", "SamePad", "identity", "pixel_shuffle",
    "channel_shuffle", "upsample_nearest2d"};

class Looker {
public:
    explicit Looker(const Graph &graph) : m_graph(graph)
    {
        for (std::size_t i = 0; i < graph.parameters.size(); ++i)
            m_parameters[graph.parameters[i].value] = i;
        for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
            for (const ValueId output : graph.nodes[i].outputs)
                m_producer[output] = i;
            for (const Argument &argument : graph.nodes[i].arguments)
                if (argument.kind == Kind::Value)
                    m_readers[argument.value].push_back(i);
        }
    }

    /// A tensor that is known before the run; undefined where it is not.
    [[nodiscard]] at::Tensor known(const Argument &argument) const
    {
        if (argument.kind == Kind::Constant && argument.constant.isTensor())
            return argument.constant.toTensor();
        if (argument.kind == Kind::Constant && argument.constant.isDouble())   // a tensor of one element that became a number
            return at::scalar_tensor(argument.constant.toDouble(), at::TensorOptions(at::kDouble));
        const auto found = argument.kind == Kind::Value ? m_parameters.find(argument.value) : m_parameters.end();
        return found == m_parameters.end() ? at::Tensor() : m_graph.parameters[found->second].tensor;
    }
    [[nodiscard]] at::Tensor knownAt(const Node &node, int argument) const
    {
        return argument < 0 || std::size_t(argument) >= node.arguments.size() ? at::Tensor() : known(node.arguments[std::size_t(argument)]);
    }
    [[nodiscard]] const Node *producer(const Argument &argument) const
    {
        const auto found = argument.kind == Kind::Value ? m_producer.find(argument.value) : m_producer.end();
        return found == m_producer.end() ? nullptr : &m_graph.nodes[found->second];
    }

    /// The weight's scale where it is multiplied into the sums afterwards: sums (plus bias) → cast → times (scale of the input × scale of
    /// the weight), as ONNX Runtime's dynamic quantization writes it.
    [[nodiscard]] at::Tensor scaleBehind(const Node &layer) const
    {
        const Node *at = onlyReader(layer);
        if (at && plainName(at->op) == "add")   // a bias, still in steps of the sums
            at = onlyReader(*at);
        if (at && (plainName(at->op) == "to" || plainName(at->op) == "Cast"))
            at = onlyReader(*at);
        if (!at || plainName(at->op) != "mul")
            return {};
        // A single number that is known already may hold the input's scale as well.
        for (const Argument &argument : at->arguments) {
            const Node *both = producer(argument);
            if (both && plainName(both->op) == "mul")
                for (const Argument &factor : both->arguments)
                    if (const at::Tensor scale = known(factor); scale.defined())
                        return scale;
        }
        return {};
    }

    /// Scale and zero point by which codes that a node makes are read: of DequantizeLinear or an operator of QLinear, where they
    /// stand behind the codes. Undefined where nobody says.
    [[nodiscard]] std::pair<at::Tensor, at::Tensor> scaleOfReaders(const Node &node, int depth = 0) const
    {
        constexpr int kDeepest = 16;
        const auto found = node.outputs.empty() || depth > kDeepest ? m_readers.end() : m_readers.find(node.outputs.front());
        if (found == m_readers.end())
            return {};
        for (const std::size_t index : found->second) {
            const Node &reader = m_graph.nodes[index];
            const std::string name = plainName(reader.op);
            if (name == "DequantizeLinear" || reader.op.contains("QLinear")) {
                const auto at = std::ranges::find_if(reader.arguments, [&](const Argument &a) { return a.kind == Kind::Value && a.value == node.outputs.front(); });
                const int place = int(at - reader.arguments.begin());
                if (const at::Tensor scale = knownAt(reader, place + 1); scale.defined() && scale.is_floating_point())
                    return {scale, knownAt(reader, place + 2)};
            } else if (kKeepsLevels.contains(name)) {
                if (const auto behind = scaleOfReaders(reader, depth + 1); behind.first.defined())
                    return behind;
            }
        }
        return {};
    }

    /// What is added to the sums once they are numbers again, one for each channel; null where nothing is.
    [[nodiscard]] const Argument *biasBehind(const Node &layer, std::int64_t channels) const
    {
        const Node *at = onlyReader(layer);
        for (int steps = 0; at && steps < 4; ++steps, at = onlyReader(*at)) {
            const std::string name = plainName(at->op);
            if (name == "add")
                for (const Argument &argument : at->arguments)
                    if (const at::Tensor bias = argument.kind == Kind::Value ? known(argument) : at::Tensor(); bias.defined() && bias.numel() == channels)
                        return &argument;
            if (name != "to" && name != "Cast" && name != "mul")
                return nullptr;
        }
        return nullptr;
    }

    /// What the file says of a value, through operators that keep its levels.
    [[nodiscard]] std::optional<StoredQuantization> storedBefore(const Argument &argument) const
    {
        constexpr int kDeepest = 64;
        const Argument *at = &argument;
        for (int depth = 0; depth < kDeepest && at->kind == Kind::Value; ++depth) {
            if (const auto found = m_graph.stored.find(at->value); found != m_graph.stored.end())
                return found->second.scale.size() <= 1 ? std::optional(found->second) : std::nullopt;
            const Node *made = producer(*at);
            const std::string name = made ? plainName(made->op) : std::string();
            const bool padsZero = name == "constant_pad_nd" && made->arguments.size() > 2 && isZero(made->arguments[2]);
            if (!made || made->arguments.empty() || !(kKeepsLevels.contains(name) || padsZero))
                return std::nullopt;
            at = &made->arguments.front();
        }
        return std::nullopt;
    }

    /// The codes that an operator over integers takes in.
    [[nodiscard]] std::optional<StoredQuantization> inputOf(const Node &node, const IntegerLayer &layer) const
    {
        if (layer.input < 0)
            return std::nullopt;
        const Argument &input = node.arguments[std::size_t(layer.input)];
        const Node *made = producer(input);
        if (layer.dynamic || (made && plainName(made->op) == "DynamicQuantizeLinear"))
            return StoredQuantization{8, false, -1, 0, {}, {}};
        at::Tensor scale = knownAt(node, layer.inputScale), zero = knownAt(node, layer.inputZero);
        if (!scale.defined() && made && plainName(made->op) == "QuantizeLinear")
            scale = knownAt(*made, 1);
        if (!zero.defined() || !isCodes(zero))
            zero = at::zeros({}, at::kByte);
        return storedOf(8, zero.scalar_type() == at::kChar, scale.defined() && scale.numel() == 1 ? scale : at::Tensor(), zero, -1);
    }

private:
    static bool isZero(const Argument &argument)
    {
        return argument.kind == Kind::Constant && argument.constant.isScalar() && !argument.constant.toScalar().isComplex()
            && argument.constant.toScalar().toDouble() == 0;
    }
    [[nodiscard]] const Node *onlyReader(const Node &node) const
    {
        const auto found = node.outputs.empty() ? m_readers.end() : m_readers.find(node.outputs.front());
        return found == m_readers.end() || found->second.size() != 1 ? nullptr : &m_graph.nodes[found->second.front()];
    }

    const Graph &m_graph;
    std::map<ValueId, std::size_t> m_parameters, m_producer;
    std::map<ValueId, std::vector<std::size_t>> m_readers;
};

/// The weights of an operator over codes that are known before the run.
std::vector<const IntegerLayer *> constantLayers(const Graph &graph, const Looker &looker, const Node &node)
{
    std::vector<const IntegerLayer *> found;
    for (const IntegerLayer &layer : kIntegerLayers) {
        if (node.op != layer.op || std::size_t(layer.weight) >= node.arguments.size())
            continue;
        const Argument &weight = node.arguments[std::size_t(layer.weight)];
        const bool codes = weight.kind == Kind::Value && graph.parameterOf(weight.value) >= 0 && isCodes(looker.known(weight)) && looker.known(weight).dim() >= 2;
        if (codes && (layer.input >= 0 || looker.scaleOfReaders(node).first.defined()))
            found.push_back(&layer);
    }
    return found;
}

int channelAxisOf(const IntegerLayer &layer, const at::Tensor &weight)
{
    return layer.channelAxis < 0 ? std::max(0, int(weight.dim()) - 1) : layer.channelAxis;
}

LayerBinding integerBinding(const Graph &graph, const Looker &looker, std::size_t index, const IntegerLayer &layer, const ShapeProbe &shapes)
{
    const Node &node = graph.nodes[index];
    const Parameter &weight = graph.parameters[std::size_t(graph.parameterOf(node.arguments[std::size_t(layer.weight)].value))];
    LayerBinding binding;
    LayerInfo &info = binding.info;
    binding.nodes = {index};
    binding.inputArgument = -1;
    binding.weight = weight.value;
    info.name = weight.name.ends_with(".weight") ? weight.name.substr(0, weight.name.size() - 7) : weight.name;
    info.op = layer.shown;
    info.weightShape = weight.tensor.sizes().vec();
    info.weightCount = weight.tensor.numel();
    info.channelAxis = channelAxisOf(layer, weight.tensor);
    info.reason = "its weight has 8 bits already";
    info.storedInput = looker.inputOf(node, layer);
    if (const at::Tensor bias = looker.knownAt(node, layer.bias); bias.defined() && node.arguments[std::size_t(layer.bias)].kind == Kind::Value) {
        binding.bias = node.arguments[std::size_t(layer.bias)].value;
        info.biasCount = bias.numel();
    } else if (const Argument *added = layer.bias < 0 && layer.input >= 0 && !layer.dynamic ? looker.biasBehind(node, info.channels()) : nullptr) {
        binding.bias = added->value;
        info.biasCount = info.channels();
    }
    if (layer.input >= 0 && shapes.ok && info.weightCount > 0) {
        // A product meets the whole matrix with each row that comes in, a convolution one filter for each element that goes out.
        const bool rows = info.channelAxis + 1 == int(info.weightShape.size());
        const Shape &shape = rows ? shapes.nodes[index].input : shapes.nodes[index].output;
        std::int64_t times = shape.empty() ? 0 : 1;
        for (std::size_t d = 0; d + (rows ? 1 : 0) < shape.size(); ++d)
            times *= shape[d];
        info.macs = times * (rows ? info.weightCount : info.weightCount / info.channels()) / shapes.batch;
    }
    return binding;
}

} // namespace

std::optional<StoredQuantization> storedOf(int bits, bool isSigned, const at::Tensor &scale, const at::Tensor &zero, int axis)
{
    StoredQuantization stored{bits, isSigned, -1, 0, {}, {}};
    if (!scale.defined())
        return stored;
    const at::Tensor scales = scale.to(at::kDouble).contiguous().flatten();
    if (scales.numel() == 0 || (scales.numel() != 1 && axis < 0))
        return std::nullopt;
    const double *first = scales.const_data_ptr<double>();
    stored.scale.assign(first, first + scales.numel());
    stored.axis = scales.numel() == 1 ? -1 : axis;
    const at::Tensor zeros = zero.defined() && zero.numel() > 0 ? zero.to(at::kLong).contiguous().flatten() : at::zeros({1}, at::kLong);
    for (std::int64_t i = 0; i < scales.numel(); ++i)
        stored.zeroPoint.push_back(zeros.const_data_ptr<std::int64_t>()[zeros.numel() == scales.numel() ? i : 0]);
    return stored;
}

void noteIntegerWeights(Graph &graph)
{
    const Looker looker(graph);
    for (const Node &node : graph.nodes) {
        for (const IntegerLayer *layer : constantLayers(graph, looker, node)) {
            const Argument &argument = node.arguments[std::size_t(layer->weight)];
            const at::Tensor codes = looker.known(argument);
            at::Tensor scale = layer->weightScale < 0 ? looker.scaleBehind(node) : looker.knownAt(node, layer->weightScale);
            at::Tensor zero = looker.knownAt(node, layer->weightZero);
            if (layer->input < 0)
                std::tie(scale, zero) = looker.scaleOfReaders(node);
            int axis = channelAxisOf(*layer, codes);
            std::int64_t block = 0;
            const std::int64_t scales = scale.defined() ? scale.numel() : 0;
            if (codes.dim() == 3 && scales > 1 && scales == codes.size(0)) {   // one for each direction of a recurrent layer
                axis = 0;
            } else if (codes.dim() == 3 && axis == 2 && codes.size(0) > 1 && scales == codes.size(0) * codes.size(2)) {
                axis = 1;
                block = codes.size(1);
            } else if (scales != 1 && scales != codes.size(axis)) {
                scale = at::Tensor();
            }
            auto stored = storedOf(int(8 * c10::elementSize(codes.scalar_type())), codes.scalar_type() != at::kByte, scale, zero, axis);
            if (!stored)
                continue;
            stored->block = stored->scale.size() > 1 ? block : 0;
            graph.stored[argument.value] = std::move(*stored);
        }
    }
}

void noteStored(const Graph &graph, const ShapeProbe &shapes, std::vector<LayerBinding> &bindings)
{
    if (graph.stored.empty())
        return;
    const Looker looker(graph);
    std::set<ValueId> known;
    for (const LayerBinding &binding : bindings)
        known.insert(binding.weight);
    std::vector<LayerBinding> found;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
        for (const IntegerLayer *layer : constantLayers(graph, looker, graph.nodes[i])) {
            LayerBinding made = integerBinding(graph, looker, i, *layer, shapes);
            const auto same = std::ranges::find(found, made.weight, &LayerBinding::weight);
            if (known.contains(made.weight))
                continue;
            if (same == found.end()) {
                found.push_back(std::move(made));
                continue;
            }
            same->nodes.push_back(i);
            ++same->info.calls;
            same->info.macs += made.info.macs;
        }
    }
    for (LayerBinding &binding : found) {
        const auto behind = std::ranges::find_if(bindings, [&](const LayerBinding &other) { return !other.nodes.empty() && other.nodes.front() > binding.nodes.front(); });
        bindings.insert(behind, std::move(binding));
    }
    for (LayerBinding &binding : bindings) {
        if (const auto stored = graph.stored.find(binding.weight); stored != graph.stored.end())
            binding.info.storedWeight = stored->second;
        if (!binding.info.inputQuantizable() || binding.nodes.empty() || binding.inputArgument < 0)
            continue;
        const auto before = [&](std::size_t node) { return looker.storedBefore(graph.nodes[node].arguments[std::size_t(binding.inputArgument)]); };
        const auto first = before(binding.nodes.front());
        if (std::ranges::all_of(binding.nodes, [&](std::size_t node) { return before(node) == first; }))   // of a shared layer: in all its calls
            binding.info.storedInput = first;
        if (const auto &input = binding.info.storedInput; input && input->zeroPoint.size() == 1)   // the lowest code stands for zero
            binding.info.nonNegativeInput |= input->zeroPoint.front() == (input->isSigned ? -(std::int64_t(1) << (input->bits - 1)) : 0);
    }
}

bool hasCodes(const LayerBinding &binding, const at::Tensor &weight)
{
    return binding.info.storedWeight && isCodes(weight);
}

at::Tensor realWeight(const LayerBinding &binding, const at::Tensor &weight)
{
    if (!hasCodes(binding, weight))
        return weight;
    const StoredQuantization &stored = *binding.info.storedWeight;
    at::Tensor values = weight.to(at::kFloat);
    if (stored.scale.empty())
        return values;
    at::Tensor zero = at::tensor(stored.zeroPoint, at::kLong).to(at::kFloat), scale = at::tensor(stored.scale, at::kDouble).to(at::kFloat);
    if (stored.scale.size() == 1)
        return values.sub_(zero[0]).mul_(scale[0]);
    std::vector<std::int64_t> shape(std::size_t(weight.dim()), 1);
    shape[std::size_t(stored.axis)] = std::int64_t(stored.scale.size());
    if (stored.block > 0) {
        shape = weight.sizes().vec();
        std::int64_t &blocks = shape[std::size_t(stored.axis)];
        blocks = (blocks + stored.block - 1) / stored.block;
    }
    for (at::Tensor *each : {&zero, &scale}) {
        *each = each->reshape(shape);
        if (stored.block > 0)
            *each = each->repeat_interleave(stored.block, stored.axis).narrow(stored.axis, 0, weight.size(stored.axis));
    }
    return values.sub_(zero).mul_(scale);
}

} // namespace bitwright
