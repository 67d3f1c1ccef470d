// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/torchscript_value.h"

#include <ATen/core/jit_type.h>

namespace bitwright::torchscript {

ValuePtr Value::ofConstant(c10::IValue value)
{
    auto made = std::make_shared<Value>();
    made->kind = Kind::Constant;
    made->constant = std::move(value);
    return made;
}

ValuePtr Value::dynamic(ValueId id, std::optional<c10::IValue> sample)
{
    auto made = std::make_shared<Value>();
    made->kind = Kind::Dynamic;
    made->id = id;
    made->sample = std::move(sample);
    return made;
}

ValuePtr Value::unknown(std::string reason)
{
    auto made = std::make_shared<Value>();
    made->reason = std::move(reason);
    return made;
}

ValuePtr Value::container(Kind kind, std::vector<ValuePtr> items, c10::TypePtr type)
{
    auto made = std::make_shared<Value>();
    made->kind = kind;
    made->items = std::move(items);
    made->type = std::move(type);
    return made;
}

ValuePtr fromConstant(const c10::IValue &value)
{
    std::vector<ValuePtr> items;
    if (value.isList()) {
        for (const c10::IValue &item : value.toListRef())
            items.push_back(fromConstant(item));
        return Value::container(Value::Kind::List, std::move(items), value.type());
    }
    if (value.isTuple()) {
        for (const c10::IValue &item : value.toTupleRef().elements())
            items.push_back(fromConstant(item));
        return Value::container(Value::Kind::Tuple, std::move(items));
    }
    if (value.isGenericDict()) {
        auto dict = Value::container(Value::Kind::Dict, {}, value.type());
        for (const auto &entry : value.toGenericDict()) {
            dict->keys.push_back(entry.key());
            dict->items.push_back(fromConstant(entry.value()));
        }
        return dict;
    }
    return Value::ofConstant(value);
}

namespace {

/// The element type of a list as declared, else that of its first element.
c10::TypePtr elementType(const Value &list, const std::vector<c10::IValue> &elements)
{
    if (list.type && list.type->kind() == c10::TypeKind::ListType)
        return list.type->castRaw<c10::ListType>()->getElementType();
    if (elements.empty())
        return c10::AnyType::get();
    return elements.front().isTensor() ? c10::TypePtr(c10::TensorType::get()) : elements.front().type();
}

template <typename Get>
std::optional<c10::IValue> assemble(const Value &value, Get get)
{
    std::vector<c10::IValue> elements;
    for (const ValuePtr &item : value.items) {
        auto element = get(*item);
        if (!element)
            return {};
        elements.push_back(std::move(*element));
    }
    if (value.kind == Value::Kind::Tuple)
        return c10::ivalue::Tuple::create(std::move(elements));
    if (value.kind == Value::Kind::Dict) {
        if (!value.type || value.type->kind() != c10::TypeKind::DictType)
            return {};
        const auto *type = value.type->castRaw<c10::DictType>();
        c10::impl::GenericDict dict(type->getKeyType(), type->getValueType());
        for (std::size_t i = 0; i < elements.size(); ++i)
            dict.insert(value.keys[i], elements[i]);
        return c10::IValue(std::move(dict));
    }
    c10::impl::GenericList list(elementType(value, elements));
    for (c10::IValue &element : elements)
        list.push_back(std::move(element));
    return c10::IValue(std::move(list));
}

} // namespace

std::optional<c10::IValue> constantOf(const Value &value)
{
    switch (value.kind) {
    case Value::Kind::Constant: return value.constant;
    case Value::Kind::List:
    case Value::Kind::Tuple:
    case Value::Kind::Dict: return assemble(value, constantOf);
    default: return {};
    }
}

std::optional<c10::IValue> sampleOf(const Value &value)
{
    switch (value.kind) {
    case Value::Kind::Constant: return value.constant;
    case Value::Kind::Dynamic: return value.sample;
    case Value::Kind::List:
    case Value::Kind::Tuple:
    case Value::Kind::Dict: return assemble(value, sampleOf);
    default: return {};
    }
}

const std::string *unknownPart(const Value &value)
{
    if (value.kind == Value::Kind::Unknown)
        return &value.reason;
    for (const ValuePtr &item : value.items)
        if (const std::string *reason = unknownPart(*item))
            return reason;
    return nullptr;
}

bool isNone(const Value &value)
{
    return value.kind == Value::Kind::Constant && value.constant.isNone();
}

} // namespace bitwright::torchscript
