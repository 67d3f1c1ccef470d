// SPDX-License-Identifier: GPL-3.0-or-later
// The scalar glue that exporters put between operators: sizes, lists, Python arithmetic on numbers.
#include "graph/operators.h"

#include <ATen/ScalarOps.h>

#include <cmath>
#include <unordered_map>

namespace bitwright {

namespace {

using Stack = torch::jit::Stack;
using c10::IValue;

bool integral(const IValue &value) { return value.isInt() || value.isBool() || value.isSymInt(); }

std::int64_t asInt(const IValue &value)
{
    IValue copy = value;
    convertValue(copy, Want::Int);
    return copy.toInt();
}

double asFloat(const IValue &value)
{
    IValue copy = value;
    convertValue(copy, Want::Float);
    return copy.toDouble();
}

IValue numberOf(const IValue &value)
{
    return value.isTensor() ? IValue(value.toTensor().item()) : value;
}

/// A binary operation on two numbers: in integers where both are, otherwise in doubles.
template <typename OnInts, typename OnFloats>
Kernel arithmetic(OnInts onInts, OnFloats onFloats)
{
    return [=](Stack &stack) {
        const IValue b = numberOf(torch::jit::pop(stack)), a = numberOf(torch::jit::pop(stack));
        if (integral(a) && integral(b))
            stack.emplace_back(onInts(asInt(a), asInt(b)));
        else
            stack.emplace_back(onFloats(asFloat(a), asFloat(b)));
    };
}

template <typename Operation>
Kernel same(Operation operation)
{
    return arithmetic(operation, operation);
}

template <typename OnInt, typename OnFloat>
Kernel unary(OnInt onInt, OnFloat onFloat)
{
    return [=](Stack &stack) {
        const IValue a = numberOf(torch::jit::pop(stack));
        if (integral(a))
            stack.emplace_back(onInt(asInt(a)));
        else
            stack.emplace_back(onFloat(asFloat(a)));
    };
}

std::int64_t floorDivide(std::int64_t a, std::int64_t b)
{
    TORCH_CHECK(b != 0, "division by zero");
    return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

std::int64_t powerOf(std::int64_t base, std::int64_t exponent)
{
    TORCH_CHECK(exponent >= 0, "negative power of an integer");
    std::int64_t result = 1;
    for (; exponent > 0; --exponent)
        result *= base;
    return result;
}

IValue getItem(const IValue &container, const IValue &key)
{
    if (container.isGenericDict())
        return container.toGenericDict().at(key);
    std::int64_t index = asInt(key);
    if (container.isTensor())
        return container.toTensor().select(0, index);
    std::vector<IValue> elements = container.isTuple() ? container.toTuple()->elements().vec() : container.toListRef().vec();
    if (index < 0)
        index += std::int64_t(elements.size());
    TORCH_CHECK(index >= 0 && index < std::int64_t(elements.size()), "index out of range");
    return elements[std::size_t(index)];
}

std::int64_t lengthOf(const IValue &value)
{
    if (value.isTensor())
        return value.toTensor().size(0);
    if (value.isTuple())
        return std::int64_t(value.toTuple()->elements().size());
    if (value.isGenericDict())
        return std::int64_t(value.toGenericDict().size());
    return std::int64_t(value.toListRef().size());
}

Kernel construct(IValue (*make)(std::vector<IValue>))
{
    return [=](Stack &stack) {
        IValue made = make(std::move(stack));
        stack.clear();
        stack.push_back(std::move(made));
    };
}

IValue makeDict(std::vector<IValue> pairs)
{
    c10::impl::GenericDict dict(c10::AnyType::get(), c10::AnyType::get());
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2)
        dict.insert(pairs[i], pairs[i + 1]);
    return dict;
}

Kernel unpack(std::size_t results)
{
    return [results](Stack &stack) {
        const IValue value = torch::jit::pop(stack);
        TORCH_CHECK(value.isTuple() || value.isList(), "a list or tuple was expected, not ", value.tagKind());
        std::vector<IValue> elements = value.isTuple() ? value.toTuple()->elements().vec() : value.toListRef().vec();
        TORCH_CHECK(elements.size() == results, results, " elements were expected, not ", elements.size());
        for (IValue &element : elements)
            stack.push_back(std::move(element));
    };
}

template <typename Make>
Kernel fromOne(Make make)
{
    return [=](Stack &stack) {
        IValue value = torch::jit::pop(stack);
        stack.emplace_back(make(std::move(value)));
    };
}

Kernel choose()
{
    return [](Stack &stack) {
        IValue b = torch::jit::pop(stack), a = torch::jit::pop(stack), condition = torch::jit::pop(stack);
        convertValue(condition, Want::Bool);
        stack.push_back(condition.toBool() ? std::move(a) : std::move(b));
    };
}

Kernel equality(bool wanted)
{
    return [=](Stack &stack) {
        const IValue b = torch::jit::pop(stack), a = torch::jit::pop(stack);
        const bool numbers = a.isScalar() && b.isScalar();
        stack.emplace_back((numbers ? asFloat(a) == asFloat(b) : a == b) == wanted);
    };
}

std::unordered_map<std::string, Kernel> makeArithmetic()
{
    std::unordered_map<std::string, Kernel> table;
    table["add"] = same([](auto a, auto b) { return a + b; });
    table["sub"] = same([](auto a, auto b) { return a - b; });
    table["mul"] = same([](auto a, auto b) { return a * b; });
    table["truediv"] = same([](auto a, auto b) { return double(a) / double(b); });
    table["floordiv"] = arithmetic(floorDivide, [](double a, double b) { return std::floor(a / b); });
    table["mod"] = arithmetic([](std::int64_t a, std::int64_t b) { return a - floorDivide(a, b) * b; },
                              [](double a, double b) { return a - std::floor(a / b) * b; });
    table["pow"] = arithmetic(powerOf, [](double a, double b) { return std::pow(a, b); });
    table["lt"] = same([](auto a, auto b) { return a < b; });
    table["le"] = same([](auto a, auto b) { return a <= b; });
    table["gt"] = same([](auto a, auto b) { return a > b; });
    table["ge"] = same([](auto a, auto b) { return a >= b; });
    table["and"] = same([](auto a, auto b) { return a && b; });
    table["or"] = same([](auto a, auto b) { return a || b; });
    table["min"] = same([](auto a, auto b) { return b < a ? b : a; });
    table["max"] = same([](auto a, auto b) { return b > a ? b : a; });
    table["eq"] = equality(true);
    table["ne"] = equality(false);
    const auto itself = [](std::int64_t a) { return a; };
    table["neg"] = unary([](auto a) { return -a; }, [](auto a) { return -a; });
    table["abs"] = unary([](std::int64_t a) { return a < 0 ? -a : a; }, [](double a) { return std::abs(a); });
    table["floor"] = unary(itself, [](double a) { return std::int64_t(std::floor(a)); });
    table["ceil"] = unary(itself, [](double a) { return std::int64_t(std::ceil(a)); });
    table["trunc"] = unary(itself, [](double a) { return std::int64_t(a); });
    table["round"] = unary(itself, [](double a) { return std::int64_t(std::nearbyint(a)); });
    table["sqrt"] = unary([](auto a) { return std::sqrt(double(a)); }, [](auto a) { return std::sqrt(a); });
    return table;
}

std::unordered_map<std::string, Kernel> makeTable()
{
    std::unordered_map<std::string, Kernel> table = makeArithmetic();
    table["ListConstruct"] = construct([](std::vector<IValue> v) { return makeList(std::move(v), Want::List); });
    table["TupleConstruct"] = construct([](std::vector<IValue> v) { return IValue(c10::ivalue::Tuple::create(std::move(v))); });
    table["DictConstruct"] = construct(makeDict);
    table["identity"] = [](Stack &) {};
    table["not"] = fromOne([](IValue v) {
        convertValue(v, Want::Bool);
        return !v.toBool();
    });
    table["Int"] = fromOne([](const IValue &v) {
        const IValue number = numberOf(v);
        return number.isDouble() ? std::int64_t(number.toDouble()) : asInt(number);
    });
    table["Float"] = fromOne([](const IValue &v) { return asFloat(v); });
    table["Bool"] = fromOne([](IValue v) {
        if (v.isDouble())
            return v.toDouble() != 0;
        convertValue(v, Want::Bool);
        return v.toBool();
    });
    table["NumToTensor"] = fromOne([](const IValue &v) { return at::scalar_to_tensor(v.toScalar()); });
    table["len"] = fromOne([](const IValue &v) { return lengthOf(v); });
    table["size"] = fromOne([](const IValue &v) { return v.toTensor().sizes().vec(); });
    table["dim"] = fromOne([](const IValue &v) { return v.toTensor().dim(); });
    table["shape"] = [](Stack &stack) {
        const std::int64_t dimension = asInt(torch::jit::pop(stack));
        const at::Tensor tensor = torch::jit::pop(stack).toTensor();
        stack.emplace_back(tensor.size(dimension));
    };
    table["getitem"] = [](Stack &stack) {
        const IValue key = torch::jit::pop(stack), container = torch::jit::pop(stack);
        stack.push_back(getItem(container, key));
    };
    table["ite"] = choose();
    return table;
}

} // namespace

std::optional<Kernel> findGlue(const std::string &name, std::size_t results)
{
    if (name == "ListUnpack" || name == "TupleUnpack")
        return unpack(results);
    static const auto &table = *new std::unordered_map<std::string, Kernel>(makeTable());
    const auto found = table.find(name);
    return found == table.end() ? std::nullopt : std::optional(found->second);
}

} // namespace bitwright
