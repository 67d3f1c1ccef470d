// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_reader.h"

#include <ATen/ATen.h>

#include <cstring>

namespace bitwright {

namespace {

at::ScalarType scalarTypeOf(onnx::DataType type)
{
    using onnx::DataType;
    switch (type) {
    case DataType::Float: return at::kFloat;
    case DataType::Double: return at::kDouble;
    case DataType::Float16: return at::kHalf;
    case DataType::BFloat16: return at::kBFloat16;
    case DataType::Int64:
    case DataType::UInt64: return at::kLong;
    case DataType::Int32: return at::kInt;
    case DataType::UInt32: return at::kLong;
    case DataType::Int16: return at::kShort;
    case DataType::UInt16: return at::kInt;
    case DataType::Int8:
    case DataType::Int4:
    case DataType::Int2: return at::kChar;
    case DataType::UInt8:
    case DataType::UInt4:
    case DataType::UInt2: return at::kByte;
    case DataType::Bool: return at::kBool;
    default: return at::ScalarType::Undefined;
    }
}

bool isFloating(onnx::DataType type)
{
    using onnx::DataType;
    return type == DataType::Float || type == DataType::Double || type == DataType::Float16 || type == DataType::BFloat16;
}

} // namespace

Result<at::Tensor> tensorOf(const onnx::Tensor &tensor)
{
    const auto wrong = [&](const std::string &why) { return fail(ErrorKind::Parse, "tensor " + tensor.name + ", " + why); };
    if (tensor.external)
        return fail(ErrorKind::Unsupported, "tensor " + tensor.name + ", its data lie in another file; save the model as one file");
    const at::ScalarType type = scalarTypeOf(tensor.type);
    if (type == at::ScalarType::Undefined)
        return fail(ErrorKind::Unsupported, "tensor " + tensor.name + ", element type " +
                                                std::to_string(std::int32_t(tensor.type)) + " is not known here");
    BW_ASSIGN(const std::int64_t count, tensor.count());
    if (!isFloating(tensor.type)) {
        BW_ASSIGN(const auto values, onnx::unpackIntegers(tensor));
        return at::tensor(values, at::kLong).reshape(tensor.dims).to(type);
    }
    const std::string_view bytes = tensor.bytes();
    const auto width = std::int64_t(onnx::storageBits(tensor.type) / 8);
    if (tensor.hasRaw || !tensor.owned.empty()) {
        if (std::int64_t(bytes.size()) / width != count || std::int64_t(bytes.size()) % width != 0)
            return wrong("its data do not fill its shape");
        at::Tensor made = at::empty(tensor.dims, at::TensorOptions(type));
        if (!bytes.empty())
            std::memcpy(made.mutable_data_ptr(), bytes.data(), bytes.size());
        return made;
    }
    if (tensor.type == onnx::DataType::Double && std::int64_t(tensor.doubles.size()) == count)
        return at::tensor(tensor.doubles, at::kDouble).reshape(tensor.dims);
    if (tensor.type == onnx::DataType::Float && std::int64_t(tensor.floats.size()) == count)
        return at::tensor(tensor.floats, at::kFloat).reshape(tensor.dims);
    if (width == 2 && std::int64_t(tensor.integers.size()) == count) {
        // Half types stand as bit patterns in int32_data.
        at::Tensor made = at::empty(tensor.dims, at::TensorOptions(type));
        auto *words = static_cast<std::uint16_t *>(made.mutable_data_ptr());
        for (std::size_t i = 0; i < tensor.integers.size(); ++i)
            words[i] = std::uint16_t(tensor.integers[i]);
        return made;
    }
    return wrong("its data do not fill its shape");
}

OnnxReader::OnnxReader(const onnx::Model &model, Graph &graph) : m_graph(graph)
{
    const auto found = model.opsets.find("");
    m_opset = found == model.opsets.end() ? 1 : found->second;
}

std::int64_t OnnxReader::integer(const char *attribute, std::int64_t fallback) const
{
    const onnx::Attribute *found = m_node->attribute(attribute);
    return found && found->type == onnx::Attribute::Type::Int ? found->i : fallback;
}

double OnnxReader::number(const char *attribute, double fallback) const
{
    const onnx::Attribute *found = m_node->attribute(attribute);
    return found && found->type == onnx::Attribute::Type::Float ? double(found->f) : fallback;
}

std::string OnnxReader::text(const char *attribute, const std::string &fallback) const
{
    const onnx::Attribute *found = m_node->attribute(attribute);
    return found && found->type == onnx::Attribute::Type::String ? found->s : fallback;
}

std::vector<std::int64_t> OnnxReader::integers(const char *attribute) const
{
    const onnx::Attribute *found = m_node->attribute(attribute);
    return found ? found->ints : std::vector<std::int64_t>{};
}

Result<Argument> OnnxReader::argumentOf(const std::string &name, bool trainable)
{
    const auto found = m_known.find(name);
    if (found == m_known.end())
        return fail(ErrorKind::Parse, "value " + name + " is read before it is made");
    Known &known = found->second;
    if (!known.argument) {
        const std::string parameter = known.parameterName.empty() ? name : known.parameterName;
        const ValueId value = m_graph.addValue(parameter);
        m_graph.parameters.push_back({parameter, value, known.constant, trainable && known.constant.is_floating_point()});
        known.argument = Argument::of(value);
    }
    return *known.argument;
}

Result<Argument> OnnxReader::input(std::size_t index, bool trainable)
{
    if (!has(index))
        return Argument::of(c10::IValue());
    return argumentOf(m_node->inputs[index], trainable);
}

bool OnnxReader::isConstant(std::size_t index) const
{
    if (!has(index))
        return false;
    const auto found = m_known.find(m_node->inputs[index]);
    return found != m_known.end() && found->second.constant.defined();
}

Result<at::Tensor> OnnxReader::constant(std::size_t index) const
{
    if (!isConstant(index))
        return fail(ErrorKind::Unsupported, "an input that is computed at run time (number " + std::to_string(index) + ")");
    return m_known.at(m_node->inputs[index]).constant;
}

Result<std::vector<std::int64_t>> OnnxReader::constantInts(std::size_t index) const
{
    BW_ASSIGN(const at::Tensor found, constant(index));
    const at::Tensor flat = found.to(at::kLong).contiguous();
    return std::vector<std::int64_t>(flat.const_data_ptr<std::int64_t>(), flat.const_data_ptr<std::int64_t>() + flat.numel());
}

Result<std::vector<std::int64_t>> OnnxReader::integersOf(const char *attribute, std::size_t index) const
{
    if (has(index))
        return constantInts(index);
    return integers(attribute);
}

std::int64_t OnnxReader::rank(std::size_t index) const
{
    if (!has(index))
        return -1;
    const auto found = m_known.find(m_node->inputs[index]);
    return found == m_known.end() ? -1 : found->second.rank;
}

Result<ValueId> OnnxReader::add(const std::string &op, std::vector<Argument> positional, const Keywords &keywords)
{
    const std::string &name = !m_node->name.empty() ? m_node->name : m_node->outputs.empty() ? m_node->op : m_node->outputs[0];
    return appendNode(m_graph, op, std::move(positional), keywords, name);
}

ValueId OnnxReader::addOwn(const std::string &op, std::vector<Argument> arguments, Kernel kernel)
{
    Node made;
    made.op = op;
    made.name = m_node->name.empty() ? op : m_node->name;
    made.wants.assign(arguments.size(), Want::None);
    made.arguments = std::move(arguments);
    made.kernel = std::move(kernel);
    const ValueId value = m_graph.addValue(made.name);
    made.outputs = {value};
    m_graph.nodes.push_back(std::move(made));
    return value;
}

void OnnxReader::bind(const Argument &value, std::int64_t rank, std::size_t output)
{
    if (output >= m_node->outputs.size() || m_node->outputs[output].empty())
        return;
    const std::string &name = m_node->outputs[output];
    if (value.kind == Argument::Kind::Value && m_graph.parameterOf(value.value) < 0)
        m_graph.valueNames[std::size_t(value.value)] = name;
    m_known[name] = {value, {}, {}, rank, onnx::DataType::Undefined};
}

void OnnxReader::bindConstant(at::Tensor value, const std::string &parameterName, std::size_t output)
{
    if (output >= m_node->outputs.size())
        return;
    const std::int64_t rank = value.dim();
    m_known[m_node->outputs[output]] = {std::nullopt, std::move(value), parameterName, rank, onnx::DataType::Undefined};
}

Status OnnxReader::emit(const std::string &op, std::vector<Argument> positional, const Keywords &keywords, std::int64_t outputRank)
{
    BW_ASSIGN(const ValueId value, add(op, std::move(positional), keywords));
    bind(Argument::of(value), outputRank == -2 ? rank(0) : outputRank);
    return {};
}

void OnnxReader::declareInput(const std::string &name, ValueId value, std::int64_t rank)
{
    m_known[name] = {Argument::of(value), {}, {}, rank, onnx::DataType::Undefined};
}

void OnnxReader::declareConstant(const onnx::Tensor &source, at::Tensor tensor)
{
    const std::int64_t rank = tensor.dim();
    m_known[source.name] = {std::nullopt, std::move(tensor), source.name, rank, source.type};
}

Result<onnx::DataType> OnnxReader::elementType(std::size_t index) const
{
    if (!has(index))
        return onnx::DataType::UInt8;
    const auto found = m_known.find(m_node->inputs[index]);
    if (found == m_known.end() || found->second.type == onnx::DataType::Undefined)
        return fail(ErrorKind::Unsupported, "an input that is computed at run time (number " + std::to_string(index) + ")");
    return found->second.type;
}

Result<Argument> OnnxReader::output(const std::string &name) { return argumentOf(name, false); }

OnnxReading findOnnxReading(const std::string &op)
{
    for (const auto rows : {onnxLayerReadings(), onnxElementwiseReadings(), onnxPoolingReadings(), onnxShapeReadings(),
                            onnxQuantizeReadings()}) {
        for (const OnnxReadingRow &row : rows) {
            if (op == row.op)
                return row.read;
        }
    }
    return nullptr;
}

} // namespace bitwright
