// SPDX-License-Identifier: GPL-3.0-or-later
// Rewrites to one spelling, so that everything after the front ends knows one name for one thing.
#include "graph/functionalize.h"
#include "graph/node_builder.h"
#include "graph/operators.h"
#include "tensor/guarded.h"

#include <algorithm>
#include <map>
#include <set>

namespace bitwright {

namespace {

using Kind = Argument::Kind;

/// Named access to the arguments of a node.
class Named {
public:
    explicit Named(const Node &node) : m_node(node), m_names(argumentNames(node.op)) {}
    [[nodiscard]] const Argument *find(const std::string &name) const
    {
        const auto found = std::ranges::find(m_names, name);
        return found == m_names.end() ? nullptr : &m_node.arguments[std::size_t(found - m_names.begin())];
    }
    [[nodiscard]] Argument get(const std::string &name) const
    {
        const Argument *found = find(name);
        return found ? *found : Argument{};
    }

private:
    const Node &m_node;
    std::vector<std::string> m_names;
};

std::string baseOf(const std::string &op) { return op.substr(0, op.find('.')); }

bool isConstant(const Argument &argument) { return argument.kind == Kind::Constant; }

std::vector<std::int64_t> intsOf(const Argument &argument)
{
    if (argument.kind == Kind::Constant && argument.constant.isIntList())
        return argument.constant.toIntVector();
    if (argument.kind == Kind::Constant && argument.constant.isInt())
        return {argument.constant.toInt()};
    return {};
}

class Normalizer {
public:
    explicit Normalizer(Graph &graph) : m_graph(graph) {}
    Status run();

private:
    Status spell();
    Status respell(Node &node, const std::string &op, std::vector<Argument> arguments);
    Status convolution(Node &node);
    Status paddedConvolution(Node &node);
    Status batchNorm(Node &node);
    Status linear(Node &node);
    Status fuseBias();
    void removeIdentities();
    Status foldLists();
    bool foldNode(Node &node);
    [[nodiscard]] std::optional<Argument> transposed(const Argument &argument) const;
    [[nodiscard]] const Parameter *parameterOf(const Argument &argument) const;
    void findProducers();
    [[nodiscard]] std::vector<int> countReads() const;

    Graph &m_graph;
    std::map<ValueId, std::size_t> m_producer;
};

void Normalizer::findProducers()
{
    m_producer.clear();
    for (std::size_t i = 0; i < m_graph.nodes.size(); ++i)
        for (ValueId output : m_graph.nodes[i].outputs)
            m_producer[output] = i;
}

std::vector<int> Normalizer::countReads() const
{
    std::vector<int> reads(m_graph.valueNames.size(), 0);
    const auto count = [&](const Argument &argument, const auto &self) -> void {
        if (argument.kind == Kind::Value && argument.value >= 0)
            ++reads[std::size_t(argument.value)];
        for (const Argument &element : argument.list)
            self(element, self);
    };
    for (const Node &node : m_graph.nodes)
        for (const Argument &argument : node.arguments)
            count(argument, count);
    for (const Argument &output : m_graph.outputs)
        count(output, count);
    return reads;
}

const Parameter *Normalizer::parameterOf(const Argument &argument) const
{
    const int index = argument.kind == Kind::Value ? m_graph.parameterOf(argument.value) : -1;
    return index < 0 ? nullptr : &m_graph.parameters[std::size_t(index)];
}

Status Normalizer::respell(Node &node, const std::string &op, std::vector<Argument> arguments)
{
    BW_ASSIGN(Node fresh, makeNode(op, std::move(arguments), {}, {node.outputs.front()}, node.name));
    node = std::move(fresh);
    return {};
}

Status Normalizer::convolution(Node &node)
{
    const Named named(node);
    const Argument transposedFlag = named.get("transposed");
    std::size_t dimensions = intsOf(named.get("stride")).size();
    if (const Parameter *weight = parameterOf(named.get("weight")))
        dimensions = std::size_t(weight->tensor.dim()) - 2;
    if (!isConstant(transposedFlag) || !transposedFlag.constant.isBool() || dimensions < 1 || dimensions > 3)
        return {};
    const std::string digit = std::to_string(dimensions) + "d";
    const Argument input = named.get("input"), weight = named.get("weight"), bias = named.get("bias");
    const Argument stride = named.get("stride"), padding = named.get("padding"), dilation = named.get("dilation");
    const Argument groups = named.get("groups");
    if (!transposedFlag.constant.toBool())
        return respell(node, "aten::conv" + digit, {input, weight, bias, stride, padding, dilation, groups});
    const std::string op = "aten::conv_transpose" + digit + (dimensions > 1 ? ".input" : "");
    return respell(node, op, {input, weight, bias, stride, padding, named.get("output_padding"), groups, dilation});
}

/// padding="same" or "valid" as numbers, where it is the same on both sides.
Status Normalizer::paddedConvolution(Node &node)
{
    const Named named(node);
    const Parameter *weight = parameterOf(named.get("weight"));
    const Argument padding = named.get("padding");
    if (!weight || !isConstant(padding) || !padding.constant.isString())
        return {};
    const std::vector<std::int64_t> dilation = intsOf(named.get("dilation"));
    std::vector<std::int64_t> amounts;
    for (std::int64_t d = 2; d < weight->tensor.dim(); ++d) {
        const std::int64_t step = dilation.size() == 1 ? dilation[0] : dilation[std::size_t(d - 2)];
        const std::int64_t total = step * (weight->tensor.size(d) - 1);
        const bool same = padding.constant.toStringRef() == "same";
        if (same && total % 2 != 0)
            return {};
        amounts.push_back(same ? total / 2 : 0);
    }
    return respell(node, baseOf(node.op),
                   {named.get("input"), named.get("weight"), named.get("bias"), named.get("stride"),
                    Argument::of(c10::IValue(amounts)), named.get("dilation"), named.get("groups")});
}

Status Normalizer::batchNorm(Node &node)
{
    const Named named(node);
    const auto either = [&](const char *first, const char *second) {
        return named.find(first) ? named.get(first) : named.get(second);
    };
    const Argument training = named.find("training") ? named.get("training") : Argument::of(c10::IValue(false));
    return respell(node, "aten::batch_norm",
                   {named.get("input"), named.get("weight"), named.get("bias"), named.get("running_mean"),
                    named.get("running_var"), training, either("momentum", "exponential_average_factor"),
                    either("eps", "epsilon"), Argument::of(c10::IValue(false))});
}

/// What `argument` is the transpose of, where it is the plain transpose of a matrix that is a parameter.
std::optional<Argument> Normalizer::transposed(const Argument &argument) const
{
    const auto found = argument.kind == Kind::Value ? m_producer.find(argument.value) : m_producer.end();
    if (found == m_producer.end())
        return {};
    const Node &node = m_graph.nodes[found->second];
    const Parameter *parameter = node.arguments.empty() ? nullptr : parameterOf(node.arguments[0]);
    if (!parameter || parameter->tensor.dim() != 2)
        return {};
    const auto dimension = [&](std::size_t i) { return (intsOf(node.arguments[i]).at(0) + 2) % 2; };
    if (node.op == "aten::t" || node.op == "aten::numpy_T")
        return node.arguments[0];
    if (node.op == "aten::transpose.int" && isConstant(node.arguments[1]) && isConstant(node.arguments[2])
        && dimension(1) != dimension(2))
        return node.arguments[0];
    if (node.op == "aten::permute" && intsOf(node.arguments[1]) == std::vector<std::int64_t>{1, 0})
        return node.arguments[0];
    return {};
}

Status Normalizer::linear(Node &node)
{
    if (node.op == "aten::addmm") {
        const auto weight = transposed(node.arguments[2]);
        const auto isOne = [](const Argument &a) { return isConstant(a) && a.constant.isScalar() && a.constant.toScalar().toDouble() == 1; };
        const Parameter *bias = parameterOf(node.arguments[0]);
        if (weight && bias && bias->tensor.dim() == 1 && isOne(node.arguments[3]) && isOne(node.arguments[4]))
            return respell(node, "aten::linear", {node.arguments[1], *weight, node.arguments[0]});
        return {};
    }
    if (const auto weight = transposed(node.arguments[1]))
        return respell(node, "aten::linear", {node.arguments[0], *weight, Argument{}});
    return {};
}

/// linear without a bias, then + a vector of its width: one linear.
Status Normalizer::fuseBias()
{
    findProducers();
    const std::vector<int> reads = countReads();
    for (Node &node : m_graph.nodes) {
        if (node.op != "aten::add.Tensor" || intsOf(node.arguments[2]) != std::vector<std::int64_t>{1})
            continue;
        for (std::size_t side : {0U, 1U}) {
            const Parameter *bias = parameterOf(node.arguments[1 - side]);
            const Argument &product = node.arguments[side];
            if (!bias || product.kind != Kind::Value || !m_producer.contains(product.value))
                continue;
            const Node source = m_graph.nodes[m_producer[product.value]];
            const bool bare = source.op == "aten::linear" && isConstant(source.arguments[2]);
            const Parameter *weight = bare ? parameterOf(source.arguments[1]) : nullptr;
            if (!weight || reads[std::size_t(product.value)] != 1 || bias->tensor.dim() != 1
                || bias->tensor.size(0) != weight->tensor.size(0))
                continue;
            BW_CHECK(respell(node, "aten::linear", {source.arguments[0], source.arguments[1], node.arguments[1 - side]}));
            break;
        }
    }
    return {};
}

Status Normalizer::spell()
{
    static const std::set<std::string> kBatchNorms{
        "aten::_native_batch_norm_legit", "aten::_native_batch_norm_legit_no_training", "aten::native_batch_norm",
        "aten::cudnn_batch_norm", "aten::miopen_batch_norm", "aten::_batch_norm_impl_index",
        "aten::_batch_norm_no_update", "aten::_batch_norm_with_update", "aten::_native_batch_norm_legit_functional"};
    findProducers();
    const std::vector<int> reads = countReads();
    for (Node &node : m_graph.nodes) {
        const std::string base = baseOf(node.op);
        const bool onlyFirst = !node.outputs.empty()
            && std::all_of(node.outputs.begin() + 1, node.outputs.end(), [&](ValueId v) { return v < 0 || reads[std::size_t(v)] == 0; });
        if (!onlyFirst)
            continue;
        if (base == "aten::convolution" || base == "aten::_convolution")
            BW_CHECK(convolution(node));
        else if (node.op == "aten::conv1d.padding" || node.op == "aten::conv2d.padding" || node.op == "aten::conv3d.padding")
            BW_CHECK(paddedConvolution(node));
        else if (kBatchNorms.contains(base))
            BW_CHECK(batchNorm(node));
        else if (node.op == "aten::native_dropout")
            BW_CHECK(respell(node, "aten::dropout", {node.arguments[0], node.arguments[1], Argument::of(c10::IValue(false))}));
        else if (node.op == "aten::addmm" || node.op == "aten::mm" || node.op == "aten::matmul")
            BW_CHECK(linear(node));
    }
    return {};
}

/// Copies that change nothing in a functional graph.
void Normalizer::removeIdentities()
{
    static const std::set<std::string> kAlways{"aten::lift_fresh_copy", "aten::lift", "aten::lift_fresh", "aten::alias",
                                               "prim::identity", "aten::detach_"};
    for (std::size_t i = 0; i < m_graph.nodes.size(); ++i) {
        const Node node = m_graph.nodes[i];
        const bool constantSource = node.op == "aten::detach" && parameterOf(node.arguments[0])
            && !parameterOf(node.arguments[0])->trainable;
        if ((kAlways.contains(node.op) || constantSource) && node.outputs.size() == 1)
            replaceValue(m_graph, node.outputs[0], node.arguments[0]);
    }
}

/// Computes scalar glue over constants and looks through lists whose elements are known. True when the node's results
/// were replaced by constants or other values.
bool Normalizer::foldNode(Node &node)
{
    const auto known = [&](const Argument &argument) -> const Node * {
        const auto found = argument.kind == Kind::Value ? m_producer.find(argument.value) : m_producer.end();
        const Node *source = found == m_producer.end() ? nullptr : &m_graph.nodes[found->second];
        return source && (source->op == "prim::ListConstruct" || source->op == "prim::TupleConstruct") ? source : nullptr;
    };
    if (node.op == "prim::ListUnpack" || node.op == "prim::TupleUnpack") {
        const Node *source = known(node.arguments[0]);
        if (!source || source->arguments.size() != node.outputs.size())
            return false;
        const std::vector<Argument> elements = source->arguments;
        for (std::size_t i = 0; i < elements.size(); ++i)
            replaceValue(m_graph, node.outputs[i], elements[i]);
        return true;
    }
    if (node.op == "prim::getitem" || node.op == "aten::__getitem__.t" || node.op == "prim::TupleIndex") {
        const Node *source = known(node.arguments[0]);
        const std::vector<std::int64_t> key = intsOf(node.arguments[1]);
        if (source && key.size() == 1) {
            const auto count = std::int64_t(source->arguments.size());
            const std::int64_t index = key[0] < 0 ? key[0] + count : key[0];
            if (index < 0 || index >= count)
                return false;
            const Argument element = source->arguments[std::size_t(index)];
            replaceValue(m_graph, node.outputs[0], element);
            return true;
        }
    }
    const auto info = findOperator(node.op);
    if (!info || !info->scalar || node.outputs.size() != 1 || !std::ranges::all_of(node.arguments, isConstant))
        return false;
    torch::jit::Stack stack;
    for (const Argument &argument : node.arguments)
        stack.push_back(argument.constant);
    const auto ran = guarded("constant", ErrorKind::Internal, [&] { node.kernel(stack); });
    if (!ran || stack.size() != 1 || stack[0].isTensor() || stack[0].isTensorList())
        return false;
    const Argument constant = Argument::of(stack[0]);
    replaceValue(m_graph, node.outputs[0], constant);
    return true;
}

Status Normalizer::foldLists()
{
    findProducers();
    bool changed = false;
    for (std::size_t i = 0; i < m_graph.nodes.size(); ++i) {
        Node &node = m_graph.nodes[i];
        if (node.outputs.empty())
            continue;
        changed = foldNode(node) || changed;
        // A list that is made here is read where it is used, so that `cat` shows its parts.
        if (node.op == "prim::ListConstruct" || node.op == "prim::TupleConstruct") {
            const std::vector<Argument> elements = node.arguments;
            const ValueId made = node.outputs[0];
            for (std::size_t j = i + 1; j < m_graph.nodes.size(); ++j) {
                Node &reader = m_graph.nodes[j];
                for (std::size_t a = 0; a < reader.arguments.size(); ++a)
                    if (reader.arguments[a].kind == Kind::Value && reader.arguments[a].value == made
                        && a < reader.wants.size() && reader.wants[a] >= Want::IntList) {
                        reader.arguments[a] = Argument::of(elements);
                        changed = true;
                    }
            }
        }
    }
    if (changed)
        for (Node &node : m_graph.nodes)
            BW_CHECK(resolveNode(node));
    return {};
}

Status Normalizer::run()
{
    BW_CHECK(foldLists());
    BW_CHECK(spell());
    BW_CHECK(functionalize(m_graph));
    removeIdentities();
    dropDeadNodes(m_graph);
    BW_CHECK(spell());
    BW_CHECK(fuseBias());
    dropDeadNodes(m_graph);
    return {};
}

} // namespace

Status normalize(Graph &graph)
{
    return guarded("rewriting the graph", ErrorKind::Internal, [&] { return Normalizer(graph).run(); });
}

} // namespace bitwright
