// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/operators.h"

#include "graph/operator_guards.h"

#include <ATen/ScalarOps.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

namespace bitwright {

namespace {

std::optional<OperatorInfo> findInTorchScript(const std::string &base, const std::string &overload)
{
    // Operators of prim that need their node to make a kernel would crash without one: only these do not.
    static const std::array<std::string, 14> kPrim{
        "prim::NumToTensor", "prim::min", "prim::max", "prim::dtype", "prim::device", "prim::layout", "prim::is_cuda",
        "prim::abs", "prim::AutogradZero", "prim::ImplicitTensorToNum", "prim::is_quantized", "prim::itemsize",
        "prim::TupleIndex", "prim::data"};
    if (!base.starts_with("aten::") && std::ranges::find(kPrim, base) == kPrim.end())
        return {};
    for (const auto &candidate : torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString(base))) {
        if (candidate->schema().overload_name() != overload)
            continue;
        // Never freed: nodes keep pointers to the schema.
        static std::vector<std::shared_ptr<torch::jit::Operator>> &kept =
            *new std::vector<std::shared_ptr<torch::jit::Operator>>;
        static std::mutex &mutex = *new std::mutex;
        OperatorInfo info;
        info.schema = &candidate->schema();
        info.kernel = [operation = candidate->getOperation()](torch::jit::Stack &stack) mutable { operation(stack); };
        info.scalar = true;
        const std::scoped_lock lock(mutex);
        kept.push_back(candidate);
        return info;
    }
    return {};
}

template <typename T, typename Get>
c10::IValue typedList(const std::vector<c10::IValue> &elements, Get get)
{
    c10::List<T> list;
    list.reserve(elements.size());
    for (const c10::IValue &element : elements)
        list.push_back(get(element));
    return list;
}

at::Tensor toTensor(const c10::IValue &value)
{
    if (value.isTensor())
        return value.toTensor();
    TORCH_CHECK(value.isScalar(), "a tensor was expected, not ", value.tagKind());
    return at::native::wrapped_scalar_tensor(value.toScalar());
}

std::int64_t toInt(const c10::IValue &value)
{
    if (value.isInt())
        return value.toInt();
    if (value.isBool())
        return value.toBool();
    if (value.isTensor())
        return value.toTensor().item<std::int64_t>();
    if (value.isSymInt())
        return value.toSymInt().expect_int();
    TORCH_CHECK(value.isDouble() && value.toDouble() == std::floor(value.toDouble()), "an integer was expected, not ",
                value.tagKind());
    return std::int64_t(value.toDouble());
}

double toFloat(const c10::IValue &value)
{
    if (value.isDouble())
        return value.toDouble();
    if (value.isInt())
        return double(value.toInt());
    if (value.isBool())
        return value.toBool();
    TORCH_CHECK(value.isTensor(), "a number was expected, not ", value.tagKind());
    return value.toTensor().item<double>();
}

bool toBool(const c10::IValue &value)
{
    if (value.isBool())
        return value.toBool();
    if (value.isTensor())
        return value.toTensor().item<bool>();
    return toInt(value) != 0;
}

c10::Scalar toNumber(const c10::IValue &value)
{
    return value.isTensor() ? value.toTensor().item() : value.toScalar();
}

c10::TypePtr commonType(const std::vector<c10::IValue> &elements)
{
    c10::TypePtr type = elements.front().type();
    if (elements.front().isTensor())
        type = c10::TensorType::get();
    for (const c10::IValue &element : elements)
        if (*(element.isTensor() ? c10::TypePtr(c10::TensorType::get()) : element.type()) != *type)
            return c10::AnyType::get();
    return type;
}

c10::IValue listOfAny(std::vector<c10::IValue> elements)
{
    if (elements.empty())
        return c10::impl::GenericList(c10::AnyType::get());
    c10::impl::GenericList list(commonType(elements));
    for (c10::IValue &element : elements)
        list.push_back(std::move(element));
    return list;
}

} // namespace

std::optional<OperatorInfo> findOperator(const std::string &qualifiedOp)
{
    const auto scope = qualifiedOp.find("::");
    if (scope == std::string::npos)
        return {};
    const auto dot = qualifiedOp.find('.', scope);
    const std::string base = qualifiedOp.substr(0, dot);
    std::string overload = dot == std::string::npos ? std::string() : qualifiedOp.substr(dot + 1);
    if (overload == "default")
        overload.clear();
    if (!isAllowedOperator(base))
        return {};
    auto handle = c10::Dispatcher::singleton().findSchema({base, overload});
    if (handle) {
        OperatorInfo info;
        info.schema = &handle->schema();
        if (const OperatorGuard guard = operatorGuard(base, overload))
            info.kernel = [operation = *handle, guard](torch::jit::Stack &stack) {
                guard(stack);
                operation.callBoxed(stack);
            };
        else
            info.kernel = [operation = *handle](torch::jit::Stack &stack) { operation.callBoxed(stack); };
        return info;
    }
    if (base.starts_with("prim::") && overload.empty())
        if (auto glue = findGlue(base.substr(6), 1)) {
            OperatorInfo info;
            info.kernel = std::move(*glue);
            info.scalar = true;
            return info;
        }
    return findInTorchScript(base, overload);
}

Want wantOf(const c10::Type &type)
{
    switch (type.kind()) {
    case c10::TypeKind::OptionalType: return wantOf(*type.castRaw<c10::OptionalType>()->getElementType());
    case c10::TypeKind::TensorType: return Want::Tensor;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return Want::Int;
    case c10::TypeKind::FloatType: return Want::Float;
    case c10::TypeKind::BoolType: return Want::Bool;
    case c10::TypeKind::NumberType: return Want::Number;
    case c10::TypeKind::ListType: {
        const c10::Type &element = *type.castRaw<c10::ListType>()->getElementType();
        if (element.kind() == c10::TypeKind::OptionalType)
            return wantOf(element) == Want::Tensor ? Want::OptionalTensorList : Want::List;
        switch (wantOf(element)) {
        case Want::Tensor: return Want::TensorList;
        case Want::Int: return Want::IntList;
        case Want::Float: return Want::FloatList;
        case Want::Bool: return Want::BoolList;
        case Want::Number: return Want::NumberList;
        default: return Want::List;
        }
    }
    default: return Want::None;
    }
}

c10::IValue makeList(std::vector<c10::IValue> elements, Want want)
{
    switch (want) {
    case Want::IntList: return typedList<std::int64_t>(elements, toInt);
    case Want::FloatList: return typedList<double>(elements, toFloat);
    case Want::BoolList: return typedList<bool>(elements, toBool);
    case Want::TensorList: return typedList<at::Tensor>(elements, toTensor);
    case Want::OptionalTensorList:
        return typedList<std::optional<at::Tensor>>(elements, [](const c10::IValue &element) {
            return element.isNone() ? std::optional<at::Tensor>() : std::optional(toTensor(element));
        });
    case Want::NumberList: {
        c10::impl::GenericList list(c10::NumberType::get());
        for (const c10::IValue &element : elements)
            list.push_back(toNumber(element));
        return list;
    }
    default: return listOfAny(std::move(elements));
    }
}

void convertValue(c10::IValue &value, Want want)
{
    if (value.isNone())
        return;
    switch (want) {
    case Want::None: return;
    case Want::Tensor:
        if (!value.isTensor())
            value = toTensor(value);
        return;
    case Want::Int:
        if (!value.isInt())
            value = toInt(value);
        return;
    case Want::Float:
        if (!value.isDouble())
            value = toFloat(value);
        return;
    case Want::Bool:
        if (!value.isBool())
            value = toBool(value);
        return;
    case Want::Number:
        if (!value.isScalar())
            value = toNumber(value);
        return;
    case Want::IntList:
        if (value.isIntList())
            return;
        break;
    case Want::TensorList:
        if (value.isTensorList())
            return;
        break;
    case Want::List:
        if (value.isList())
            return;
        break;
    default: break;
    }
    if (value.isTuple()) {
        value = makeList(value.toTuple()->elements().vec(), want);
    } else if (value.isList()) {
        value = makeList(value.toListRef().vec(), want);
    } else {
        value = makeList({value}, want);
    }
}

std::string plainName(const std::string &op)
{
    const auto scope = op.rfind("::");
    const std::string name = scope == std::string::npos ? op : op.substr(scope + 2);
    return name.substr(0, name.find('.'));
}

} // namespace bitwright
