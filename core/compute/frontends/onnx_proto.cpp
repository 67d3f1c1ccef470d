// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx_proto.h"

#include "tensor/mapped_file.h"

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>

namespace bitwright::onnx {

namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::pbf_writer;

// Our own copy of the numbers in onnx.proto.
namespace field {
namespace model { enum { IrVersion = 1, ProducerName, ProducerVersion, Domain, ModelVersion, DocString, Graph, OpsetImport,
                         Metadata = 14, Functions = 25 }; }
namespace graph { enum { Node = 1, Name = 2, Initializer = 5, Input = 11, Output = 12, Value = 13, Sparse = 15 }; }
namespace node { enum { Input = 1, Output, Name, OpType, Attribute, Domain = 7, Overload = 8 }; }
namespace function { enum { Name = 1, Input = 4, Output = 5, Node = 7, Domain = 10, Default = 11, Overload = 13 }; }
namespace attribute { enum { Name = 1, F, I, S, T, G, Floats, Ints, Strings, Type = 20, Reference = 21 }; }
namespace tensor { enum { Dims = 1, DataType = 2, FloatData = 4, Int32Data = 5, Int64Data = 7, Name = 8, RawData = 9,
                          DoubleData = 10, Uint64Data = 11, ExternalData = 13, DataLocation = 14 }; }
}

constexpr int kMaxFileDimensions = 64;
constexpr int kMaxDepth = 32;   // of sub-graphs; exporters nest a handful

/// An empty message takes two bytes in the file and hundreds here: the number of parts is bounded, so that no file takes
/// many times its size. The largest networks have some hundred thousand.
constexpr std::size_t kMostParts = 4'000'000;
thread_local std::size_t t_parts = 0;

void countPart()
{
    if (++t_parts > kMostParts)
        throw std::runtime_error("it has more than " + std::to_string(kMostParts) + " nodes, tensors and names");
}

bool isLength(const pbf_reader &reader) { return reader.wire_type() == pbf_wire_type::length_delimited; }
bool isVarint(const pbf_reader &reader) { return reader.wire_type() == pbf_wire_type::varint; }

std::string_view view(pbf_reader &reader)
{
    const auto data = reader.get_view();
    return {data.data(), data.size()};
}

// Repeated numbers come packed or one by one, whatever the declaration says.
void readIntegers(pbf_reader &reader, std::vector<std::int64_t> &out)
{
    if (isLength(reader)) {
        for (auto value : reader.get_packed_int64())
            out.push_back(value);
    } else if (isVarint(reader)) {
        out.push_back(reader.get_int64());
    } else {
        reader.skip();
    }
}

template <typename T>
void readFixed(pbf_reader &reader, std::vector<T> &out)
{
    constexpr auto kWire = sizeof(T) == 4 ? pbf_wire_type::fixed32 : pbf_wire_type::fixed64;
    if (isLength(reader)) {
        const auto data = view(reader);
        const std::size_t count = data.size() / sizeof(T), at = out.size();
        out.resize(at + count);
        if (count > 0)
            std::memcpy(out.data() + at, data.data(), count * sizeof(T));
    } else if (reader.wire_type() == kWire) {
        if constexpr (sizeof(T) == 4)
            out.push_back(reader.get_float());
        else
            out.push_back(reader.get_double());
    } else {
        reader.skip();
    }
}

void readText(pbf_reader &reader, std::string &out)
{
    if (isLength(reader))
        out = std::string(view(reader));
    else
        reader.skip();
}

void readInt(pbf_reader &reader, std::int64_t &out)
{
    if (isVarint(reader))
        out = reader.get_int64();
    else
        reader.skip();
}

DataType dataType(std::int64_t number) { return DataType(std::int32_t(std::clamp<std::int64_t>(number, 0, 1000))); }

// A StringStringEntryProto.
std::pair<std::string, std::string> readEntry(pbf_reader reader)
{
    countPart();
    std::pair<std::string, std::string> entry;
    while (reader.next()) {
        if (reader.tag() == 1)
            readText(reader, entry.first);
        else if (reader.tag() == 2)
            readText(reader, entry.second);
        else
            reader.skip();
    }
    return entry;
}

Tensor readTensor(pbf_reader reader)
{
    countPart();
    Tensor tensor;
    std::int64_t number = 0;
    while (reader.next()) {
        switch (reader.tag()) {
        case field::tensor::Dims: readIntegers(reader, tensor.dims); break;
        case field::tensor::DataType: readInt(reader, number); tensor.type = dataType(number); break;
        case field::tensor::FloatData: readFixed(reader, tensor.floats); break;
        case field::tensor::DoubleData: readFixed(reader, tensor.doubles); break;
        case field::tensor::Int32Data:
        case field::tensor::Int64Data:
        case field::tensor::Uint64Data: readIntegers(reader, tensor.integers); break;
        case field::tensor::Name: readText(reader, tensor.name); break;
        case field::tensor::RawData:
            if (isLength(reader)) {
                tensor.raw = view(reader);
                tensor.hasRaw = true;
            } else {
                reader.skip();
            }
            break;
        case field::tensor::ExternalData:
            tensor.external = true;
            if (isLength(reader)) {
                const auto [key, value] = readEntry(reader.get_message());
                tensor.externalEntries[key] = value;
            } else {
                reader.skip();
            }
            break;
        case field::tensor::DataLocation: readInt(reader, number); tensor.external |= number == 1; break;
        default: reader.skip();
        }
    }
    return tensor;
}

Graph readGraph(pbf_reader reader, int depth);

Attribute readAttribute(pbf_reader reader, int depth)
{
    countPart();
    Attribute attribute;
    std::int64_t type = 0;
    Attribute::Type seen = Attribute::Type::Undefined;
    while (reader.next()) {
        switch (reader.tag()) {
        case field::attribute::Name: readText(reader, attribute.name); break;
        case field::attribute::F:
            if (reader.wire_type() == pbf_wire_type::fixed32)
                attribute.f = reader.get_float();
            else
                reader.skip();
            seen = Attribute::Type::Float;
            break;
        case field::attribute::I: readInt(reader, attribute.i); seen = Attribute::Type::Int; break;
        case field::attribute::S: readText(reader, attribute.s); seen = Attribute::Type::String; break;
        case field::attribute::T:
            if (isLength(reader))
                attribute.t = std::make_shared<Tensor>(readTensor(reader.get_message()));
            else
                reader.skip();
            seen = Attribute::Type::Tensor;
            break;
        case field::attribute::G:
            if (isLength(reader))
                attribute.g = std::make_shared<Graph>(readGraph(reader.get_message(), depth + 1));
            else
                reader.skip();
            seen = Attribute::Type::Graph;
            break;
        case field::attribute::Reference: readText(reader, attribute.reference); break;
        case field::attribute::Floats: readFixed(reader, attribute.floats); seen = Attribute::Type::Floats; break;
        case field::attribute::Ints: readIntegers(reader, attribute.ints); seen = Attribute::Type::Ints; break;
        case field::attribute::Strings:
            countPart();
            attribute.strings.emplace_back();
            readText(reader, attribute.strings.back());
            seen = Attribute::Type::Strings;
            break;
        case field::attribute::Type: readInt(reader, type); break;
        default: reader.skip();
        }
    }
    // Old files leave the type out.
    attribute.type = type > 0 && type <= 8 ? Attribute::Type(type) : seen;
    return attribute;
}

Node readNode(pbf_reader reader, int depth)
{
    countPart();
    Node node;
    while (reader.next()) {
        switch (reader.tag()) {
        case field::node::Input: countPart(); node.inputs.emplace_back(); readText(reader, node.inputs.back()); break;
        case field::node::Output: countPart(); node.outputs.emplace_back(); readText(reader, node.outputs.back()); break;
        case field::node::Name: readText(reader, node.name); break;
        case field::node::OpType: readText(reader, node.op); break;
        case field::node::Domain: readText(reader, node.domain); break;
        case field::node::Overload: readText(reader, node.overload); break;
        case field::node::Attribute:
            if (isLength(reader))
                node.attributes.push_back(readAttribute(reader.get_message(), depth));
            else
                reader.skip();
            break;
        default: reader.skip();
        }
    }
    if (node.domain == "ai.onnx")
        node.domain.clear();
    return node;
}

Dimension readDimension(pbf_reader reader)
{
    countPart();
    Dimension dimension;
    while (reader.next()) {
        if (reader.tag() == 1)
            readInt(reader, dimension.value);
        else if (reader.tag() == 2)
            readText(reader, dimension.name);
        else
            reader.skip();
    }
    return dimension;
}

void readTensorType(pbf_reader reader, ValueInfo &value)
{
    std::int64_t number = 0;
    while (reader.next()) {
        if (reader.tag() == 1) {
            readInt(reader, number);
            value.type = dataType(number);
        } else if (reader.tag() == 2 && isLength(reader)) {
            value.hasShape = true;
            pbf_reader shape = reader.get_message();
            while (shape.next()) {
                if (shape.tag() == 1 && isLength(shape))
                    value.shape.push_back(readDimension(shape.get_message()));
                else
                    shape.skip();
            }
        } else {
            reader.skip();
        }
    }
}

// A TypeProto: a tensor (1), a sequence (4) or an optional (9) of such, or something else.
void readType(pbf_reader type, ValueInfo &value, int depth)
{
    while (type.next()) {
        const bool nested = type.tag() == 4 || type.tag() == 9;
        if (!isLength(type) || (type.tag() != 1 && !nested) || depth > 3) {
            type.skip();
        } else if (type.tag() == 1) {
            readTensorType(type.get_message(), value);
        } else {
            (type.tag() == 4 ? value.sequence : value.optional) = true;
            pbf_reader element = type.get_message();
            while (element.next()) {
                if (element.tag() == 1 && isLength(element))
                    readType(element.get_message(), value, depth + 1);
                else
                    element.skip();
            }
        }
    }
}

ValueInfo readValueInfo(pbf_reader reader)
{
    countPart();
    ValueInfo value;
    while (reader.next()) {
        if (reader.tag() == 1)
            readText(reader, value.name);
        else if (reader.tag() == 2 && isLength(reader))
            readType(reader.get_message(), value, 0);
        else
            reader.skip();
    }
    if (value.sequence) {
        value.hasShape = false;   // that of its elements
        value.shape.clear();
    }
    return value;
}

SparseTensor readSparse(pbf_reader reader)
{
    countPart();
    SparseTensor sparse;
    while (reader.next()) {
        if (reader.tag() == 1 && isLength(reader))
            sparse.values = readTensor(reader.get_message());
        else if (reader.tag() == 2 && isLength(reader))
            sparse.indices = readTensor(reader.get_message());
        else if (reader.tag() == 3)
            readIntegers(reader, sparse.dims);
        else
            reader.skip();
    }
    return sparse;
}

Graph readGraph(pbf_reader reader, int depth)
{
    if (depth > kMaxDepth)
        throw std::runtime_error("sub-graphs lie deeper than " + std::to_string(kMaxDepth));
    Graph graph;
    while (reader.next()) {
        if (reader.tag() == field::graph::Name) {
            readText(reader, graph.name);
            continue;
        }
        if (!isLength(reader)) {
            reader.skip();
            continue;
        }
        switch (reader.tag()) {
        case field::graph::Node: graph.nodes.push_back(readNode(reader.get_message(), depth)); break;
        case field::graph::Initializer: graph.initializers.push_back(readTensor(reader.get_message())); break;
        case field::graph::Input: graph.inputs.push_back(readValueInfo(reader.get_message())); break;
        case field::graph::Output: graph.outputs.push_back(readValueInfo(reader.get_message())); break;
        case field::graph::Value: graph.values.push_back(readValueInfo(reader.get_message())); break;
        case field::graph::Sparse: graph.sparse.push_back(readSparse(reader.get_message())); break;
        default: reader.skip();
        }
    }
    return graph;
}

// Domain and version of an opset import, or key and value of a metadata entry.
void readOpset(pbf_reader reader, Model &model)
{
    std::string domain;
    std::int64_t version = 0;
    while (reader.next()) {
        if (reader.tag() == 1)
            readText(reader, domain);
        else if (reader.tag() == 2)
            readInt(reader, version);
        else
            reader.skip();
    }
    model.opsets[domain == "ai.onnx" ? "" : domain] = version;
}

Function readFunction(pbf_reader reader)
{
    countPart();
    Function function;
    while (reader.next()) {
        switch (reader.tag()) {
        case field::function::Name: readText(reader, function.name); break;
        case field::function::Domain: readText(reader, function.domain); break;
        case field::function::Overload: readText(reader, function.overload); break;
        case field::function::Input: countPart(); function.inputs.emplace_back(); readText(reader, function.inputs.back()); break;
        case field::function::Output: countPart(); function.outputs.emplace_back(); readText(reader, function.outputs.back()); break;
        case field::function::Node:
        case field::function::Default:
            if (!isLength(reader))
                reader.skip();
            else if (reader.tag() == field::function::Node)
                function.nodes.push_back(readNode(reader.get_message(), 1));
            else
                function.defaults.push_back(readAttribute(reader.get_message(), 1));
            break;
        default: reader.skip();
        }
    }
    return function;
}

Model readModelMessage(pbf_reader reader)
{
    Model model;
    while (reader.next()) {
        switch (reader.tag()) {
        case field::model::IrVersion: readInt(reader, model.irVersion); break;
        case field::model::ProducerName: readText(reader, model.producerName); break;
        case field::model::ProducerVersion: readText(reader, model.producerVersion); break;
        case field::model::Domain: readText(reader, model.domain); break;
        case field::model::ModelVersion: readInt(reader, model.modelVersion); break;
        case field::model::DocString: readText(reader, model.docString); break;
        case field::model::Functions:
        case field::model::Graph:
        case field::model::OpsetImport:
        case field::model::Metadata:
            if (!isLength(reader)) {
                reader.skip();
            } else if (reader.tag() == field::model::Functions) {
                model.functions.push_back(readFunction(reader.get_message()));
            } else if (reader.tag() == field::model::Graph) {
                model.graph = readGraph(reader.get_message(), 0);
                model.hasGraph = true;
            } else if (reader.tag() == field::model::OpsetImport) {
                readOpset(reader.get_message(), model);
            } else {
                const auto [key, value] = readEntry(reader.get_message());
                model.metadata[key] = value;
            }
            break;
        default: reader.skip();
        }
    }
    return model;
}

// ---- writing ----

void writeGraph(pbf_writer out, const Graph &graph);

void writeTensor(pbf_writer out, const Tensor &tensor)
{
    out.add_packed_int64(field::tensor::Dims, tensor.dims.begin(), tensor.dims.end());
    out.add_int32(field::tensor::DataType, std::int32_t(tensor.type));
    if (!tensor.name.empty())
        out.add_string(field::tensor::Name, tensor.name);
    if (tensor.external) {
        for (const auto &[key, value] : tensor.externalEntries) {
            pbf_writer entry(out, field::tensor::ExternalData);
            entry.add_string(1, key);
            entry.add_string(2, value);
        }
        out.add_int32(field::tensor::DataLocation, 1);
        return;
    }
    if (tensor.hasRaw || !tensor.owned.empty()) {
        const auto bytes = tensor.bytes();
        out.add_bytes(field::tensor::RawData, bytes.data(), bytes.size());
        return;
    }
    const bool wide = tensor.type == DataType::Int64;
    const bool wideUnsigned = tensor.type == DataType::UInt64 || tensor.type == DataType::UInt32;
    const int integers = wide ? field::tensor::Int64Data : wideUnsigned ? field::tensor::Uint64Data : field::tensor::Int32Data;
    out.add_packed_float(field::tensor::FloatData, tensor.floats.begin(), tensor.floats.end());
    out.add_packed_int64(protozero::pbf_tag_type(integers), tensor.integers.begin(), tensor.integers.end());
    out.add_packed_double(field::tensor::DoubleData, tensor.doubles.begin(), tensor.doubles.end());
}

void writeAttribute(pbf_writer out, const Attribute &attribute)
{
    out.add_string(field::attribute::Name, attribute.name);
    switch (attribute.type) {
    case Attribute::Type::Float: out.add_float(field::attribute::F, attribute.f); break;
    case Attribute::Type::Int: out.add_int64(field::attribute::I, attribute.i); break;
    case Attribute::Type::String: out.add_bytes(field::attribute::S, attribute.s); break;
    case Attribute::Type::Tensor: writeTensor(pbf_writer(out, field::attribute::T), *attribute.t); break;
    case Attribute::Type::Floats:
        for (float value : attribute.floats)
            out.add_float(field::attribute::Floats, value);
        break;
    case Attribute::Type::Ints:
        for (std::int64_t value : attribute.ints)
            out.add_int64(field::attribute::Ints, value);
        break;
    case Attribute::Type::Strings:
        for (const auto &value : attribute.strings)
            out.add_bytes(field::attribute::Strings, value);
        break;
    case Attribute::Type::Graph:
        if (attribute.g)
            writeGraph(pbf_writer(out, field::attribute::G), *attribute.g);
        break;
    case Attribute::Type::Undefined: break;
    }
    out.add_int32(field::attribute::Type, std::int32_t(attribute.type));
}

void writeNode(pbf_writer out, const Node &node)
{
    for (const auto &name : node.inputs)
        out.add_string(field::node::Input, name);
    for (const auto &name : node.outputs)
        out.add_string(field::node::Output, name);
    if (!node.name.empty())
        out.add_string(field::node::Name, node.name);
    out.add_string(field::node::OpType, node.op);
    for (const auto &attribute : node.attributes)
        writeAttribute(pbf_writer(out, field::node::Attribute), attribute);
    if (!node.domain.empty())
        out.add_string(field::node::Domain, node.domain);
}

void writeValueInfo(pbf_writer out, const ValueInfo &value)
{
    out.add_string(1, value.name);
    pbf_writer type(out, 2);
    pbf_writer tensor(type, 1);
    tensor.add_int32(1, std::int32_t(value.type));
    if (!value.hasShape)
        return;
    // protozero drops an empty nested message, but a scalar's shape and a free dimension are just that.
    std::string shape;
    pbf_writer list(shape);
    for (const auto &dimension : value.shape) {
        std::string item;
        pbf_writer entry(item);
        if (!dimension.name.empty())
            entry.add_string(2, dimension.name);
        else if (dimension.value >= 0)
            entry.add_int64(1, dimension.value);
        list.add_message(1, item);
    }
    tensor.add_message(2, shape);
}

void writeGraph(pbf_writer out, const Graph &graph)
{
    for (const auto &node : graph.nodes)
        writeNode(pbf_writer(out, field::graph::Node), node);
    out.add_string(field::graph::Name, graph.name);
    for (const auto &tensor : graph.initializers)
        writeTensor(pbf_writer(out, field::graph::Initializer), tensor);
    for (const auto &value : graph.inputs)
        writeValueInfo(pbf_writer(out, field::graph::Input), value);
    for (const auto &value : graph.outputs)
        writeValueInfo(pbf_writer(out, field::graph::Output), value);
    for (const auto &value : graph.values)
        writeValueInfo(pbf_writer(out, field::graph::Value), value);
}

} // namespace

const char *dataTypeName(DataType type)
{
    switch (type) {
    case DataType::Float: return "float32";
    case DataType::UInt8: return "uint8";
    case DataType::Int8: return "int8";
    case DataType::UInt16: return "uint16";
    case DataType::Int16: return "int16";
    case DataType::Int32: return "int32";
    case DataType::Int64: return "int64";
    case DataType::String: return "string";
    case DataType::Bool: return "bool";
    case DataType::Float16: return "float16";
    case DataType::Double: return "float64";
    case DataType::UInt32: return "uint32";
    case DataType::UInt64: return "uint64";
    case DataType::BFloat16: return "bfloat16";
    case DataType::UInt4: return "uint4";
    case DataType::Int4: return "int4";
    case DataType::UInt2: return "uint2";
    case DataType::Int2: return "int2";
    case DataType::Undefined: break;
    }
    return "unknown";
}

int storageBits(DataType type)
{
    switch (type) {
    case DataType::UInt2:
    case DataType::Int2: return 2;
    case DataType::UInt4:
    case DataType::Int4: return 4;
    case DataType::UInt8:
    case DataType::Int8:
    case DataType::Bool: return 8;
    case DataType::UInt16:
    case DataType::Int16:
    case DataType::Float16:
    case DataType::BFloat16: return 16;
    case DataType::Float:
    case DataType::Int32:
    case DataType::UInt32: return 32;
    case DataType::Int64:
    case DataType::UInt64:
    case DataType::Double: return 64;
    case DataType::String:
    case DataType::Undefined: break;
    }
    return 0;
}

std::pair<std::int64_t, std::int64_t> integerRange(DataType type)
{
    const int bits = storageBits(type);
    switch (type) {
    case DataType::UInt2:
    case DataType::UInt4:
    case DataType::UInt8:
    case DataType::UInt16:
    case DataType::UInt32: return {0, (std::int64_t(1) << bits) - 1};
    case DataType::Int2:
    case DataType::Int4:
    case DataType::Int8:
    case DataType::Int16:
    case DataType::Int32: return {-(std::int64_t(1) << (bits - 1)), (std::int64_t(1) << (bits - 1)) - 1};
    default: return {0, 0};
    }
}

Result<std::int64_t> Tensor::count() const
{
    std::int64_t total = 1;
    if (dims.size() > std::size_t(kMaxFileDimensions))
        return fail(ErrorKind::Parse, "tensor " + name + ", it has " + std::to_string(dims.size()) + " dimensions");
    for (std::int64_t size : dims) {
        if (size < 0 || __builtin_mul_overflow(total, size, &total))
            return fail(ErrorKind::Parse, "tensor " + name + ", its shape is impossible");
    }
    return total;
}

Attribute Attribute::of(std::string name, float value)
{
    Attribute attribute;
    attribute.name = std::move(name);
    attribute.type = Type::Float;
    attribute.f = value;
    return attribute;
}

Attribute Attribute::of(std::string name, std::int64_t value)
{
    Attribute attribute;
    attribute.name = std::move(name);
    attribute.type = Type::Int;
    attribute.i = value;
    return attribute;
}

Attribute Attribute::of(std::string name, std::string value)
{
    Attribute attribute;
    attribute.name = std::move(name);
    attribute.type = Type::String;
    attribute.s = std::move(value);
    return attribute;
}

Attribute Attribute::of(std::string name, std::vector<std::int64_t> value)
{
    Attribute attribute;
    attribute.name = std::move(name);
    attribute.type = Type::Ints;
    attribute.ints = std::move(value);
    return attribute;
}

const Attribute *Node::attribute(std::string_view wanted) const
{
    for (const auto &candidate : attributes) {
        if (candidate.name == wanted)
            return &candidate;
    }
    return nullptr;
}

std::string serialize(const Model &model)
{
    std::string bytes;
    pbf_writer out(bytes);
    out.add_int64(field::model::IrVersion, model.irVersion);
    out.add_string(field::model::ProducerName, model.producerName);
    out.add_string(field::model::ProducerVersion, model.producerVersion);
    if (!model.domain.empty())
        out.add_string(field::model::Domain, model.domain);
    if (!model.docString.empty())
        out.add_string(field::model::DocString, model.docString);
    writeGraph(pbf_writer(out, field::model::Graph), model.graph);
    for (const auto &[domain, version] : model.opsets) {
        pbf_writer item(out, field::model::OpsetImport);
        item.add_string(1, domain);
        item.add_int64(2, version);
    }
    for (const auto &[key, value] : model.metadata) {
        pbf_writer item(out, field::model::Metadata);
        item.add_string(1, key);
        item.add_string(2, value);
    }
    return bytes;
}

std::string serialize(const Node &node)
{
    std::string bytes;
    writeNode(pbf_writer(bytes), node);
    return bytes;
}

std::string serialize(const Tensor &tensor)
{
    std::string bytes;
    writeTensor(pbf_writer(bytes), tensor);
    return bytes;
}

Result<Model> parse(std::string_view bytes, std::shared_ptr<const void> owner, const std::string &path)
{
    t_parts = 0;
    try {
        Model model = readModelMessage(pbf_reader(bytes.data(), bytes.size()));
        if (!model.hasGraph)
            return fail(ErrorKind::Parse, path + ", it is not an ONNX model: it holds no graph; export it again");
        model.file = std::move(owner);
        return model;
    } catch (const std::exception &e) {
        return fail(ErrorKind::Parse, path + ", the ONNX file is damaged or cut off; export or download it again", e.what());
    }
}

Result<StoredValue> parseValue(std::string_view bytes, const ValueInfo &info)
{
    StoredValue value;
    const auto sequence = [&](pbf_reader reader) {
        while (reader.next()) {
            if (reader.tag() == 3 && isLength(reader))
                value.tensors.push_back(readTensor(reader.get_message()));
            else
                reader.skip();
        }
    };
    t_parts = 0;
    try {
        pbf_reader reader(bytes.data(), bytes.size());
        if (info.optional) {
            value.there = false;
            while (reader.next()) {
                if (reader.tag() == 3 && isLength(reader)) {
                    value.tensors.push_back(readTensor(reader.get_message()));
                    value.there = true;
                } else if (reader.tag() == 5 && isLength(reader)) {
                    sequence(reader.get_message());
                    value.there = true;
                } else {
                    reader.skip();
                }
            }
        } else if (info.sequence) {
            sequence(reader);
        } else {
            value.tensors.push_back(readTensor(reader));
        }
        return value;
    } catch (const std::exception &e) {
        return fail(ErrorKind::Parse, "a stored value is damaged or cut off; make it again", e.what());
    }
}

namespace {

/// The files that hold a model's tensors, each mapped once.
class ExternalData {
public:
    explicit ExternalData(const std::string &model) : m_folder(std::filesystem::path(model).parent_path()) {}

    Status resolve(Tensor &tensor);
    Status resolve(Graph &graph);
    [[nodiscard]] std::vector<std::shared_ptr<const MappedFile>> files() const
    {
        std::vector<std::shared_ptr<const MappedFile>> all;
        for (const auto &[location, file] : m_files)
            all.push_back(file);
        return all;
    }

private:
    std::filesystem::path m_folder;
    std::map<std::string, std::shared_ptr<const MappedFile>> m_files;
};

Status ExternalData::resolve(Tensor &tensor)
{
    if (!tensor.external)
        return {};
    const auto wrong = [&](const std::string &why) { return fail(ErrorKind::Parse, "tensor " + tensor.name + ", its data lie in another file, " + why); };
    const std::string location = tensor.externalEntries["location"];
    const std::filesystem::path relative(location);
    if (location.empty() || relative.is_absolute() || location.find('\0') != std::string::npos
        || std::ranges::any_of(relative, [](const auto &part) { return part == ".."; }))
        return wrong("and its place \"" + location + "\" is outside the model's folder; move the file beside the model");
    const auto number = [&](const char *key, std::uint64_t fallback) -> Result<std::uint64_t> {
        const auto found = tensor.externalEntries.find(key);
        if (found == tensor.externalEntries.end() || found->second.empty())
            return fallback;
        std::uint64_t value = 0;
        const char *end = found->second.data() + found->second.size();
        if (const auto parsed = std::from_chars(found->second.data(), end, value); parsed.ec != std::errc() || parsed.ptr != end)
            return wrong("and its " + std::string(key) + " is no number");
        return value;
    };
    auto &file = m_files[location];
    if (!file) {
        BW_ASSIGN(file, MappedFile::open((m_folder / relative).string()));
    }
    BW_ASSIGN(const std::uint64_t offset, number("offset", 0));
    const std::string_view all = file->bytes();
    if (offset > all.size())
        return wrong(location + ", which ends before it; copy the file again");
    BW_ASSIGN(const std::uint64_t length, number("length", all.size() - offset));
    if (length > all.size() - offset)
        return wrong(location + ", which ends before it; copy the file again");
    tensor.raw = all.substr(std::size_t(offset), std::size_t(length));
    tensor.hasRaw = true;
    tensor.external = false;
    return {};
}

Status ExternalData::resolve(Graph &graph)
{
    for (Tensor &tensor : graph.initializers)
        BW_CHECK(resolve(tensor));
    for (Node &node : graph.nodes) {
        for (Attribute &attribute : node.attributes) {
            if (attribute.t)
                BW_CHECK(resolve(*attribute.t));
            if (attribute.g)
                BW_CHECK(resolve(*attribute.g));
        }
    }
    return {};
}

} // namespace

Result<Model> readModel(const std::string &path)
{
    BW_ASSIGN(auto mapping, MappedFile::open(path));
    BW_ASSIGN(Model model, parse(mapping->bytes(), mapping, path));
    model.bytes = mapping->bytes();
    ExternalData external(path);
    if (auto status = external.resolve(model.graph); !status)
        return fail(status.error().kind, path + ", " + status.error().message, status.error().context);
    auto files = std::make_shared<std::vector<std::shared_ptr<const MappedFile>>>(external.files());
    files->push_back(std::move(mapping));
    model.file = std::move(files);
    return model;
}

bool looksLikeModel(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    std::array<char, 4096> head{};
    file.read(head.data(), head.size());
    const std::size_t size = std::size_t(file.gcount());
    // ir_version (field 1, varint) comes first in every writer known; its value is small.
    if (size < 4 || head[0] != 0x08 || head[1] <= 0 || head[1] > 64)
        return false;
    switch (static_cast<unsigned char>(head[2])) {
    case 0x12: case 0x1a: case 0x22: case 0x28: case 0x32: case 0x3a: case 0x42: case 0x72: return true;
    default: return false;
    }
}

std::string packIntegers(const std::vector<std::int64_t> &values, DataType type)
{
    const int bits = storageBits(type);
    std::string bytes;
    if (bits < 8) {
        const std::size_t perByte = std::size_t(8 / bits);
        bytes.assign((values.size() + perByte - 1) / perByte, '\0');
        const unsigned mask = (1u << bits) - 1;
        for (std::size_t i = 0; i < values.size(); ++i) {
            const unsigned shift = unsigned(i % perByte) * unsigned(bits);
            bytes[i / perByte] = char(std::uint8_t(bytes[i / perByte]) | ((unsigned(values[i]) & mask) << shift));
        }
        return bytes;
    }
    const std::size_t width = std::size_t(bits / 8);
    bytes.resize(values.size() * width);
    for (std::size_t i = 0; i < values.size(); ++i)
        std::memcpy(bytes.data() + i * width, &values[i], width);   // the machines that LibTorch runs on are little endian
    return bytes;
}

Result<std::vector<std::int64_t>> unpackIntegers(const Tensor &tensor)
{
    const int bits = storageBits(tensor.type);
    const auto [low, high] = integerRange(tensor.type);
    const bool integer = low != high || tensor.type == DataType::Int64 || tensor.type == DataType::UInt64 || tensor.type == DataType::Bool;
    if (bits == 0 || !integer)
        return fail(ErrorKind::Parse, "tensor " + tensor.name + ", integers are expected but it holds " + dataTypeName(tensor.type));
    BW_ASSIGN(const std::int64_t count, tensor.count());
    const auto wrong = [&] { return fail(ErrorKind::Parse, "tensor " + tensor.name + ", its data do not fill its shape"); };
    std::vector<std::int64_t> values;
    const bool packed = bits < 8;
    // Sub-byte types in int32_data keep one packed byte per entry.
    std::string fromEntries;
    std::string_view bytes = tensor.bytes();
    if (!tensor.hasRaw && tensor.owned.empty()) {
        if (!packed) {
            if (std::int64_t(tensor.integers.size()) != count)
                return wrong();
            return tensor.integers;
        }
        for (std::int64_t entry : tensor.integers)
            fromEntries.push_back(char(entry & 0xff));
        bytes = fromEntries;
    }
    const std::size_t perByte = packed ? std::size_t(8 / bits) : 1;
    const std::size_t width = packed ? 1 : std::size_t(bits / 8);
    if (count < 0 || std::size_t(count) > bytes.size() * perByte ||
        bytes.size() != (std::size_t(count) + perByte - 1) / perByte * width)
        return wrong();
    values.resize(std::size_t(count));
    const bool isSigned = low < 0 || tensor.type == DataType::Int64;
    for (std::size_t i = 0; i < values.size(); ++i) {
        std::uint64_t word = 0;
        if (packed)
            word = (std::uint8_t(bytes[i / perByte]) >> (unsigned(i % perByte) * unsigned(bits))) & ((1u << bits) - 1);
        else
            std::memcpy(&word, bytes.data() + i * width, width);
        if (isSigned && bits < 64 && (word >> (bits - 1)) & 1)
            word |= ~std::uint64_t(0) << bits;
        values[i] = std::int64_t(word);
    }
    return values;
}

} // namespace bitwright::onnx
