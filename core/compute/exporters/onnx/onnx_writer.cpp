// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/onnx/onnx_writer.h"

#include "graph/node_builder.h"

#include <ATen/ATen.h>

#include <cstring>

namespace bitwright {

namespace {

std::string outputNameOf(const Graph &graph, std::size_t index)
{
    if (index < graph.outputNames.size() && !graph.outputNames[index].empty())
        return graph.outputNames[index];
    return "output_" + std::to_string(index);
}

} // namespace

Result<onnx::DataType> OnnxWriter::onnxType(at::ScalarType type)
{
    switch (type) {
    case at::kFloat: return onnx::DataType::Float;
    case at::kDouble: return onnx::DataType::Double;
    case at::kHalf: return onnx::DataType::Float16;
    case at::kBFloat16: return onnx::DataType::BFloat16;
    case at::kLong: return onnx::DataType::Int64;
    case at::kInt: return onnx::DataType::Int32;
    case at::kShort: return onnx::DataType::Int16;
    case at::kChar: return onnx::DataType::Int8;
    case at::kByte: return onnx::DataType::UInt8;
    case at::kBool: return onnx::DataType::Bool;
    default: return fail(ErrorKind::Unsupported, std::string("element type ") + c10::toString(type) + " has no counterpart in ONNX");
    }
}

Result<onnx::Tensor> onnxTensor(const at::Tensor &tensor, const std::string &name)
{
    onnx::Tensor made;
    made.name = name;
    BW_ASSIGN(made.type, OnnxWriter::onnxType(tensor.scalar_type()));
    made.dims = tensor.sizes().vec();
    const at::Tensor flat = tensor.detach().to(at::kCPU).contiguous();
    made.owned.assign(static_cast<const char *>(flat.const_data_ptr()), flat.nbytes());
    made.hasRaw = true;
    return made;
}

OnnxWriter::OnnxWriter(const Graph &graph, const ShapeTrace &trace, int opset) : m_graph(graph), m_trace(trace), m_opset(opset)
{
    // Inputs, outputs and parameters keep their names whatever else wants them.
    for (const GraphInput &input : graph.inputs)
        m_values[input.value].name = uniqueName(input.info.name.empty() ? graph.valueNames[std::size_t(input.value)] : input.info.name);
    for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
        const std::string name = uniqueName(outputNameOf(graph, i));
        if (graph.outputs[i].kind == Argument::Kind::Value)
            m_preferred.try_emplace(graph.outputs[i].value, name);
    }
}

std::string OnnxWriter::uniqueName(const std::string &wanted)
{
    const std::string base = wanted.empty() ? "value" : wanted;
    std::string name = base;
    for (int i = 1; !m_names.insert(name).second; ++i)
        name = base + "_" + std::to_string(i);
    return name;
}

std::string OnnxWriter::initializer(const at::Tensor &tensor, const std::string &hint)
{
    auto made = onnxTensor(tensor, "");
    if (!made)
        made = onnxTensor(tensor.to(at::kFloat), "");
    made->name = hint;
    return initializer(std::move(*made));
}

std::string OnnxWriter::initializer(onnx::Tensor tensor)
{
    tensor.name = uniqueName(tensor.name);
    out.initializers.push_back(std::move(tensor));
    return out.initializers.back().name;
}

std::string OnnxWriter::integers(const std::vector<std::int64_t> &values)
{
    std::string key = "const";
    for (std::int64_t value : values)
        key += "_" + std::to_string(value);
    auto [entry, fresh] = m_constants.try_emplace(key);
    if (fresh)
        entry->second = initializer(at::tensor(values, at::kLong).reshape({std::int64_t(values.size())}), key);
    return entry->second;
}

std::string OnnxWriter::scalar(double value, at::ScalarType type)
{
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", value);
    const std::string key = std::string("scalar_") + c10::toString(type) + "_" + text;
    auto [entry, fresh] = m_constants.try_emplace(key);
    if (fresh)
        entry->second = initializer(at::scalar_tensor(value, at::TensorOptions(at::kDouble)).to(type), key);
    return entry->second;
}

std::string OnnxWriter::add(const std::string &op, std::vector<std::string> inputs, std::vector<onnx::Attribute> attributes,
                            const std::string &target)
{
    const std::string base = m_node ? (m_node->name.empty() ? m_node->op : m_node->name) : op;
    return addMany(op, std::move(inputs), std::move(attributes),
                   {target.empty() ? uniqueName(base + "/" + op + "_output") : target})
        .front();
}

std::vector<std::string> OnnxWriter::addMany(const std::string &op, std::vector<std::string> inputs,
                                             std::vector<onnx::Attribute> attributes, std::vector<std::string> outputs)
{
    onnx::Node made;
    made.op = op;
    const std::string base = m_node ? (m_node->name.empty() ? m_node->op : m_node->name) + "/" : std::string();
    made.name = uniqueName(base + op);
    while (!inputs.empty() && inputs.back().empty())
        inputs.pop_back();
    made.inputs = std::move(inputs);
    made.outputs = outputs;
    made.attributes = std::move(attributes);
    out.nodes.push_back(std::move(made));
    return outputs;
}

void OnnxWriter::enter(const Node &node) { m_node = &node; }

const Argument *OnnxWriter::argument(const std::string &name) const
{
    const int index = argumentIndex(*m_node, name);
    return index >= 0 && std::size_t(index) < m_node->arguments.size() ? &m_node->arguments[std::size_t(index)] : nullptr;
}

bool OnnxWriter::absent(const std::string &name) const
{
    const Argument *found = argument(name);
    if (!found)
        return true;
    if (found->kind == Argument::Kind::Constant)
        return found->constant.isNone() || (found->constant.isTensor() && !found->constant.toTensor().defined());
    return false;
}

const OnnxValue *OnnxWriter::find(ValueId value) const
{
    const auto found = m_values.find(value);
    return found == m_values.end() ? nullptr : &found->second;
}

Result<std::string> OnnxWriter::tensor(const std::string &name)
{
    const Argument *found = argument(name);
    if (!found)
        return fail(ErrorKind::Internal, m_node->op + " has no argument " + name);
    const int input = argumentIndex(*m_node, name);
    // The layer's own input comes through its quantizer.
    if (const auto layer = layerInputs.find(m_node); layer != layerInputs.end() && input == layer->second.argument)
        return layer->second.name;
    return tensor(*found);
}

Result<std::string> OnnxWriter::tensor(const Argument &argument)
{
    if (argument.kind == Argument::Kind::Value) {
        if (const OnnxValue *known = find(argument.value); known && !known->name.empty())
            return known->name;
        const TracedValue &traced = m_trace.values[std::size_t(argument.value)];
        const std::string &name = m_graph.valueNames[std::size_t(argument.value)];
        if (traced.constant && traced.value.isTensor()) {
            // Same name as in the state dict, so that layers keep theirs when the file is opened again.
            const int parameter = m_graph.parameterOf(argument.value);
            const std::string hint = parameter >= 0 ? m_graph.parameters[std::size_t(parameter)].name : name;
            m_values[argument.value].name = initializer(traced.value.toTensor(), hint);
            return m_values[argument.value].name;
        }
        if (traced.batchDependent)
            return fail(ErrorKind::Unsupported, "a number that depends on the batch size (" + name + ")");
        if (traced.value.isInt() || traced.value.isDouble() || traced.value.isBool())
            return scalar(traced.value.toScalar().toDouble(), traced.value.isInt() ? at::kLong : at::kFloat);
        return fail(ErrorKind::Unsupported, "value " + name + " that was not written");
    }
    if (argument.kind == Argument::Kind::Constant && argument.constant.isTensor() && argument.constant.toTensor().defined())
        return initializer(argument.constant.toTensor(), "constant");
    if (argument.kind == Argument::Kind::Constant && argument.constant.isScalar()) {
        const c10::Scalar value = argument.constant.toScalar();
        return scalar(value.toDouble(), value.isFloatingPoint() ? at::kFloat : at::kLong);
    }
    return fail(ErrorKind::Unsupported, "an argument that is no tensor");
}

Result<std::vector<std::string>> OnnxWriter::tensors(const Argument &argument)
{
    std::vector<std::string> names;
    if (argument.kind == Argument::Kind::List) {
        for (const Argument &item : argument.list) {
            BW_ASSIGN(auto name, tensor(item));
            names.push_back(std::move(name));
        }
        return names;
    }
    if (argument.kind == Argument::Kind::Value) {
        if (const OnnxValue *known = find(argument.value); known && !known->items.empty())
            return known->items;
    }
    if (argument.kind == Argument::Kind::Constant && argument.constant.isTensorList()) {
        for (const at::Tensor &item : argument.constant.toTensorVector())
            names.push_back(initializer(item, "constant"));
        return names;
    }
    return fail(ErrorKind::Unsupported, "a list that is not known");
}

const TracedValue *OnnxWriter::traced(const std::string &name) const
{
    const Argument *found = argument(name);
    return found ? traced(*found) : nullptr;
}

const TracedValue *OnnxWriter::traced(const Argument &argument) const
{
    return argument.kind == Argument::Kind::Value ? &m_trace.values[std::size_t(argument.value)] : nullptr;
}

Result<c10::IValue> OnnxWriter::plain(const Argument &argument) const
{
    if (argument.kind == Argument::Kind::Constant)
        return argument.constant;
    if (argument.kind == Argument::Kind::Value) {
        const TracedValue &traced = m_trace.values[std::size_t(argument.value)];
        if (traced.batchDependent || (traced.tensor && !traced.constant))
            return fail(ErrorKind::Unsupported, "an option that depends on the input");
        return traced.value;
    }
    c10::impl::GenericList list(c10::AnyType::get());
    std::vector<std::int64_t> numbers;
    for (const Argument &item : argument.list) {
        BW_ASSIGN(auto value, plain(item));
        if (value.isInt())
            numbers.push_back(value.toInt());
        list.push_back(value);
    }
    if (numbers.size() == argument.list.size())
        return c10::IValue(numbers);
    return c10::IValue(list);
}

Result<std::vector<std::int64_t>> OnnxWriter::ints(const std::string &name) const
{
    const Argument *found = argument(name);
    if (!found)
        return fail(ErrorKind::Internal, m_node->op + " has no argument " + name);
    BW_ASSIGN(const auto value, plain(*found));
    if (value.isNone())
        return std::vector<std::int64_t>{};
    if (value.isInt())
        return std::vector<std::int64_t>{value.toInt()};
    if (value.isIntList())
        return value.toIntVector();
    if (value.isList() && value.toListRef().empty())
        return std::vector<std::int64_t>{};
    return fail(ErrorKind::Unsupported, "option " + name + " that is no list of integers");
}

Result<std::int64_t> OnnxWriter::integer(const std::string &name) const
{
    BW_ASSIGN(const double value, number(name));
    return std::int64_t(value);
}

Result<double> OnnxWriter::number(const std::string &name) const
{
    const Argument *found = argument(name);
    if (!found)
        return fail(ErrorKind::Internal, m_node->op + " has no argument " + name);
    BW_ASSIGN(const auto value, plain(*found));
    if (value.isScalar())
        return value.toScalar().toDouble();
    if (value.isBool())
        return double(value.toBool());
    if (value.isTensor() && value.toTensor().defined() && value.toTensor().numel() == 1)
        return value.toTensor().item().toDouble();
    return fail(ErrorKind::Unsupported, "option " + name + " that is no number");
}

Result<bool> OnnxWriter::flag(const std::string &name) const
{
    const Argument *found = argument(name);
    if (!found)
        return fail(ErrorKind::Internal, m_node->op + " has no argument " + name);
    BW_ASSIGN(const auto value, plain(*found));
    return value.isBool() ? value.toBool() : value.isInt() ? value.toInt() != 0 : false;
}

Result<std::string> OnnxWriter::text(const std::string &name) const
{
    const Argument *found = argument(name);
    if (!found)
        return fail(ErrorKind::Internal, m_node->op + " has no argument " + name);
    BW_ASSIGN(const auto value, plain(*found));
    return value.isString() ? value.toStringRef() : std::string();
}

std::string OnnxWriter::cast(const std::string &source, at::ScalarType from, at::ScalarType to, const std::string &target)
{
    if (from == to)
        return source;
    const auto type = onnxType(to);
    return add("Cast", {source}, {onnx::Attribute::of("to", std::int64_t(type ? *type : onnx::DataType::Float))}, target);
}

Result<std::string> OnnxWriter::operand(const std::string &name, at::ScalarType type)
{
    const Argument *found = argument(name);
    if (!found)
        return fail(ErrorKind::Internal, m_node->op + " has no argument " + name);
    if (const TracedValue *known = traced(*found); known && known->tensor) {
        BW_ASSIGN(const std::string source, tensor(name));
        return cast(source, known->type, type);
    }
    if (found->kind == Argument::Kind::Constant && found->constant.isTensor())
        return initializer(found->constant.toTensor().to(type), "constant");
    BW_ASSIGN(const double value, number(name));
    return scalar(value, type);
}

const TracedValue &OnnxWriter::result(std::size_t index) const
{
    return m_trace.values[std::size_t(m_node->outputs[index])];
}

std::string OnnxWriter::resultName(std::size_t index)
{
    const ValueId value = m_node->outputs[index];
    const auto preferred = m_preferred.find(value);
    std::string name = preferred != m_preferred.end() ? preferred->second : uniqueName(m_graph.valueNames[std::size_t(value)]);
    m_values[value].name = name;
    return name;
}

void OnnxWriter::alias(const std::string &name, std::size_t index) { m_values[m_node->outputs[index]].name = name; }

void OnnxWriter::setItems(std::vector<std::string> items, std::size_t index)
{
    m_values[m_node->outputs[index]].items = std::move(items);
}

Result<std::string> OnnxWriter::reshape(const std::string &source, const std::vector<std::int64_t> &to,
                                        const std::vector<std::int64_t> &from, const std::string &target)
{
    std::vector<std::int64_t> sizes = to;
    if (std::ranges::count(sizes, -1) > 1) {
        // A free dimension that keeps its place is copied; at most one may then be left over.
        for (std::size_t axis = 0; axis < sizes.size() && axis < from.size() && std::ranges::count(sizes, -1) > 1; ++axis) {
            if (sizes[axis] == -1 && from[axis] == -1)
                sizes[axis] = 0;
        }
        if (std::ranges::count(sizes, -1) > 1)
            return fail(ErrorKind::Unsupported, "a reshape with several free sizes");
    }
    return add("Reshape", {source, integers(sizes)}, {}, target);
}

const Node *producerOf(const Graph &graph, const Argument &argument)
{
    if (argument.kind != Argument::Kind::Value)
        return nullptr;
    for (const Node &node : graph.nodes) {
        if (std::ranges::find(node.outputs, argument.value) != node.outputs.end())
            return &node;
    }
    return nullptr;
}

} // namespace bitwright
