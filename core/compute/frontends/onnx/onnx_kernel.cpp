// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_kernel.h"

#include <algorithm>
#include <map>

namespace bitwright {

std::int64_t integerOf(const onnx::Node &node, const char *attribute, std::int64_t fallback)
{
    const onnx::Attribute *found = node.attribute(attribute);
    return found && found->type == onnx::Attribute::Type::Int ? found->i : fallback;
}

double numberOf(const onnx::Node &node, const char *attribute, double fallback)
{
    const onnx::Attribute *found = node.attribute(attribute);
    return found && found->type == onnx::Attribute::Type::Float ? double(found->f) : fallback;
}

std::string textOf(const onnx::Node &node, const char *attribute, const std::string &fallback)
{
    const onnx::Attribute *found = node.attribute(attribute);
    return found && found->type == onnx::Attribute::Type::String ? found->s : fallback;
}

std::vector<std::int64_t> integersOf(const onnx::Node &node, const char *attribute)
{
    const onnx::Attribute *found = node.attribute(attribute);
    return found ? found->ints : std::vector<std::int64_t>{};
}

std::vector<float> OnnxCall::numbers(const char *attribute) const
{
    const onnx::Attribute *found = node.attribute(attribute);
    return found ? found->floats : std::vector<float>{};
}

std::vector<std::string> OnnxCall::texts(const char *attribute) const
{
    const onnx::Attribute *found = node.attribute(attribute);
    return found ? found->strings : std::vector<std::string>{};
}

at::Tensor tensorIn(const OnnxValues &in, std::size_t index)
{
    TORCH_CHECK(given(in, index), "input ", index, " is missing");
    const c10::IValue &value = in[index];
    if (value.isInt())   // a loop's trip number
        return at::scalar_tensor(value.toInt(), at::TensorOptions(at::kLong));
    if (value.isBool())
        return at::scalar_tensor(value.toBool(), at::TensorOptions(at::kBool));
    TORCH_CHECK(value.isTensor(), "input ", index, " is no tensor");
    return in[index].toTensor();
}

std::optional<at::Tensor> optionalIn(const OnnxValues &in, std::size_t index)
{
    return given(in, index) ? std::optional(tensorIn(in, index)) : std::nullopt;
}

std::vector<std::int64_t> intsIn(const OnnxValues &in, std::size_t index)
{
    const at::Tensor flat = tensorIn(in, index).to(at::kLong).contiguous();
    return {flat.const_data_ptr<std::int64_t>(), flat.const_data_ptr<std::int64_t>() + flat.numel()};
}

std::vector<std::int64_t> intsOf(const OnnxCall &call, const char *attribute, const OnnxValues &in, std::size_t index)
{
    return given(in, index) ? intsIn(in, index) : call.integers(attribute);
}

void checkCount(std::int64_t count)
{
    constexpr std::int64_t kMost = 1 << 24;
    TORCH_CHECK(count <= kMost, "a list of ", count, " parts");
}

std::int64_t wrapAxis(std::int64_t axis, std::int64_t rank)
{
    const std::int64_t wrapped = axis < 0 ? axis + rank : axis;
    TORCH_CHECK(wrapped >= 0 && wrapped <= rank, "axis ", axis, " of a tensor with ", rank, " dimensions");
    return wrapped;
}

at::ScalarType scalarTypeOf(onnx::DataType type)
{
    using onnx::DataType;
    switch (type) {
    case DataType::Float: return at::kFloat;
    case DataType::Double: return at::kDouble;
    case DataType::Float16: return at::kHalf;
    case DataType::BFloat16: return at::kBFloat16;
    case DataType::Int64:
    case DataType::UInt64:
    case DataType::UInt32: return at::kLong;
    case DataType::Int32:
    case DataType::UInt16: return at::kInt;
    case DataType::Int16: return at::kShort;
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

std::vector<std::int64_t> orElse(std::vector<std::int64_t> values, std::size_t size, std::int64_t fallback)
{
    if (values.size() != size)
        values.assign(size, fallback);
    return values;
}

namespace {

const std::map<std::string, OnnxKernel> &kernels()
{
    static const std::map<std::string, OnnxKernel> all = [] {
        std::map<std::string, OnnxKernel> made;
        for (const auto rows : {onnxElementwiseKernels(), onnxReductionKernels(), onnxShapeKernels(), onnxLayerKernels(),
                                onnxRecurrentKernels(), onnxImageKernels(), onnxQuantizeKernels(), onnxSequenceKernels(),
                                onnxSignalKernels()})
            for (const OnnxKernelRow &row : rows)
                made.emplace(row.op, row.run);
        return made;
    }();
    return all;
}

} // namespace

OnnxKernel findOnnxKernel(const std::string &domain, const std::string &op)
{
    const auto found = kernels().find(domain.empty() ? op : domain + "::" + op);
    return found == kernels().end() ? nullptr : found->second;
}

std::vector<std::string> onnxKernelNames()
{
    std::vector<std::string> names;
    for (const auto &[name, kernel] : kernels())
        names.push_back(name);
    return names;
}

} // namespace bitwright
