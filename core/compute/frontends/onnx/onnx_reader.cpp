// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_reader.h"

#include "tensor/memory.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

namespace bitwright {

namespace {

bool isFloatingType(onnx::DataType type)
{
    using onnx::DataType;
    return type == DataType::Float || type == DataType::Double || type == DataType::Float16 || type == DataType::BFloat16;
}

/// Whether raw data stand in the file as they stand in memory.
bool isPlain(onnx::DataType type)
{
    return type != onnx::DataType::Bool && std::size_t(onnx::storageBits(type)) == 8 * c10::elementSize(scalarTypeOf(type));
}

/// Integers of 2 or 4 bits, each to a byte of its own without a wider one in between: such weights are the largest.
at::Tensor widened(std::string_view bytes, const std::vector<std::int64_t> &dims, onnx::DataType type)
{
    at::Tensor made = at::empty(dims, at::TensorOptions(scalarTypeOf(type)));
    const auto bits = unsigned(onnx::storageBits(type)), each = 8 / bits;
    const bool isSigned = onnx::integerRange(type).first < 0;
    auto *to = static_cast<std::uint8_t *>(made.mutable_data_ptr());
    for (std::int64_t i = 0, count = made.numel(); i < count; ++i) {
        const unsigned word = std::uint8_t(bytes[std::size_t(i) / each]) >> (std::size_t(i) % each * bits) & ((1U << bits) - 1);
        to[i] = std::uint8_t(isSigned && word >> (bits - 1) ? word | ~0U << bits : word);
    }
    return made;
}

} // namespace

Result<at::Tensor> tensorOf(const onnx::SparseTensor &sparse)
{
    BW_ASSIGN(const at::Tensor values, tensorOf(sparse.values));
    BW_ASSIGN(const at::Tensor places, tensorOf(sparse.indices));
    const auto wrong = [&](const std::string &why) { return fail(ErrorKind::Parse, "sparse tensor " + sparse.values.name + ", " + why); };
    onnx::Tensor dense;
    dense.name = sparse.values.name;
    dense.dims = sparse.dims;
    BW_ASSIGN(const std::int64_t count, dense.count());
    if (count > (std::int64_t(1) << 28) || values.dim() != 1)
        return wrong("its shape is impossible");
    at::Tensor linear = places.to(at::kLong);
    if (places.dim() == 2 && places.size(1) == std::int64_t(sparse.dims.size())) {
        at::Tensor sum = at::zeros({places.size(0)}, at::kLong);
        for (std::size_t i = 0; i < sparse.dims.size(); ++i)
            sum = sum * sparse.dims[i] + linear.select(1, std::int64_t(i));
        linear = sum;
    }
    if (linear.dim() != 1 || linear.numel() != values.numel()
        || (linear.numel() > 0 && (linear.min().item<std::int64_t>() < 0 || linear.max().item<std::int64_t>() >= count)))
        return wrong("its indices lie outside its shape");
    return at::zeros({count}, values.options()).scatter(0, linear, values).reshape(sparse.dims);
}

Result<at::Tensor> tensorOf(const onnx::Tensor &tensor, const std::shared_ptr<const void> &owner)
{
    const auto wrong = [&](const std::string &why) { return fail(ErrorKind::Parse, "tensor " + tensor.name + ", " + why); };
    if (tensor.external)
        return fail(ErrorKind::Unsupported, "tensor " + tensor.name + ", its data lie in another file; save the model as one file");
    const at::ScalarType type = scalarTypeOf(tensor.type);
    if (type == at::ScalarType::Undefined)
        return fail(ErrorKind::Unsupported, "tensor " + tensor.name + ", element type " +
                                                std::to_string(std::int32_t(tensor.type)) + " is not known here");
    BW_ASSIGN(const std::int64_t count, tensor.count());
    const std::string_view bytes = tensor.bytes();
    const bool raw = tensor.hasRaw || !tensor.owned.empty();
    const int bits = onnx::storageBits(tensor.type);
    if (raw && bits < 8) {
        const std::size_t each = 8 / std::size_t(bits);
        if (bytes.size() != std::size_t(count) / each + (std::size_t(count) % each > 0 ? 1 : 0))
            return wrong("its data do not fill its shape");
        return widened(bytes, tensor.dims, tensor.type);
    }
    if (!isFloatingType(tensor.type) && !(raw && isPlain(tensor.type))) {
        BW_ASSIGN(const auto values, onnx::unpackIntegers(tensor));
        return at::tensor(values, at::kLong).reshape(tensor.dims).to(type);
    }
    const auto width = std::int64_t(bits / 8);
    if (raw) {
        if (std::int64_t(bytes.size()) / width != count || std::int64_t(bytes.size()) % width != 0)
            return wrong("its data do not fill its shape");
        const bool aligned = std::bit_cast<std::uintptr_t>(bytes.data()) % std::uintptr_t(width) == 0;
        if (owner && tensor.owned.empty() && aligned && count > 1024)
            return at::from_blob(const_cast<char *>(bytes.data()), tensor.dims, [owner](void *) {}, at::TensorOptions(type));   // never written
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

OnnxReader::OnnxReader(const onnx::Model &model, Graph &graph) : m_graph(graph), m_file(model.file)
{
    const auto found = model.opsets.find("");
    m_opset = found == model.opsets.end() ? 1 : found->second;
}

Result<Argument> OnnxReader::argumentOf(const std::string &name, bool trainable)
{
    const auto found = m_known.find(name);
    if (found == m_known.end())
        return fail(ErrorKind::Parse, "value " + name + " is read before it is made");
    Known &known = found->second;
    if (!known.argument) {
        std::string parameter = known.parameterName.empty() ? name : known.parameterName;
        // Two branches may use a name for two things.
        if (!known.path.empty() && m_graph.parameter(parameter))
            for (std::size_t i = known.path.size(); i > 0 && m_graph.parameter(parameter); i -= 2)
                parameter = known.path[i - 2] + "/" + known.path[i - 1] + "/" + parameter;
        const ValueId value = m_graph.addValue(parameter);
        m_graph.parameters.push_back({parameter, value, known.constant, trainable && known.constant.is_floating_point(), name, known.path});
        known.argument = Argument::of(value);
        if (known.stored)
            m_graph.stored[value] = *known.stored;
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
    if (const auto declared = m_declaredRanks.find(name); rank < 0 && declared != m_declaredRanks.end())
        rank = declared->second;
    if (value.kind == Argument::Kind::Value && m_graph.parameterOf(value.value) < 0)
        m_graph.valueNames[std::size_t(value.value)] = name;
    m_known[name] = {value, {}, {}, rank, onnx::DataType::Undefined, false};
}

void OnnxReader::bindConstant(at::Tensor value, const std::string &parameterName, std::size_t output)
{
    if (output >= m_node->outputs.size())
        return;
    const std::int64_t rank = value.dim();
    m_known[m_node->outputs[output]] = {std::nullopt, std::move(value), parameterName, rank, onnx::DataType::Undefined, false, m_path};
}

void OnnxReader::noteStored(std::optional<StoredQuantization> stored, std::size_t output)
{
    const auto found = output < m_node->outputs.size() ? m_known.find(m_node->outputs[output]) : m_known.end();
    if (!stored || found == m_known.end())
        return;
    if (found->second.argument && found->second.argument->kind == Argument::Kind::Value)
        m_graph.stored[found->second.argument->value] = *stored;
    found->second.stored = std::move(stored);
}

std::optional<StoredQuantization> OnnxReader::storedOfInput(std::size_t index) const
{
    const auto found = has(index) ? m_known.find(m_node->inputs[index]) : m_known.end();
    return found == m_known.end() ? std::nullopt : found->second.stored;
}

bool OnnxReader::bindSameWeight()
{
    if (m_node->outputs.empty())
        return false;
    std::string key = m_node->op + '\n' + std::to_string(integer("axis", 1)) + '\n' + std::to_string(integer("block_size", 0));
    for (const std::string &input : m_node->inputs)
        key += '\n' + input;
    const std::string &output = m_node->outputs.front();
    const auto [known, fresh] = m_dequantized.try_emplace(std::move(key), output);
    if (fresh || !m_known.contains(known->second) || !argumentOf(known->second, true))
        return false;
    m_known[output] = m_known.at(known->second);
    return true;
}

std::string OnnxReader::weightName()
{
    const std::string &codes = m_node->inputs.front();
    const bool own = m_dequantizedCodes.insert(codes).second && !m_graph.parameter(codes);
    return own || m_node->outputs.empty() ? codes : m_node->outputs.front();
}

Argument OnnxReader::ownWeight(const std::string &name, at::Tensor values, const std::optional<StoredQuantization> &stored)
{
    std::string unique = name;
    for (int i = 2; m_graph.parameter(unique); ++i)
        unique = name + "_" + std::to_string(i);
    const ValueId value = m_graph.addValue(unique);
    m_graph.parameters.push_back({unique, value, std::move(values), true});
    if (stored)
        m_graph.stored[value] = *stored;
    return Argument::of(value);
}

Status OnnxReader::emit(const std::string &op, std::vector<Argument> positional, const Keywords &keywords, std::int64_t outputRank)
{
    BW_ASSIGN(const ValueId value, add(op, std::move(positional), keywords));
    bind(Argument::of(value), outputRank == -2 ? rank(0) : outputRank);
    return {};
}

void OnnxReader::declareInput(const std::string &name, ValueId value, std::int64_t rank, onnx::DataType type)
{
    m_known[name] = {Argument::of(value), {}, {}, rank, type, isFloatingType(type)};
}

void OnnxReader::declareValue(const onnx::ValueInfo &info)
{
    if (info.hasShape)
        m_declaredRanks[info.name] = std::int64_t(info.shape.size());
    m_declaredTypes[info.name] = info.sequence || info.optional ? onnx::DataType::Undefined : info.type;
}

bool OnnxReader::isFloating(std::size_t index) const
{
    if (!has(index))
        return false;
    const auto found = m_known.find(m_node->inputs[index]);
    return found != m_known.end() && (found->second.constant.defined() ? found->second.constant.is_floating_point() : found->second.floating);
}

/// What is known of the element types of the node's outputs.
void OnnxReader::noteTypes()
{
    static const std::set<std::string> kOther{
        "Shape", "Size", "ArgMax", "ArgMin", "NonZero", "QuantizeLinear", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
        "And", "Or", "Xor", "Not", "IsNaN", "IsInf", "If", "Loop", "Scan", "ConstantOfShape", "OneHot", "CastLike", "EyeLike",
        "NonMaxSuppression", "MatMulInteger", "ConvInteger", "QLinearConv", "QLinearMatMul", "DynamicQuantizeLinear", "SequenceAt",
        "ConcatFromSequence", "SequenceMap", "OptionalGetElement", "Unique", "Bernoulli"};
    bool floating = false;
    if (m_node->op == "Cast")
        floating = isFloatingType(onnx::DataType(integer("to", 0)));
    else if (m_node->op == "DequantizeLinear" || m_node->op == "MatMulNBits" || m_node->op == "DynamicQuantizeMatMul" || m_node->op == "MatMulIntegerToFloat")
        floating = true;
    else if (m_node->op == "Where")
        floating = isFloating(1) || isFloating(2);
    else if (!kOther.contains(m_node->op) && m_node->domain.empty())
        floating = isFloating(0) || (m_node->op == "Div" && isFloating(1));
    for (std::size_t i = 0; i < m_node->outputs.size(); ++i) {
        const auto made = m_known.find(m_node->outputs[i]);
        if (made == m_known.end())
            continue;
        const auto declared = m_declaredTypes.find(m_node->outputs[i]);
        if (declared != m_declaredTypes.end() && declared->second != onnx::DataType::Undefined)
            made->second.floating = isFloatingType(declared->second);
        else
            made->second.floating = i == 0 && floating;
    }
}

void OnnxReader::declareConstant(const onnx::Tensor &source, at::Tensor tensor)
{
    const std::int64_t rank = tensor.dim();
    m_known[source.name] = {std::nullopt, std::move(tensor), source.name, rank, source.type, false, m_path};
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

Result<std::vector<std::int64_t>> statedPads(const OnnxReader &reader, std::size_t spatial)
{
    const std::string automatic = reader.text("auto_pad", "NOTSET");
    if (automatic != "NOTSET" && automatic != "VALID" && !automatic.empty())
        return fail(ErrorKind::Unsupported, "automatic padding " + automatic);
    const std::vector<std::int64_t> pads = reader.integers("pads");
    if (!pads.empty() && pads.size() != spatial * 2)
        return fail(ErrorKind::Parse, "a padding list of the wrong length");
    if (std::ranges::any_of(pads, [](std::int64_t pad) { return pad <= -(std::int64_t(1) << 31) || pad >= std::int64_t(1) << 31; }))
        return fail(ErrorKind::Parse, "a padding of an impossible size");
    return orElse(pads, spatial * 2, 0);
}

Result<Argument> OnnxReader::output(const std::string &name) { return argumentOf(name, false); }

bool OnnxReader::allConstant() const
{
    for (std::size_t i = 0; i < m_node->inputs.size(); ++i)
        if (has(i) && !isConstant(i))
            return false;
    return std::ranges::none_of(m_node->attributes, [](const onnx::Attribute &attribute) { return attribute.g != nullptr; });
}

bool OnnxReader::isWeightInput() const
{
    if (!isConstant(0))
        return false;
    const at::Tensor &found = m_known.at(m_node->inputs[0]).constant;
    return found.dim() >= 2;
}

// A node over constants is computed once; false where it cannot be.
Result<bool> OnnxReader::fold(OnnxKernel kernel)
{
    OnnxValues in;
    std::int64_t most = 1 << 22;
    for (std::size_t i = 0; i < m_node->inputs.size(); ++i) {
        in.push_back(has(i) ? c10::IValue(m_known.at(m_node->inputs[i]).constant) : c10::IValue());
        if (has(i))
            most = std::max(most, 2 * m_known.at(m_node->inputs[i]).constant.numel());
    }
    OnnxValues out;
    const AllocationLimit limit(32 * std::uint64_t(most));   // what is larger is not kept
    try {
        out = kernel({*m_node, m_opset, m_file}, in);
    } catch (const std::exception &) {
        return false;   // said again, with its place, when the network is run
    }
    for (const c10::IValue &value : out)
        if (!value.isTensor() || value.toTensor().numel() > most)
            return false;
    // A weight in another element type is still that weight.
    const bool renamed = m_node->op == "Cast" && isWeightInput();
    const std::string name = renamed ? m_known.at(m_node->inputs[0]).parameterName : std::string();
    for (std::size_t i = 0; i < out.size() && i < m_node->outputs.size(); ++i)
        if (!m_node->outputs[i].empty())
            bindConstant(out[i].toTensor().contiguous(), name, i);
    return true;
}

Status OnnxReader::emitKernel(OnnxKernel kernel)
{
    Node made;
    made.op = "onnx::" + (m_node->domain.empty() ? m_node->op : m_node->domain + "." + m_node->op);
    made.name = !m_node->name.empty() ? m_node->name : m_node->outputs.empty() ? m_node->op : m_node->outputs[0];
    // Scales and biases beside codes belong to them and are not trained.
    static const std::set<std::string> kOverCodes{"ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "QGemm", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention",
                                                  "QuantizeLinear", "DequantizeLinear"};
    const bool overCodes = kOverCodes.contains(m_node->op) || m_node->op.starts_with("QLinear");
    if (m_node->op == "QGemm" && integer("transB", 0) != 0)
        made.op += ".transB";
    for (std::size_t i = 0; i < m_node->inputs.size(); ++i) {
        BW_ASSIGN(auto argument, input(i, !overCodes));
        made.arguments.push_back(std::move(argument));
    }
    made.wants.assign(made.arguments.size(), Want::None);
    const std::size_t inputs = made.arguments.size(), outputs = m_node->outputs.size();
    made.kernel = [kernel, call = std::make_shared<const OnnxCall>(*m_node, m_opset, m_file), inputs, outputs](torch::jit::Stack &stack) {
        const OnnxValues in(stack.end() - std::ptrdiff_t(inputs), stack.end());
        stack.resize(stack.size() - inputs);
        OnnxValues out = kernel(*call, in);
        out.resize(outputs);
        for (auto &value : out)
            stack.push_back(std::move(value));
    };
    for (const std::string &output : m_node->outputs)
        made.outputs.push_back(m_graph.addValue(output.empty() ? made.name : output));
    const auto values = made.outputs;
    m_graph.nodes.push_back(std::move(made));
    for (std::size_t i = 0; i < values.size(); ++i)
        bind(Argument::of(values[i]), -1, i);
    return {};
}

Status OnnxReader::read(const onnx::Node &node)
{
    m_node = &node;
    // Types narrower than a byte are known to the file alone, not to our tensors.
    const bool quantizes = node.op == "QuantizeLinear" && !node.attribute("output_dtype"), likens = node.op == "CastLike";
    const auto type = quantizes || likens ? elementType(quantizes ? 2 : 1) : Result<onnx::DataType>(onnx::DataType::Undefined);
    if (node.domain.empty() && type && onnx::storageBits(*type) > 0 && onnx::storageBits(*type) < 8) {
        onnx::Node typed = node;
        typed.op = likens ? "Cast" : node.op;
        typed.attributes.push_back(onnx::Attribute::of(likens ? "to" : "output_dtype", std::int64_t(*type)));
        auto status = readTyped(typed);
        m_node = &node;
        return status;
    }
    return readTyped(node);
}

Status OnnxReader::readTyped(const onnx::Node &node)
{
    m_node = &node;
    auto status = readNode(node);
    if (status)
        noteTypes();
    return status;
}

Status OnnxReader::readNode(const onnx::Node &node)
{
    const OnnxReading reading = findOnnxReading(node.domain.empty() ? node.op : node.domain + "::" + node.op);
    const OnnxKernel kernel = findOnnxKernel(node.domain, node.op);
    if (!reading && !kernel)
        return fail(ErrorKind::Unsupported, "");
    for (const char *attribute : {"to", "dtype", "output_datatype"}) {
        const onnx::Attribute *found = node.attribute(attribute);
        if (found && found->type == onnx::Attribute::Type::Int && scalarTypeOf(onnx::DataType(found->i)) == at::ScalarType::Undefined)
            return fail(ErrorKind::Unsupported, "element type " + std::to_string(found->i) + " is not known here");
    }
    static const std::set<std::string> kDrawn{"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"};
    // These keep a weight a weight: its layer is then found, with the initializer's name.
    static const std::set<std::string> kKeeping{"Identity", "Transpose", "Reshape", "Unsqueeze", "DequantizeLinear", "Dropout"};
    if (kernel && allConstant() && !kDrawn.contains(node.op) && !(kKeeping.contains(node.op) && isWeightInput())) {
        BW_ASSIGN(const bool done, fold(kernel));
        if (done)
            return {};
    }
    if (!reading)
        return emitKernel(kernel);
    const std::size_t before = m_graph.nodes.size();
    auto status = reading(*this);
    if (!status && status.error().kind != ErrorKind::Parse && kernel) {
        m_graph.nodes.erase(m_graph.nodes.begin() + std::ptrdiff_t(before), m_graph.nodes.end());
        return emitKernel(kernel);
    }
    return status;
}

Result<BodyParts> OnnxReader::body(const char *attribute, const std::vector<ValueId> &inputs)
{
    const onnx::Node *outer = m_node;
    const onnx::Attribute *found = outer->attribute(attribute);
    if (!found || !found->g)
        return fail(ErrorKind::Parse, "its sub-graph " + std::string(attribute) + " is missing");
    const onnx::Graph &inner = *found->g;
    if (inner.inputs.size() != inputs.size())
        return fail(ErrorKind::Parse, "its sub-graph takes " + std::to_string(inner.inputs.size()) + " inputs, not " + std::to_string(inputs.size()));
    auto saved = m_known;
    m_path.insert(m_path.end(), {outer->outputs.empty() ? std::string() : outer->outputs[0], attribute});
    const std::size_t before = m_graph.nodes.size();
    const auto readAll = [&]() -> Result<BodyParts> {
        for (const onnx::Tensor &tensor : inner.initializers) {
            BW_ASSIGN(at::Tensor made, tensorOf(tensor, m_file));
            declareConstant(tensor, std::move(made));
        }
        for (std::size_t i = 0; i < inputs.size(); ++i)
            declareInput(inner.inputs[i].name, inputs[i], inner.inputs[i].hasShape ? std::int64_t(inner.inputs[i].shape.size()) : -1, inner.inputs[i].type);
        for (const onnx::ValueInfo &value : inner.values)
            declareValue(value);
        for (const onnx::Node &node : inner.nodes) {
            if (auto status = read(node); !status) {
                const std::string op = node.domain.empty() ? node.op : node.domain + "::" + node.op;
                return fail(status.error().kind, "in its " + std::string(attribute) + ", " + op +
                                                     (status.error().message.empty() ? " is not known here" : ", " + status.error().message));
            }
        }
        BodyParts parts;
        parts.inputs = inputs;
        for (const onnx::ValueInfo &value : inner.outputs) {
            BW_ASSIGN(auto argument, argumentOf(value.name, false));
            parts.outputs.push_back(std::move(argument));
        }
        return parts;
    };
    auto parts = readAll();
    if (parts)
        parts->nodes.assign(std::make_move_iterator(m_graph.nodes.begin() + std::ptrdiff_t(before)), std::make_move_iterator(m_graph.nodes.end()));
    m_graph.nodes.erase(m_graph.nodes.begin() + std::ptrdiff_t(before), m_graph.nodes.end());
    // Names end with the body; a constant of outside that became a parameter stays one.
    for (auto &[name, known] : saved) {
        const auto made = m_known.find(name);
        if (!known.argument && made != m_known.end() && made->second.argument && made->second.constant.is_same(known.constant))
            known.argument = made->second.argument;
    }
    m_known = std::move(saved);
    m_path.resize(m_path.size() - 2);
    m_node = outer;
    return parts;
}

void OnnxReader::placeObstacle(const onnx::Node &node, const std::string &why)
{
    m_node = &node;
    Node made;
    made.op = "onnx::" + (node.domain.empty() ? node.op : node.domain + "." + node.op);
    made.name = !node.name.empty() ? node.name : node.outputs.empty() ? node.op : node.outputs[0];
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
        if (auto argument = input(i, true); argument)
            made.arguments.push_back(std::move(*argument));
    made.wants.assign(made.arguments.size(), Want::None);
    made.kernel = [why](torch::jit::Stack &) { throw std::runtime_error(why); };
    for (const std::string &output : node.outputs)
        made.outputs.push_back(m_graph.addValue(output.empty() ? made.name : output));
    const auto values = made.outputs;
    m_graph.nodes.push_back(std::move(made));
    for (std::size_t i = 0; i < values.size(); ++i)
        bind(Argument::of(values[i]), -1, i);
}

OnnxReading findOnnxReading(const std::string &op)
{
    for (const auto rows : {onnxLayerReadings(), onnxElementwiseReadings(), onnxPoolingReadings(), onnxShapeReadings(),
                            onnxQuantizeReadings(), onnxControlReadings()}) {
        for (const OnnxReadingRow &row : rows) {
            if (op == row.op)
                return row.read;
        }
    }
    return nullptr;
}

} // namespace bitwright
