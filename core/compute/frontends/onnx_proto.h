// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// ONNX's messages as plain structs, with our own field numbers over protozero: libtorch exports an old libprotobuf's
// symbols, so no generated code may be linked beside it. What is unknown is skipped; bytes of tensors stay views.

#include "base/result.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitwright::onnx {

/// TensorProto.DataType, the ones with a use here.
enum class DataType : std::int32_t {
    Undefined = 0, Float = 1, UInt8 = 2, Int8 = 3, UInt16 = 4, Int16 = 5, Int32 = 6, Int64 = 7, String = 8, Bool = 9,
    Float16 = 10, Double = 11, UInt32 = 12, UInt64 = 13, BFloat16 = 16, UInt4 = 21, Int4 = 22, UInt2 = 25, Int2 = 26
};
[[nodiscard]] const char *dataTypeName(DataType type);
/// Bits of one element as stored in raw data, 0 where it has no fixed size.
[[nodiscard]] int storageBits(DataType type);
/// Smallest and largest integer of an integer type up to 32 bits.
[[nodiscard]] std::pair<std::int64_t, std::int64_t> integerRange(DataType type);

struct Tensor {
    std::string name;
    DataType type = DataType::Undefined;
    std::vector<std::int64_t> dims;
    std::string owned;                    ///< raw data of a tensor that we make
    std::string_view raw;                 ///< raw data in the file that was read
    bool hasRaw = false;
    std::vector<float> floats;            ///< the typed fields, used where there is no raw data
    std::vector<std::int64_t> integers;   ///< int32_data, int64_data or uint64_data
    std::vector<double> doubles;
    bool external = false;                ///< data lies in another file, at these keys: location, offset, length
    std::map<std::string, std::string> externalEntries;
    [[nodiscard]] std::string_view bytes() const { return owned.empty() ? raw : std::string_view(owned); }
    /// Product of the dimensions; an error where one is negative or the product overflows.
    [[nodiscard]] Result<std::int64_t> count() const;
};

struct Graph;

struct Attribute {
    enum class Type : std::int32_t { Undefined = 0, Float, Int, String, Tensor, Graph, Floats, Ints, Strings };
    std::string name;
    std::string reference;                ///< inside a function: the caller's attribute that stands here
    Type type = Type::Undefined;
    float f = 0;
    std::int64_t i = 0;
    std::string s;
    std::shared_ptr<Tensor> t;
    std::shared_ptr<Graph> g;             ///< a sub-graph of If, Loop or Scan
    std::vector<float> floats;
    std::vector<std::int64_t> ints;
    std::vector<std::string> strings;

    static Attribute of(std::string name, float value);
    static Attribute of(std::string name, std::int64_t value);
    static Attribute of(std::string name, std::string value);
    static Attribute of(std::string name, std::vector<std::int64_t> value);
};

struct Node {
    std::string op, domain, name;
    std::vector<std::string> inputs, outputs;
    std::vector<Attribute> attributes;
    std::string overload = {};            ///< of the function that is called
    [[nodiscard]] const Attribute *attribute(std::string_view wanted) const;
};

/// A dimension is a number, a name, or (-1, "") where nothing is said.
struct Dimension {
    std::int64_t value = -1;
    std::string name;
};

struct ValueInfo {
    std::string name;
    DataType type = DataType::Undefined;   ///< of the elements; Undefined for what is neither tensor nor sequence of such
    bool hasShape = false;
    std::vector<Dimension> shape;
    bool sequence = false, optional = false;
};

/// A sparse initializer: its values, and where they stand (linear, or one row of coordinates each).
struct SparseTensor {
    Tensor values, indices;
    std::vector<std::int64_t> dims;
};

struct Graph {
    std::string name;
    std::vector<Node> nodes;
    std::vector<Tensor> initializers;
    std::vector<SparseTensor> sparse;
    std::vector<ValueInfo> inputs, outputs, values;
};

/// A function of the model's own, which its nodes call like an operator.
struct Function {
    std::string name, domain, overload;
    std::vector<std::string> inputs, outputs;
    std::vector<Attribute> defaults;
    std::vector<Node> nodes;
};

struct Model {
    std::int64_t irVersion = 0;
    std::string producerName, producerVersion, domain, docString;
    std::int64_t modelVersion = 0;
    Graph graph;
    bool hasGraph = false;
    std::map<std::string, std::int64_t> opsets;   ///< by domain, "" is ONNX's own
    std::map<std::string, std::string> metadata;
    std::vector<Function> functions;
    std::shared_ptr<const void> file;             ///< keeps the bytes that the tensors view, those of external data too
    std::string_view bytes;                       ///< the whole file that `readModel` mapped
};

/// Serializes a model.
std::string serialize(const Model &model);
/// One node or tensor, as a message of its own.
std::string serialize(const Node &node);
std::string serialize(const Tensor &tensor);
/// Reads a model from bytes; tensors view into `bytes`, which `owner` keeps alive. Never throws, whatever the bytes.
Result<Model> parse(std::string_view bytes, std::shared_ptr<const void> owner, const std::string &path);
/// Maps a file and reads it, with the files beside it in which its tensors lie: a location outside the model's folder,
/// or past a file's end, is refused.
Result<Model> readModel(const std::string &path);
/// A value as conformance data store it: a TensorProto, SequenceProto or OptionalProto by what `info` says. `there` is
/// false for an optional value without content.
struct StoredValue {
    std::vector<Tensor> tensors;          ///< one, or a sequence's elements
    bool there = true;
};
Result<StoredValue> parseValue(std::string_view bytes, const ValueInfo &info);
/// True when the file begins like an ONNX model: an IR version, then further fields of a ModelProto.
bool looksLikeModel(const std::string &path);

/// Integers packed as ONNX stores them: two or four to a byte for 4 and 2 bits, lowest bits first, else little endian.
std::string packIntegers(const std::vector<std::int64_t> &values, DataType type);
/// All elements of an integer or bool tensor.
Result<std::vector<std::int64_t>> unpackIntegers(const Tensor &tensor);

} // namespace bitwright::onnx
