// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/channel_plan.h"

#include "graph/channel_labels.h"
#include "graph/executor.h"
#include "graph/node_builder.h"
#include "graph/operators.h"
#include "graph/shape_probe.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

namespace bitwright {

namespace {

using Kind = Argument::Kind;
using Stack = torch::jit::Stack;

/// One node in the run: its converted arguments and its results.
struct Visit {
    std::size_t index = 0;
    const Node &node;
    const Stack &in, &out;
    [[nodiscard]] at::Tensor input(std::size_t i) const { return i < in.size() && in[i].isTensor() ? in[i].toTensor() : at::Tensor(); }
    [[nodiscard]] at::Tensor output(std::size_t i = 0) const { return i < out.size() && out[i].isTensor() ? out[i].toTensor() : at::Tensor(); }
    [[nodiscard]] std::int64_t integer(const std::string &name, std::int64_t fallback) const
    {
        const int at = argumentIndex(node, name);
        return at >= 0 && std::size_t(at) < in.size() && in[std::size_t(at)].isInt() ? in[std::size_t(at)].toInt() : fallback;
    }
    [[nodiscard]] int dimension(std::int64_t rank) const
    {
        const std::int64_t dim = integer("dim", 0);
        return int(dim < 0 ? dim + rank : dim);
    }
};

/// A count whose labels become units at the end.
struct PendingCount {
    std::size_t node = 0;
    int argument = 0, element = -1;
    std::vector<int> ids;
};

class Planner {
public:
    Planner(const Graph &graph, const std::vector<LayerBinding> &bindings);
    ChannelPlan run();

private:
    using Rule = void (Planner::*)(const Visit &);
    static const std::unordered_map<std::string, Rule> &rules();

    std::shared_ptr<const Graph> watched();
    void visit(const Visit &v);
    [[nodiscard]] bool concerns(const Visit &v) const;

    // ---- operators ----
    void convolution(const Visit &v);
    void transposed(const Visit &v);
    void linear(const Visit &v);
    void batchNorm(const Visit &v);
    void quiet(const Visit &v);       ///< by element or by channel, zero stays zero
    void clamped(const Visit &v);
    void loud(const Visit &v);        ///< by element or by channel, zero becomes something else
    void softmax(const Visit &v);
    void prelu(const Visit &v);
    void pad(const Visit &v);
    void sum(const Visit &v);         ///< add, sub, maximum, …: loud where one operand is
    void product(const Visit &v);     ///< mul: silent where one operand is
    void quotient(const Visit &v);
    void matmul(const Visit &v);
    void attention(const Visit &v);
    void reduce(const Visit &v);
    void moved(const Visit &v);       ///< values change places: run on the labels
    void resized(const Visit &v);     ///< the same with sizes among the arguments
    void sliced(const Visit &v);
    void split(const Visit &v);
    void concatenate(const Visit &v);
    void gated(const Visit &v);       ///< glu
    void list(const Visit &v);
    void unpack(const Visit &v);
    void element(const Visit &v);
    void number(const Visit &) {}     ///< sizes and the like
    void unknown(const Visit &v);

    // ---- labels ----
    [[nodiscard]] Labels labelsOf(const Argument &argument) const;
    [[nodiscard]] std::vector<Labels> labelsOfList(const Argument &argument) const;
    void set(const Visit &v, std::size_t output, Labels labels);
    void keepInputs(const Visit &v, const std::string &reason);
    /// Labels of one axis of a parameter, made when first asked for.
    const std::vector<int> &part(ValueId parameter, int axis, std::int64_t size);
    void tie(const Argument &parameter, int axis, const std::vector<int> &ids);
    [[nodiscard]] const Parameter *parameterOf(const Argument &argument) const;
    Labels incoming(const Visit &v, int axis);
    void weighted(const Visit &v, int inAxis, int outAxis, std::int64_t groups, int dataAxis);
    void elementwise(const Visit &v, bool product);
    Labels operand(const Visit &v, std::size_t argument, std::int64_t rank, bool &covers, bool &labelled);
    void runOnLabels(const Visit &v);
    void count(const Visit &v, const std::string &argument, int element, std::vector<int> ids);
    void countSizes(const Visit &v, const Labels &result);

    ChannelPlan build();
    ChannelUnit unitOf(int label) const;

    const Graph &m_graph;
    std::map<ValueId, const LayerBinding *> m_layerOf;      ///< weight → layer
    std::vector<int> m_parameterOf;                         ///< by value
    LabelSets m_sets;
    int m_fixed = 0;
    std::unordered_map<ValueId, Labels> m_labels;
    std::unordered_map<ValueId, std::vector<Labels>> m_lists;
    struct PartKey { ValueId parameter; int axis; std::vector<int> ids; };
    std::deque<PartKey> m_parts;                            ///< references to ids stay good
    std::map<std::pair<ValueId, int>, std::size_t> m_partOf;
    std::vector<PendingCount> m_counts;
    std::vector<std::pair<std::size_t, std::vector<std::vector<int>>>> m_splits;
    std::vector<FixedScale> m_scales;
    std::map<int, ChannelUnit> m_unitOf;                    ///< by root, at the end
};

Planner::Planner(const Graph &graph, const std::vector<LayerBinding> &bindings) : m_graph(graph)
{
    m_parameterOf.assign(graph.valueNames.size(), -1);
    for (std::size_t i = 0; i < graph.parameters.size(); ++i)
        if (graph.parameters[i].value >= 0)
            m_parameterOf[std::size_t(graph.parameters[i].value)] = int(i);
    for (const LayerBinding &binding : bindings)
        if (binding.info.status == LayerStatus::Quantizable)
            m_layerOf[binding.weight] = &binding;
    m_fixed = m_sets.fresh("it meets values that are no channels of a layer");
}

const std::unordered_map<std::string, Planner::Rule> &Planner::rules()
{
    static const std::unordered_map<std::string, Rule> table = [] {
        std::unordered_map<std::string, Rule> made;
        const auto add = [&](Rule rule, std::initializer_list<const char *> names) {
            for (const char *name : names)
                made[name] = rule;
        };
        add(&Planner::convolution, {"conv1d", "conv2d", "conv3d"});
        add(&Planner::transposed, {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"});
        add(&Planner::linear, {"linear"});
        add(&Planner::batchNorm, {"batch_norm", "instance_norm"});
        add(&Planner::quiet, {"relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "tanh", "abs",
                              "neg", "dropout", "feature_dropout", "alpha_dropout", "native_dropout", "identity", "contiguous",
                              "clone", "to", "_to_copy", "type_as", "detach", "alias", "square", "sqrt", "sign", "round", "floor",
                              "ceil", "trunc", "erf", "sin", "tan", "asin", "atan", "sinh", "asinh", "expm1", "log1p", "softsign",
                              "hardshrink", "softshrink", "tanhshrink", "max_pool1d", "max_pool2d", "max_pool3d",
                              "max_pool2d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
                              "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d", "adaptive_max_pool1d",
                              "adaptive_max_pool2d", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
                              "upsample_bilinear2d", "upsample_linear1d", "upsample_bicubic2d", "upsample_trilinear3d"});
        add(&Planner::clamped, {"hardtanh", "clamp", "clamp_min", "clamp_max"});
        add(&Planner::loud, {"sigmoid", "hardsigmoid", "log_sigmoid", "exp", "cos", "cosh", "softplus", "reciprocal", "rsqrt", "log",
                             "pow", "rsub"});
        add(&Planner::softmax, {"softmax", "_softmax", "log_softmax", "_log_softmax"});
        add(&Planner::prelu, {"prelu", "_prelu_kernel"});
        add(&Planner::pad, {"pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d"});
        add(&Planner::sum, {"add", "sub", "maximum", "minimum"});
        add(&Planner::product, {"mul"});
        add(&Planner::quotient, {"div"});
        add(&Planner::matmul, {"matmul", "bmm", "mm"});
        add(&Planner::attention, {"scaled_dot_product_attention"});
        add(&Planner::reduce, {"mean", "amax", "amin", "sum"});
        add(&Planner::moved, {"flatten", "permute", "transpose", "t", "squeeze", "unsqueeze", "movedim", "swapaxes", "numpy_T", "mT",
                              "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "flip", "select", "unbind", "stack"});
        add(&Planner::resized, {"view", "reshape", "_unsafe_view", "expand", "unflatten"});
        add(&Planner::sliced, {"slice", "narrow"});
        add(&Planner::split, {"split", "split_with_sizes", "chunk"});
        add(&Planner::concatenate, {"cat", "concat"});
        add(&Planner::gated, {"glu"});
        add(&Planner::list, {"ListConstruct", "TupleConstruct"});
        add(&Planner::unpack, {"ListUnpack", "TupleUnpack"});
        add(&Planner::element, {"getitem"});
        add(&Planner::number, {"size", "sym_size", "dim", "shape", "len", "numel", "sym_numel"});
        return made;
    }();
    return table;
}

// ---- labels ----

const Parameter *Planner::parameterOf(const Argument &argument) const
{
    if (argument.kind != Kind::Value || argument.value < 0 || m_parameterOf[std::size_t(argument.value)] < 0)
        return nullptr;
    return &m_graph.parameters[std::size_t(m_parameterOf[std::size_t(argument.value)])];
}

Labels Planner::labelsOf(const Argument &argument) const
{
    const auto found = argument.kind == Kind::Value ? m_labels.find(argument.value) : m_labels.end();
    return found == m_labels.end() ? Labels() : found->second;
}

std::vector<Labels> Planner::labelsOfList(const Argument &argument) const
{
    std::vector<Labels> all;
    if (argument.kind == Kind::List) {
        for (const Argument &each : argument.list)
            all.push_back(labelsOf(each));
    } else if (argument.kind == Kind::Value) {
        if (const auto found = m_lists.find(argument.value); found != m_lists.end())
            all = found->second;
    }
    return all;
}

void Planner::set(const Visit &v, std::size_t output, Labels labels)
{
    if (!labels.any() || output >= v.node.outputs.size() || v.node.outputs[output] == kNoValue)
        return;
    const at::Tensor result = v.output(output);
    if (!result.defined() || labels.axis >= result.dim() || result.size(labels.axis) != std::int64_t(labels.ids.size())) {
        m_sets.keep(labels.ids, plainName(v.node.op) + " changes the number of its channels");
        return;
    }
    m_labels[v.node.outputs[output]] = std::move(labels);
}

void Planner::keepInputs(const Visit &v, const std::string &reason)
{
    for (const Argument &argument : v.node.arguments) {
        m_sets.keep(labelsOf(argument).ids, reason);
        for (const Labels &each : labelsOfList(argument))
            m_sets.keep(each.ids, reason);
    }
}

const std::vector<int> &Planner::part(ValueId parameter, int axis, std::int64_t size)
{
    const auto [found, isNew] = m_partOf.try_emplace({parameter, axis}, m_parts.size());
    if (isNew) {
        m_parts.push_back({parameter, axis, {}});
        const std::string reason = size == 1 ? "there is only one" : "";
        for (std::int64_t i = 0; i < size; ++i)
            m_parts.back().ids.push_back(m_sets.fresh(reason));
    }
    return m_parts[found->second].ids;
}

void Planner::tie(const Argument &argument, int axis, const std::vector<int> &ids)
{
    const Parameter *parameter = parameterOf(argument);
    if (!parameter || !parameter->tensor.defined() || axis >= parameter->tensor.dim())
        return;
    if (parameter->tensor.size(axis) == std::int64_t(ids.size()))
        m_sets.join(part(parameter->value, axis, parameter->tensor.size(axis)), ids);
}

/// The labels of the first argument along `axis`, kept where they lie along another or could be loud.
Labels Planner::incoming(const Visit &v, int axis)
{
    Labels labels = labelsOf(v.node.arguments[0]);
    if (labels.any() && labels.axis != axis) {
        m_sets.keep(labels.ids, plainName(v.node.op) + " reads them along another axis");
        return {};
    }
    if (labels.loud)
        m_sets.keep(labels.ids, "a removed channel would not be silent behind the activation before " + v.node.name);
    return labels;
}

void Planner::count(const Visit &v, const std::string &argument, int element, std::vector<int> ids)
{
    const int at = argumentIndex(v.node, argument);
    if (at < 0)
        return;
    const Argument &given = v.node.arguments[std::size_t(at)];
    // An element that the run computes is a number of channels here; of which tensor it was read does not matter then.
    const bool known = element < 0 ? given.kind == Kind::Constant
                                   : given.kind == Kind::Constant || (given.kind == Kind::List && std::size_t(element) < given.list.size());
    if (known)
        m_counts.push_back({v.index, at, element, std::move(ids)});
}

// ---- layers ----

void Planner::weighted(const Visit &v, int inAxis, int outAxis, std::int64_t groups, int dataAxis)
{
    const Labels in = incoming(v, dataAxis);
    const Parameter *weight = parameterOf(v.node.arguments[1]);
    const at::Tensor x = v.input(0), result = v.output();
    if (!weight || !m_layerOf.contains(weight->value) || x.dim() <= dataAxis || (result.defined() && result.dim() <= dataAxis)) {
        keepInputs(v, v.node.name + " has no weight of its own");
        return;
    }
    const std::int64_t channels = x.size(dataAxis), outputs = result.size(dataAxis);
    const std::int64_t perGroupIn = channels / groups, perGroupOut = outputs / groups;
    std::vector<int> ids = in.any() ? in.ids : std::vector<int>(std::size_t(channels), m_fixed);
    std::vector<int> out;
    if (groups > 1 && perGroupIn == 1) {   // depthwise: an output belongs to its input
        const int axis = outAxis == 0 ? 0 : inAxis;
        if (outAxis != 0 && perGroupOut != 1) {
            keepInputs(v, v.node.name + " multiplies its channels");
            return;
        }
        out = part(weight->value, axis, outputs);
        for (std::int64_t o = 0; o < outputs; ++o)
            m_sets.join(out[std::size_t(o)], ids[std::size_t(o / perGroupOut)]);
        count(v, "groups", -1, ids);
    } else {
        const std::vector<int> &reads = part(weight->value, inAxis, weight->tensor.size(inAxis));
        const std::vector<int> &writes = part(weight->value, outAxis, weight->tensor.size(outAxis));
        for (std::int64_t i = 0; i < channels; ++i)   // the same place of every group
            m_sets.join(reads[std::size_t(reads.size() == std::size_t(channels) ? i : i % perGroupIn)], ids[std::size_t(i)]);
        if (groups > 1)
            for (std::int64_t i = perGroupIn; i < channels; ++i)
                m_sets.join(ids[std::size_t(i)], ids[std::size_t(i % perGroupIn)]);
        for (std::int64_t o = 0; o < outputs; ++o) {
            const std::int64_t place = writes.size() == std::size_t(outputs) ? o : o % perGroupOut;
            out.push_back(writes[std::size_t(place)]);
            if (groups > 1)
                m_sets.join(out.back(), out[std::size_t(o % perGroupOut)]);
        }
    }
    tie(v.node.arguments[2], 0, out);
    set(v, 0, {dataAxis, out, false});
}

void Planner::convolution(const Visit &v) { weighted(v, 1, 0, v.integer("groups", 1), 1); }
void Planner::transposed(const Visit &v) { weighted(v, 0, 1, v.integer("groups", 1), 1); }
void Planner::linear(const Visit &v) { weighted(v, 1, 0, 1, int(v.output().dim()) - 1); }

void Planner::batchNorm(const Visit &v)
{
    Labels labels = labelsOf(v.node.arguments[0]);
    if (!labels.any())
        return;
    if (labels.axis != 1) {
        keepInputs(v, "a normalization reads them along another axis");
        return;
    }
    for (std::size_t i = 1; i < 5; ++i)
        tie(v.node.arguments[i], 0, labels.ids);
    // With gamma and beta at zero nothing comes through, whatever came in.
    labels.loud = !parameterOf(v.node.arguments[1]) && (plainName(v.node.op) == "batch_norm" || parameterOf(v.node.arguments[2]));
    set(v, 0, labels);
}

// ---- element by element ----

void Planner::quiet(const Visit &v)
{
    Labels labels = labelsOf(v.node.arguments[0]);
    const std::string name = plainName(v.node.op);
    if (const bool spatial = name.find("pool") != std::string::npos || name.starts_with("upsample"); spatial && labels.any()) {
        const auto digit = name.find_first_of("123");
        const int dims = digit == std::string::npos ? 1 : name[digit] - '0';
        if (labels.axis >= int(v.input(0).dim()) - dims) {
            keepInputs(v, name + " runs over them");
            return;
        }
    }
    for (std::size_t i = 0; i < v.node.outputs.size(); ++i)
        set(v, i, labels);
}

void Planner::clamped(const Visit &v)
{
    Labels labels = labelsOf(v.node.arguments[0]);
    const auto bound = [&](std::size_t i) { return i < v.in.size() && v.in[i].isScalar() ? v.in[i].toScalar().toDouble() : 0.0; };
    const std::string name = plainName(v.node.op);
    const double low = name == "clamp_max" ? 0 : bound(1), high = name == "clamp_max" ? bound(1) : bound(2);
    labels.loud = labels.loud || low > 0 || high < 0;
    set(v, 0, labels);
}

void Planner::loud(const Visit &v)
{
    Labels labels = labelsOf(v.node.arguments[0]);
    const bool power = plainName(v.node.op) == "pow" && v.in.size() > 1 && v.in[1].isScalar() && v.in[1].toScalar().toDouble() > 0;
    if (v.in.size() > 1 && v.in[1].isTensor() && labelsOf(v.node.arguments[1]).any()) {
        unknown(v);
        return;
    }
    labels.loud = labels.loud || !power;
    set(v, 0, labels);
}

void Planner::softmax(const Visit &v)
{
    Labels labels = labelsOf(v.node.arguments[0]);
    if (labels.any() && labels.axis == v.dimension(v.input(0).dim())) {
        keepInputs(v, "a softmax runs over them");
        return;
    }
    labels.loud = true;
    set(v, 0, labels);
}

void Planner::prelu(const Visit &v)
{
    const Labels labels = labelsOf(v.node.arguments[0]);
    if (v.input(1).defined() && v.input(1).numel() > 1) {
        if (labels.axis != 1 || !parameterOf(v.node.arguments[1])) {
            unknown(v);
            return;
        }
        tie(v.node.arguments[1], 0, labels.ids);
    }
    set(v, 0, labels);
}

void Planner::pad(const Visit &v)
{
    Labels labels = labelsOf(v.node.arguments[0]);
    const int at = argumentIndex(v.node, "value");
    const double value = at >= 0 && std::size_t(at) < v.in.size() && v.in[std::size_t(at)].isScalar() ? v.in[std::size_t(at)].toScalar().toDouble() : 0;
    labels.loud = labels.loud || value != 0;
    set(v, 0, labels);   // where the channels themselves are padded their number changes, and they are kept
}

/// An operand's labels on the result's axes. `covers`: it has more than one entry along the labelled axis.
Labels Planner::operand(const Visit &v, std::size_t argument, std::int64_t rank, bool &covers, bool &labelled)
{
    Labels labels = labelsOf(v.node.arguments[argument]);
    labelled = labels.any();
    covers = labelled;
    if (labelled)
        labels.axis += int(rank - v.input(argument).dim());
    return labels;
}

void Planner::elementwise(const Visit &v, bool product)
{
    const at::Tensor result = v.output();
    if (!v.input(0).defined() || !v.input(1).defined() || !result.defined()) {   // with a number
        Labels labels = labelsOf(v.node.arguments[v.input(0).defined() ? 0 : 1]);
        const c10::IValue &other = v.in[v.input(0).defined() ? 1 : 0];
        const bool zero = other.isScalar() && other.toScalar().toDouble() == 0;
        labels.loud = labels.loud || (!product && !zero);
        set(v, 0, labels);
        return;
    }
    const std::int64_t rank = result.dim();
    bool covers[2], labelled[2];
    const Labels operands[2] = {operand(v, 0, rank, covers[0], labelled[0]), operand(v, 1, rank, covers[1], labelled[1])};
    if (labelled[0] && labelled[1]) {
        if (operands[0].axis != operands[1].axis || operands[0].ids.size() != operands[1].ids.size()) {
            keepInputs(v, plainName(v.node.op) + " combines different axes");
            return;
        }
        m_sets.join(operands[0].ids, operands[1].ids);
        Labels labels = operands[0];
        labels.loud = product ? operands[0].loud && operands[1].loud : operands[0].loud || operands[1].loud;
        set(v, 0, labels);
        return;
    }
    const std::size_t with = labelled[0] ? 0 : 1, without = 1 - with;
    Labels labels = operands[with];
    const at::Tensor other = v.input(without);
    const std::int64_t axis = labels.axis - (rank - other.dim());
    const bool along = axis >= 0 && other.size(axis) > 1;
    if (along && parameterOf(v.node.arguments[without])) {
        tie(v.node.arguments[without], int(axis), labels.ids);   // zero with its channel
    } else if (along) {
        m_sets.keep(labels.ids, plainName(v.node.op) + " combines them with values that are no channels of a layer");
        return;
    } else {
        labels.loud = labels.loud || !product;
    }
    set(v, 0, labels);
}

void Planner::sum(const Visit &v) { elementwise(v, false); }
void Planner::product(const Visit &v) { elementwise(v, true); }

void Planner::quotient(const Visit &v)
{
    if (v.input(1).defined() && labelsOf(v.node.arguments[1]).any())
        keepInputs(v, "a removed channel would divide by zero");
    else
        elementwise(v, true);
}

// ---- products of matrices ----

void Planner::matmul(const Visit &v)
{
    const at::Tensor a = v.input(0), b = v.input(1), result = v.output();
    Labels left = labelsOf(v.node.arguments[0]), right = labelsOf(v.node.arguments[1]);
    if (!a.defined() || !b.defined() || a.dim() < 2 || b.dim() < 2 || a.dim() != b.dim()) {
        unknown(v);
        return;
    }
    const int rank = int(result.dim());
    const bool leftInner = left.any() && left.axis == rank - 1, rightInner = right.any() && right.axis == rank - 2;
    if (leftInner || rightInner) {   // a sum over channels: both sides lose the same ones
        if (!leftInner || !rightInner || (left.loud && right.loud)) {
            keepInputs(v, "a product of matrices sums over them");
            return;
        }
        m_sets.join(left.ids, right.ids);
        return;
    }
    const bool leftOuter = left.any() && left.axis == rank - 2, rightOuter = right.any() && right.axis == rank - 1;
    const bool batched = (left.any() && !leftOuter) || (right.any() && !rightOuter);
    if (batched && left.any() && right.any() && left.axis == right.axis) {
        m_sets.join(left.ids, right.ids);
        left.loud = left.loud && right.loud;
        set(v, 0, left);
    } else if (batched || (left.any() && right.any())) {
        keepInputs(v, "a product of matrices spreads them over two axes");
    } else {
        set(v, 0, left.any() ? left : right);
    }
}

void Planner::attention(const Visit &v)
{
    const Labels query = labelsOf(v.node.arguments[0]), key = labelsOf(v.node.arguments[1]), value = labelsOf(v.node.arguments[2]);
    const int last = int(v.input(0).dim()) - 1;
    const bool plain = query.axis == last && key.axis == last && value.axis == last && query.ids.size() == key.ids.size()
        && !(query.loud && key.loud);
    if (!plain) {
        keepInputs(v, "an attention mixes them");
        return;
    }
    m_sets.join(query.ids, key.ids);
    if (const int at = argumentIndex(v.node, "scale"); at >= 0 && std::size_t(at) < v.in.size() && v.in[std::size_t(at)].isNone())
        m_scales.push_back({v.index, 1 / std::sqrt(double(query.ids.size()))});
    set(v, 0, value);
}

void Planner::reduce(const Visit &v)
{
    Labels labels = labelsOf(v.node.arguments[0]);
    const std::int64_t rank = v.input(0).dim();
    std::set<std::int64_t> reduced;
    const int at = argumentIndex(v.node, "dim");
    if (at >= 0 && std::size_t(at) < v.in.size()) {
        const c10::IValue &dims = v.in[std::size_t(at)];
        if (dims.isIntList())
            for (const std::int64_t dim : dims.toIntVector())
                reduced.insert(dim < 0 ? dim + rank : dim);
        else if (dims.isInt())
            reduced.insert(dims.toInt() < 0 ? dims.toInt() + rank : dims.toInt());
    }
    if (reduced.empty())
        for (std::int64_t dim = 0; dim < rank; ++dim)
            reduced.insert(dim);
    if (reduced.contains(labels.axis)) {
        keepInputs(v, plainName(v.node.op) + " runs over them");
        return;
    }
    if (v.output().dim() != rank)
        labels.axis -= int(std::ranges::count_if(reduced, [&](std::int64_t dim) { return dim < labels.axis; }));
    set(v, 0, labels);
}

// ---- moving values ----

void Planner::runOnLabels(const Visit &v)
{
    Stack stack = v.in;
    bool isLoud = false;
    for (std::size_t i = 0; i < v.node.arguments.size() && i < stack.size(); ++i) {
        if (stack[i].isTensor() && stack[i].toTensor().defined()) {
            const Labels labels = labelsOf(v.node.arguments[i]);
            isLoud = isLoud || labels.loud;
            stack[i] = paint(labels, stack[i].toTensor().sizes(), m_fixed);
        } else if (stack[i].isTensorList()) {
            std::vector<Labels> all = labelsOfList(v.node.arguments[i]);
            const std::vector<at::Tensor> tensors = stack[i].toTensorVector();
            all.resize(tensors.size());
            std::vector<at::Tensor> painted;
            for (std::size_t k = 0; k < tensors.size(); ++k) {
                isLoud = isLoud || all[k].loud;
                painted.push_back(paint(all[k], tensors[k].sizes(), m_fixed));
            }
            stack[i] = painted;
        }
    }
    if (!guarded(v.node.name, ErrorKind::Unsupported, [&] { v.node.kernel(stack); })) {
        unknown(v);
        return;
    }
    for (std::size_t i = 0; i < stack.size() && i < v.node.outputs.size(); ++i) {
        if (stack[i].isTensor()) {
            set(v, i, collect(stack[i].toTensor(), m_sets, isLoud));
        } else if (stack[i].isTensorList()) {
            for (const at::Tensor &each : stack[i].toTensorVector())
                m_lists[v.node.outputs[i]].push_back(collect(each, m_sets, isLoud));
        }
    }
}

void Planner::moved(const Visit &v) { runOnLabels(v); }

void Planner::countSizes(const Visit &v, const Labels &result)
{
    const std::string name = plainName(v.node.op);
    const char *argument = name == "unflatten" ? "sizes" : name == "reshape" ? "shape" : "size";
    int element = result.axis;
    if (name == "unflatten")
        element -= v.dimension(v.input(0).dim());
    const int at = argumentIndex(v.node, argument);
    if (at < 0 || element < 0)
        return;
    const c10::IValue &given = v.in[std::size_t(at)];
    if (!given.isIntList())
        return;
    const auto sizes = given.toIntVector();
    if (std::size_t(element) < sizes.size() && sizes[std::size_t(element)] >= 0)
        count(v, argument, element, result.ids);
}

void Planner::resized(const Visit &v)
{
    runOnLabels(v);
    const Labels before = labelsOf(v.node.arguments[0]);
    const auto found = m_labels.find(v.node.outputs[0]);
    if (found != m_labels.end() && before.any())
        countSizes(v, found->second);
}

void Planner::sliced(const Visit &v)
{
    const Labels labels = labelsOf(v.node.arguments[0]);
    runOnLabels(v);
    const int axis = v.dimension(v.input(0).dim());
    if (!labels.any() || labels.axis != axis)
        return;
    if (v.integer("step", 1) != 1) {
        keepInputs(v, "every second of them is taken out");
        return;
    }
    const auto size = std::int64_t(labels.ids.size());
    const auto place = [&](std::int64_t given) { return std::clamp<std::int64_t>(given < 0 ? given + size : given, 0, size); };
    const auto before = [&](std::int64_t end) { return std::vector<int>(labels.ids.begin(), labels.ids.begin() + std::ptrdiff_t(end)); };
    const std::int64_t start = place(v.integer("start", 0));
    count(v, "start", -1, before(start));
    if (plainName(v.node.op) == "narrow") {
        const std::int64_t length = v.integer("length", 0);
        count(v, "length", -1, {labels.ids.begin() + start, labels.ids.begin() + std::min(size, start + length)});
    } else if (const std::int64_t end = v.integer("end", size); end < size) {
        count(v, "end", -1, before(place(end)));
    }
}

void Planner::split(const Visit &v)
{
    const Labels labels = labelsOf(v.node.arguments[0]);
    runOnLabels(v);
    if (!labels.any() || labels.axis != v.dimension(v.input(0).dim()) || v.node.outputs.empty())
        return;
    std::vector<std::vector<int>> pieces;
    const std::vector<at::Tensor> results = v.out[0].toTensorVector();
    std::size_t at = 0;
    for (const at::Tensor &result : results) {
        const auto length = std::size_t(result.size(labels.axis));
        pieces.emplace_back(labels.ids.begin() + std::ptrdiff_t(at), labels.ids.begin() + std::ptrdiff_t(at + length));
        at += length;
    }
    m_splits.emplace_back(v.index, std::move(pieces));
}

void Planner::concatenate(const Visit &v)
{
    const std::vector<Labels> all = labelsOfList(v.node.arguments[0]);
    const std::vector<at::Tensor> tensors = v.in[0].isTensorList() ? v.in[0].toTensorVector() : std::vector<at::Tensor>();
    const int dim = v.output().defined() ? v.dimension(v.output().dim()) : -1;
    const bool alongChannels = all.size() == tensors.size() &&
                               std::ranges::all_of(all, [&](const Labels &labels) { return !labels.any() || labels.axis == dim; });
    if (!alongChannels) {
        runOnLabels(v);
        return;
    }
    Labels joined{dim, {}, false};   // the common case, without painting whole maps
    for (std::size_t k = 0; k < all.size(); ++k) {
        joined.loud = joined.loud || all[k].loud;
        if (all[k].any())
            joined.ids.insert(joined.ids.end(), all[k].ids.begin(), all[k].ids.end());
        else
            joined.ids.insert(joined.ids.end(), std::size_t(tensors[k].size(dim)), m_fixed);
    }
    set(v, 0, joined);
}

void Planner::gated(const Visit &v)
{
    Labels labels = labelsOf(v.node.arguments[0]);
    const int axis = v.dimension(v.input(0).dim());
    if (labels.axis == axis) {
        const std::size_t half = labels.ids.size() / 2;
        for (std::size_t i = 0; i < half; ++i)
            m_sets.join(labels.ids[i], labels.ids[half + i]);
        labels.ids.resize(half);
    }
    set(v, 0, labels);
}

// ---- lists ----

void Planner::list(const Visit &v)
{
    std::vector<Labels> all;
    for (const Argument &argument : v.node.arguments)
        all.push_back(labelsOf(argument));
    m_lists[v.node.outputs[0]] = std::move(all);
}

void Planner::unpack(const Visit &v)
{
    const std::vector<Labels> all = labelsOfList(v.node.arguments[0]);
    for (std::size_t i = 0; i < std::min(all.size(), v.node.outputs.size()); ++i)
        set(v, i, all[i]);
}

void Planner::element(const Visit &v)
{
    const std::vector<Labels> all = labelsOfList(v.node.arguments[0]);
    if (all.empty())
        return;
    std::int64_t index = v.in.size() > 1 && v.in[1].isInt() ? v.in[1].toInt() : 0;
    index += index < 0 ? std::int64_t(all.size()) : 0;
    if (index >= 0 && index < std::int64_t(all.size()))
        set(v, 0, all[std::size_t(index)]);
}

void Planner::unknown(const Visit &v)
{
    keepInputs(v, plainName(v.node.op) + " combines them in a way that is not known here");
}

// ---- the run ----

bool Planner::concerns(const Visit &v) const
{
    return std::ranges::any_of(v.node.arguments, [&](const Argument &argument) {
        const auto any = [](const Labels &labels) { return labels.any(); };
        return labelsOf(argument).any() || std::ranges::any_of(labelsOfList(argument), any);
    });
}

void Planner::visit(const Visit &v)
{
    static const std::set<std::string> kLayers{"conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
                                               "conv_transpose3d", "linear"};
    const std::string name = plainName(v.node.op);
    if (!kLayers.contains(name) && !concerns(v))
        return;
    const auto rule = rules().find(name);
    (this->*(rule == rules().end() ? &Planner::unknown : rule->second))(v);
}

/// A copy of the graph whose kernels show what passes through them.
std::shared_ptr<const Graph> Planner::watched()
{
    auto copy = std::make_shared<Graph>(m_graph);
    for (std::size_t i = 0; i < copy->nodes.size(); ++i)
        copy->nodes[i].kernel = [this, i, kernel = m_graph.nodes[i].kernel](Stack &stack) {
            const Stack in = stack;
            kernel(stack);
            visit({i, m_graph.nodes[i], in, stack});
        };
    return copy;
}

ChannelUnit Planner::unitOf(int label) const
{
    const auto found = m_unitOf.find(label);
    return found == m_unitOf.end() ? ChannelUnit{} : found->second;
}

ChannelPlan Planner::build()
{
    ChannelPlan plan;
    std::map<int, std::vector<std::size_t>> partsOf;   // by root
    std::vector<int> order;
    for (std::size_t p = 0; p < m_parts.size(); ++p)
        for (const int id : m_parts[p].ids) {
            std::vector<std::size_t> &parts = partsOf[m_sets.find(id)];
            if (parts.empty())
                order.push_back(m_sets.find(id));
            if (parts.empty() || parts.back() != p)
                parts.push_back(p);
        }
    const auto writes = [&](std::size_t p) {
        const auto layer = m_layerOf.find(m_parts[p].parameter);
        return layer != m_layerOf.end() && layer->second->info.channelAxis == m_parts[p].axis;
    };
    std::map<std::pair<std::vector<std::size_t>, std::string>, std::size_t> groupOf;
    for (const int root : order) {
        const std::vector<std::size_t> &parts = partsOf[root];
        if (std::ranges::none_of(parts, writes))
            continue;
        const auto [found, isNew] = groupOf.try_emplace({parts, m_sets.reason(root)}, plan.groups.size());
        if (isNew) {
            ChannelGroup group;
            group.refusal = m_sets.reason(root);
            plan.parameters.emplace_back();
            for (const std::size_t p : parts) {
                const PartKey &key = m_parts[p];
                const auto layer = m_layerOf.find(key.parameter);
                const bool isLayer = layer != m_layerOf.end();
                const std::string name = isLayer ? layer->second->info.name
                                                 : m_graph.parameters[std::size_t(m_parameterOf[std::size_t(key.parameter)])].name;
                group.parts.push_back({name, isLayer, writes(p), key.axis, std::vector<std::int32_t>(key.ids.size(), -1)});
                plan.parameters.back().push_back(key.parameter);
            }
            plan.groups.push_back(std::move(group));
        }
        ChannelGroup &group = plan.groups[found->second];
        m_unitOf[root] = {std::int32_t(found->second), group.units++};
    }
    for (std::size_t g = 0; g < plan.groups.size(); ++g)
        for (std::size_t k = 0; k < plan.groups[g].parts.size(); ++k) {
            ChannelGroup::Part &part = plan.groups[g].parts[k];
            const PartKey &key = m_parts[m_partOf.at({plan.parameters[g][k], part.axis})];
            for (std::size_t i = 0; i < key.ids.size(); ++i)
                if (const ChannelUnit unit = unitOf(m_sets.find(key.ids[i])); unit.group == std::int32_t(g))
                    part.unit[i] = unit.unit;
        }
    const auto units = [&](const std::vector<int> &ids) {
        std::vector<ChannelUnit> made;
        for (const int id : ids)
            made.push_back(unitOf(m_sets.find(id)));
        return made;
    };
    for (const PendingCount &pending : m_counts)
        plan.counts.push_back({pending.node, pending.argument, pending.element, units(pending.ids)});
    for (const auto &[node, pieces] : m_splits) {
        ChannelSplit split{node, {}};
        for (const std::vector<int> &piece : pieces)
            split.pieces.push_back(units(piece));
        plan.splits.push_back(std::move(split));
    }
    plan.scales = m_scales;
    return plan;
}

ChannelPlan Planner::run()
{
    const c10::NoGradGuard noGrad;
    const Executor executor(watched());
    const std::vector<at::Tensor> parameters = executor.bind();
    RunOptions options;
    options.inPlace = false;
    for (const std::int64_t freeSize : {32, 224}) {
        const auto inputs = zeroInputs(m_graph, {}, std::max<std::int64_t>(m_graph.fixedBatch, 1), freeSize);
        if (inputs.size() != m_graph.inputs.size())
            return {};
        m_labels.clear();
        m_lists.clear();
        m_counts.clear();
        m_splits.clear();
        m_scales.clear();
        if (!executor.run(inputs, parameters, options))
            continue;
        const std::function<void(const Argument &)> keep = [&](const Argument &output) {
            m_sets.keep(labelsOf(output).ids, "it is what the network answers");
            for (const Labels &each : labelsOfList(output))
                m_sets.keep(each.ids, "it is what the network answers");
            for (const Argument &each : output.list)
                keep(each);
        };
        for (const Argument &output : m_graph.outputs)
            keep(output);
        return build();
    }
    return {};
}

} // namespace

ChannelPlan planChannels(const Graph &graph, const std::vector<LayerBinding> &bindings)
{
    return Planner(graph, bindings).run();
}

} // namespace bitwright
