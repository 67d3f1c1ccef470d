// SPDX-License-Identifier: GPL-3.0-or-later
// What a walk knows without running an operator: containers, None, ranks, dtypes, numbers.
#include "frontends/torchscript_walker.h"

#include <algorithm>

namespace bitwright::torchscript {

namespace jit = torch::jit;
using Kind = Value::Kind;

namespace {

/// An index into a container, counted from the end where negative; nothing where it is not constant or outside.
std::optional<std::size_t> indexOf(const Value &value, std::size_t size)
{
    const auto constant = constantOf(value);
    if (!constant || !constant->isInt())
        return {};
    std::int64_t index = constant->toInt();
    if (index < 0)
        index += std::int64_t(size);
    if (index < 0 || index >= std::int64_t(size))
        throw SampleRefused("an index is out of range");
    return std::size_t(index);
}

std::int64_t bound(const Value &value, std::int64_t fallback, std::int64_t size)
{
    const auto constant = constantOf(value);
    if (!constant || !constant->isInt())
        return fallback;
    const std::int64_t index = constant->toInt() < 0 ? constant->toInt() + size : constant->toInt();
    return std::clamp<std::int64_t>(index, 0, size);
}

std::optional<std::size_t> findKey(const Value &dict, const Value &key)
{
    const auto constant = constantOf(key);
    for (std::size_t i = 0; constant && i < dict.keys.size(); ++i)
        if (dict.keys[i] == *constant)
            return i;
    return {};
}

} // namespace

const std::unordered_map<std::string, Walker::Handler> &Walker::handlers()
{
    static const std::unordered_map<std::string, Handler> kHandlers{
        {"prim::Constant", &Walker::runConstant},
        {"prim::GetAttr", &Walker::runGetAttr},
        {"prim::SetAttr", &Walker::runSetAttr},
        {"prim::CallMethod", &Walker::runCallMethod},
        {"prim::If", &Walker::runIf},
        {"prim::Loop", &Walker::runLoop},
        {"prim::RaiseException", &Walker::runRaise},
        {"prim::ListConstruct", &Walker::runContainerConstruct},
        {"prim::TupleConstruct", &Walker::runContainerConstruct},
        {"prim::DictConstruct", &Walker::runContainerConstruct},
        {"prim::ListUnpack", &Walker::runUnpack},
        {"prim::TupleUnpack", &Walker::runUnpack},
        {"prim::TupleIndex", &Walker::runTupleIndex},
        {"prim::TupleSlice", &Walker::runTupleSlice},
        {"prim::unchecked_cast", &Walker::runPass},
        {"prim::unchecked_unwrap_optional", &Walker::runPass},
        {"aten::_unwrap_optional", &Walker::runPass},
        {"prim::data", &Walker::runPass},
        {"prim::Print", &Walker::runSkip},
        {"aten::warn", &Walker::runSkip},
        {"aten::set_grad_enabled", &Walker::runSkip},
        {"prim::Uninitialized", &Walker::runUninitialized},
        {"aten::__is__", &Walker::runIs},
        {"aten::__isnot__", &Walker::runIs},
        {"prim::isinstance", &Walker::runIsInstance},
        {"aten::dim", &Walker::runTensorFact},
        {"prim::dtype", &Walker::runTensorFact},
        {"prim::device", &Walker::runTensorFact},
        {"prim::layout", &Walker::runTensorFact},
        {"prim::requires_grad", &Walker::runTensorFact},
        {"prim::is_cuda", &Walker::runTensorFact},
        {"prim::is_cpu", &Walker::runTensorFact},
        {"prim::is_xpu", &Walker::runTensorFact},
        {"prim::is_mps", &Walker::runTensorFact},
        {"prim::is_meta", &Walker::runTensorFact},
        {"prim::is_xla", &Walker::runTensorFact},
        {"prim::is_mkldnn", &Walker::runTensorFact},
        {"prim::is_quantized", &Walker::runTensorFact},
        {"prim::is_sparse", &Walker::runTensorFact},
        {"prim::is_nested", &Walker::runTensorFact},
        {"aten::is_floating_point", &Walker::runTensorFact},
        {"aten::is_complex", &Walker::runTensorFact},
        {"aten::requires_grad", &Walker::runTensorFact},
        {"aten::is_grad_enabled", &Walker::runTensorFact},
        {"aten::is_autocast_enabled", &Walker::runTensorFact},
        {"aten::is_autocast_cpu_enabled", &Walker::runTensorFact},
        {"aten::size", &Walker::runSize},
        {"aten::numel", &Walker::runNumel},
        {"aten::eq", &Walker::runCompare},
        {"aten::ne", &Walker::runCompare},
        {"aten::gt", &Walker::runCompare},
        {"aten::ge", &Walker::runCompare},
        {"aten::lt", &Walker::runCompare},
        {"aten::le", &Walker::runCompare},
        {"aten::len", &Walker::runLen},
        {"prim::NumToTensor", &Walker::runNumToTensor},
        {"aten::Int", &Walker::runToNumber},
        {"aten::IntImplicit", &Walker::runToNumber},
        {"aten::ScalarImplicit", &Walker::runToNumber},
        {"aten::item", &Walker::runToNumber},
        {"aten::append", &Walker::runAppend},
        {"aten::extend", &Walker::runExtend},
        {"aten::add_", &Walker::runExtend},
        {"aten::insert", &Walker::runInsert},
        {"aten::pop", &Walker::runPop},
        {"aten::clear", &Walker::runClear},
        {"aten::__getitem__", &Walker::runGetItem},
        {"aten::get", &Walker::runGetItem},
        {"aten::_set_item", &Walker::runSetItem},
        {"aten::slice", &Walker::runSlice},
        {"aten::add", &Walker::runAddLists},
        {"aten::mul", &Walker::runMulList},
        {"aten::list", &Walker::runCopyList},
        {"aten::copy", &Walker::runCopyList},
        {"aten::__contains__", &Walker::runContains},
        {"aten::keys", &Walker::runDictParts},
        {"aten::values", &Walker::runDictParts},
        {"aten::items", &Walker::runDictParts},
    };
    return kHandlers;
}

bool Walker::runContainerConstruct(const Node *node)
{
    const Values given = arguments(node);
    const c10::TypePtr type = node->output()->type();
    if (node->kind() == c10::prim::ListConstruct) {
        set(node->output(), Value::container(Kind::List, given, type));
    } else if (node->kind() == c10::prim::TupleConstruct) {
        set(node->output(), Value::container(Kind::Tuple, given, type));
    } else {
        auto dict = Value::container(Kind::Dict, {}, type);
        for (std::size_t i = 0; i + 1 < given.size(); i += 2) {
            const auto key = constantOf(*given[i]);
            if (!key)
                return false;
            dict->keys.push_back(*key);
            dict->items.push_back(given[i + 1]);
        }
        set(node->output(), std::move(dict));
    }
    return true;
}

bool Walker::runUnpack(const Node *node)
{
    const ValuePtr container = get(node->input());
    const std::size_t count = node->outputs().size();
    if (container->kind == Kind::List || container->kind == Kind::Tuple) {
        if (container->items.size() != count)
            throw SampleRefused("a list of " + std::to_string(container->items.size()) + " where " +
                                std::to_string(count) + " are expected");
        for (std::size_t i = 0; i < count; ++i)
            set(node->outputs()[i], container->items[i]);
        return true;
    }
    const auto sample = sampleOf(*container);
    for (std::size_t i = 0; i < count; ++i) {
        std::optional<c10::IValue> part;
        if (sample && sample->isList() && container->growing) {
            if (!sample->toListRef().empty())
                part = sample->toListRef()[std::min(i, sample->toListRef().size() - 1)];
        } else if (sample && sample->isList()) {
            if (sample->toListRef().size() != count)
                throw SampleRefused("a list of another length");
            part = sample->toListRef()[i];
        } else if (sample && sample->isTuple()) {
            part = sample->toTupleRef().elements()[i];
        }
        set(node->outputs()[i], emitGlue("prim::getitem", {container, Value::ofConstant(std::int64_t(i))}, part));
    }
    return true;
}

bool Walker::runTupleIndex(const Node *node)
{
    const ValuePtr tuple = get(node->inputs()[0]);
    if (tuple->kind != Kind::Tuple)
        return runGetItem(node);
    const auto index = indexOf(*get(node->inputs()[1]), tuple->items.size());
    if (!index)
        return false;
    set(node->output(), tuple->items[*index]);
    return true;
}

bool Walker::runTupleSlice(const Node *node)
{
    const ValuePtr tuple = get(node->input());
    if (tuple->kind != Kind::Tuple)
        return false;
    const auto begin = node->i(c10::attr::beg), end = node->i(c10::attr::end);
    set(node->output(), Value::container(Kind::Tuple, {tuple->items.begin() + begin, tuple->items.begin() + end}));
    return true;
}

bool Walker::runPass(const Node *node)
{
    set(node->output(), get(node->inputs()[0]));
    return true;
}

bool Walker::runSkip(const Node *node)
{
    for (const jit::Value *output : node->outputs())
        set(output, Value::ofConstant({}));
    return true;
}

bool Walker::runUninitialized(const Node *node)
{
    auto open = Value::unknown("a variable that one branch leaves without a value");
    open->uninitialized = true;
    set(node->output(), std::move(open));
    return true;
}

bool Walker::runIs(const Node *node)
{
    const Values given = arguments(node);
    const bool negate = node->kind() == c10::aten::__isnot__;
    for (const ValuePtr &value : given)
        if (value->kind == Kind::Unknown || value->optional)
            return false;
    if (isNone(*given[0]) || isNone(*given[1])) {
        setConstant(node, (isNone(*given[0]) && isNone(*given[1])) != negate);
        return true;
    }
    // Two names of one tensor, as in attention of a sequence to itself.
    const bool same = given[0] == given[1] || (given[0]->kind == Kind::Dynamic && given[1]->kind == Kind::Dynamic &&
                                               given[0]->id == given[1]->id);
    setConstant(node, same != negate);
    return true;
}

bool Walker::runIsInstance(const Node *node)
{
    const ValuePtr value = get(node->input());
    if (value->kind == Kind::Unknown)
        return false;
    c10::TypePtr type = node->input()->type();
    if (const auto constant = constantOf(*value); constant)
        type = constant->type();
    else if (value->kind == Kind::Dynamic && value->sample)
        type = value->sample->isTensor() ? c10::TypePtr(c10::TensorType::get()) : value->sample->type();
    const auto &candidates = node->tys(c10::attr::types);
    setConstant(node, std::ranges::any_of(candidates, [&](const c10::TypePtr &t) { return type->isSubtypeOf(*t); }));
    return true;
}

/// Facts about a tensor that its values do not change. Gradients are on and no device is special: the paths that
/// would be taken otherwise hold operators without a derivative.
bool Walker::runTensorFact(const Node *node)
{
    const std::string kind = node->kind().toQualString();
    if (kind == "aten::is_grad_enabled") {
        setConstant(node, true);
        return true;
    }
    if (kind.starts_with("aten::is_autocast")) {
        setConstant(node, false);
        return true;
    }
    const ValuePtr tensor = get(node->inputs()[0]);
    if (tensor->kind != Kind::Dynamic)
        return false;
    if (kind == "prim::device") {
        setConstant(node, c10::Device(c10::kCPU));
    } else if (kind == "prim::layout") {
        setConstant(node, c10::IValue(c10::kStrided));
    } else if (kind.ends_with("requires_grad") || kind == "prim::is_cpu") {
        setConstant(node, true);
    } else if (kind.starts_with("prim::is_")) {
        setConstant(node, false);
    } else {
        if (!tensor->sample || !tensor->sample->isTensor())
            return false;
        const at::Tensor &sample = tensor->sample->toTensor();
        if (kind == "aten::dim" && m_doubtful)
            return false;
        if (kind == "aten::dim")
            setConstant(node, sample.dim());
        else if (kind == "prim::dtype")
            setConstant(node, std::int64_t(sample.scalar_type()));
        else if (kind == "aten::is_floating_point")
            setConstant(node, sample.is_floating_point());
        else
            setConstant(node, sample.is_complex());
    }
    return true;
}

bool Walker::runSize(const Node *node)
{
    const Values given = arguments(node);
    if (given[0]->kind != Kind::Dynamic)
        return false;
    const auto sample = sampleOf(*given[0]);
    const bool known = sample && sample->isTensor();
    auto one = [&](std::int64_t dimension) {
        std::optional<c10::IValue> size;
        if (known) {
            const at::Tensor &tensor = sample->toTensor();
            if (dimension < -tensor.dim() || dimension >= tensor.dim())
                throw SampleRefused("a tensor of another rank is expected");
            size = tensor.size(dimension);
        }
        ValuePtr made = emitGlue("prim::shape", {given[0], Value::ofConstant(dimension)}, size);
        made->positive = !size || size->toInt() > 0;
        return made;
    };
    if (given.size() == 2) {
        const auto dimension = constantOf(*given[1]);
        if (!dimension || !dimension->isInt())
            return false;
        set(node->output(), one(dimension->toInt()));
        return true;
    }
    if (!known) {
        set(node->output(), emitGlue("prim::size", {given[0]}, {}));
        return true;
    }
    Values sizes;
    for (std::int64_t i = 0; i < sample->toTensor().dim(); ++i)
        sizes.push_back(one(i));
    set(node->output(), Value::container(Kind::List, std::move(sizes), node->output()->type()));
    return true;
}

bool Walker::runNumel(const Node *node)
{
    if (get(node->input())->kind != Kind::Dynamic)
        return false;
    emitOperator(node);
    const ValuePtr count = get(node->output());
    count->positive = !count->sample || !count->sample->isInt() || count->sample->toInt() > 0;
    return true;
}

/// Branches for empty tensors are never taken.
bool Walker::runCompare(const Node *node)
{
    const Values given = arguments(node);
    const auto zero = given.size() == 2 && given[0]->positive ? constantOf(*given[1]) : std::nullopt;
    if (!zero || !zero->isInt() || zero->toInt() != 0)
        return false;
    const c10::Symbol kind = node->kind();
    setConstant(node, kind == c10::aten::ne || kind == c10::aten::gt || kind == c10::aten::ge);
    return true;
}

bool Walker::runLen(const Node *node)
{
    const ValuePtr value = get(node->input());
    if (value->kind == Kind::List || value->kind == Kind::Tuple || value->kind == Kind::Dict) {
        setConstant(node, std::int64_t(value->items.size()));
        return true;
    }
    // The pieces of a split: their number comes from the network's own widths. Rows are as many as the input has.
    const bool rows = node->input()->node()->kind() == c10::aten::unbind;
    if (!rows && !m_doubtful && value->kind == Kind::Dynamic && !value->growing && value->sample && value->sample->isList()) {
        setConstant(node, std::int64_t(value->sample->toListRef().size()));
        return true;
    }
    return false;
}

bool Walker::runNumToTensor(const Node *node)
{
    const ValuePtr number = get(node->input());
    if (number->kind != Kind::Dynamic)
        return false;
    emitOperator(node);
    get(node->output())->number = number;
    return true;
}

bool Walker::runToNumber(const Node *node)
{
    const ValuePtr value = get(node->inputs()[0]);
    if (value->kind != Kind::Dynamic || !value->number)
        return false;
    set(node->output(), value->number);
    return true;
}

bool Walker::runAppend(const Node *node)
{
    const Values given = arguments(node);
    if (given[0]->kind == Kind::Dynamic) {
        set(node->output(), given[0]);
        return appendGrowing(given[0], Value::container(Kind::List, {given[1]}));
    }
    if (given[0]->kind != Kind::List)
        return false;
    willChange(given[0]);
    given[0]->items.push_back(given[1]);
    set(node->output(), given[0]);
    return true;
}

bool Walker::runExtend(const Node *node)
{
    const Values given = arguments(node);
    const bool lists = node->inputs()[0]->type()->kind() == c10::TypeKind::ListType;
    if (lists && given[1]->growing && given[0]->kind == Kind::List) {
        willChange(given[0]);
        makeGrowing(given[0]);
    }
    if (lists && given[0]->kind == Kind::Dynamic) {
        for (const jit::Value *output : node->outputs())
            set(output, given[0]);
        return appendGrowing(given[0], given[1]);
    }
    if (given[0]->kind != Kind::List || given[1]->kind != Kind::List)
        return false;
    willChange(given[0]);
    const Values added = given[1]->items;
    given[0]->items.insert(given[0]->items.end(), added.begin(), added.end());
    for (const jit::Value *output : node->outputs())
        set(output, given[0]);
    return true;
}

bool Walker::runInsert(const Node *node)
{
    const Values given = arguments(node);
    if (given[0]->kind != Kind::List || !constantOf(*given[1]))
        return false;
    willChange(given[0]);
    const auto size = std::int64_t(given[0]->items.size());
    given[0]->items.insert(given[0]->items.begin() + bound(*given[1], size, size), given[2]);
    return true;
}

bool Walker::runPop(const Node *node)
{
    const Values given = arguments(node);
    if (given[0]->kind == Kind::Dynamic)
        return popGrowing(node, given);
    if (given[0]->kind != Kind::List)
        return false;
    willChange(given[0]);
    const auto index = given.size() > 1 ? indexOf(*given[1], given[0]->items.size())
                                        : indexOf(*Value::ofConstant(-1), given[0]->items.size());
    if (!index)
        return false;
    set(node->output(), given[0]->items[*index]);
    given[0]->items.erase(given[0]->items.begin() + std::ptrdiff_t(*index));
    return true;
}

bool Walker::runClear(const Node *node)
{
    const ValuePtr container = get(node->input());
    if (container->kind == Kind::Dynamic) {
        replaceList(container, emitGlue("prim::ListConstruct", {}, {}));
        return true;
    }
    if (container->kind != Kind::List && container->kind != Kind::Dict)
        return false;
    willChange(container);
    container->items.clear();
    container->keys.clear();
    return true;
}

/// Lists whose length the run decides are values: a longer list is another value.
bool Walker::appendGrowing(const ValuePtr &list, const ValuePtr &items)
{
    const auto before = sampleOf(*list), added = sampleOf(*items);
    std::optional<c10::IValue> sample;
    if (before && added && before->isList() && added->isList()) {
        c10::impl::GenericList all(c10::AnyType::get());
        for (const c10::IValue *part : {&*before, &*added})
            for (const c10::IValue &item : part->toListRef())
                all.push_back(item);
        sample = c10::IValue(all);
    }
    replaceList(list, emitGlue("aten::add.t", {list, items}, std::move(sample)));
    return true;
}

bool Walker::popGrowing(const Node *node, const Values &given)
{
    const auto index = given.size() > 1 ? constantOf(*given[1]) : std::optional(c10::IValue(std::int64_t(-1)));
    if (!index || !index->isInt() || (index->toInt() != -1 && index->toInt() != 0))
        return false;
    const bool first = index->toInt() == 0;
    std::optional<c10::IValue> part;
    if (given[0]->sample && given[0]->sample->isList() && !given[0]->sample->toListRef().empty())
        part = given[0]->sample->toListRef()[0];
    const ValuePtr none = Value::ofConstant({}), one = Value::ofConstant(std::int64_t(1));
    const ValuePtr item = emitGlue("prim::getitem", {given[0], Value::ofConstant(*index)}, part);
    const ValuePtr rest = emitGlue("aten::slice.t", {given[0], first ? one : none, first ? none : Value::ofConstant(*index), one},
                                   given[0]->sample);
    replaceList(given[0], rest);
    set(node->output(), item);
    return true;
}

bool Walker::setGrowing(const Values &given)
{
    const ValuePtr none = Value::ofConstant({}), one = Value::ofConstant(std::int64_t(1)), zero = Value::ofConstant(std::int64_t(0));
    // Counted from the front, whatever sign it has.
    const ValuePtr size = emitGlue("prim::len", {given[0]}, {});
    const ValuePtr negative = emitGlue("prim::lt", {given[1], zero}, {});
    const ValuePtr shift = emitGlue("prim::ite", {negative, size, zero}, {});
    const ValuePtr at = emitGlue("prim::add", {given[1], shift}, {});
    const ValuePtr after = emitGlue("prim::add", {at, one}, {});
    const ValuePtr head = emitGlue("aten::slice.t", {given[0], none, at, one}, {});
    const ValuePtr tail = emitGlue("aten::slice.t", {given[0], after, none, one}, {});
    const ValuePtr begun = emitGlue("aten::add.t", {head, Value::container(Kind::List, {given[2]})}, {});
    replaceList(given[0], emitGlue("aten::add.t", {begun, tail}, given[0]->sample));
    return true;
}

bool Walker::runGetItem(const Node *node)
{
    const Values given = arguments(node);
    const Value &container = *given[0];
    if (container.kind == Kind::Dict) {
        if (const auto found = findKey(container, *given[1]))
            set(node->output(), container.items[*found]);
        else if (given.size() > 2 && constantOf(*given[1]))
            set(node->output(), given[2]);
        else
            return false;
        return true;
    }
    if (container.kind == Kind::List || container.kind == Kind::Tuple) {
        if (const auto index = indexOf(*given[1], container.items.size())) {
            set(node->output(), container.items[*index]);
            return true;
        }
        std::optional<c10::IValue> part;
        if (!container.items.empty())
            part = sampleOf(*container.items[0]);
        set(node->output(), emitGlue("prim::getitem", {given[0], given[1]}, part));
        return true;
    }
    if (container.kind != Kind::Dynamic)
        return false;
    std::optional<c10::IValue> part;
    if (container.sample && container.sample->isList()) {
        const auto elements = container.sample->toListRef();
        if (container.growing) {
            if (!elements.empty())
                part = elements[0];
        } else if (const auto index = indexOf(*given[1], elements.size()))
            part = elements[*index];
    }
    set(node->output(), emitGlue("prim::getitem", {given[0], given[1]}, part));
    return true;
}

bool Walker::runSetItem(const Node *node)
{
    const Values given = arguments(node);
    if (given[0]->kind == Kind::Dict) {
        const auto key = constantOf(*given[1]);
        if (!key)
            return false;
        willChange(given[0]);
        if (const auto found = findKey(*given[0], *given[1])) {
            given[0]->items[*found] = given[2];
        } else {
            given[0]->keys.push_back(*key);
            given[0]->items.push_back(given[2]);
        }
        return true;
    }
    if (given[0]->kind == Kind::List && !constantOf(*given[1])) {
        willChange(given[0]);
        makeGrowing(given[0]);
    }
    if (given[0]->kind == Kind::Dynamic) {
        for (const jit::Value *output : node->outputs())
            set(output, given[0]);
        return setGrowing(given);
    }
    if (given[0]->kind != Kind::List)
        return false;
    willChange(given[0]);
    const auto index = indexOf(*given[1], given[0]->items.size());
    if (!index)
        return false;
    given[0]->items[*index] = given[2];
    for (const jit::Value *output : node->outputs())
        set(output, given[0]);
    return true;
}

bool Walker::runSlice(const Node *node)
{
    const Values given = arguments(node);
    if (given[0]->kind != Kind::List)
        return false;
    const auto size = std::int64_t(given[0]->items.size());
    const std::int64_t begin = bound(*given[1], 0, size), end = bound(*given[2], size, size);
    const auto step = constantOf(*given[3]);
    if (!step || !step->isInt() || step->toInt() < 1)
        return false;
    Values items;
    for (std::int64_t i = begin; i < end; i += step->toInt())
        items.push_back(given[0]->items[std::size_t(i)]);
    set(node->output(), Value::container(Kind::List, std::move(items), given[0]->type));
    return true;
}

bool Walker::runAddLists(const Node *node)
{
    const Values given = arguments(node);
    if (given[0]->kind != Kind::List || given[1]->kind != Kind::List)
        return false;
    Values items = given[0]->items;
    items.insert(items.end(), given[1]->items.begin(), given[1]->items.end());
    set(node->output(), Value::container(Kind::List, std::move(items), given[0]->type));
    return true;
}

bool Walker::runMulList(const Node *node)
{
    const Values given = arguments(node);
    const auto times = given[0]->kind == Kind::List ? constantOf(*given[1]) : std::nullopt;
    if (!times || !times->isInt())
        return false;
    Values items;
    for (std::int64_t i = 0; i < times->toInt(); ++i)
        items.insert(items.end(), given[0]->items.begin(), given[0]->items.end());
    set(node->output(), Value::container(Kind::List, std::move(items), given[0]->type));
    return true;
}

bool Walker::runCopyList(const Node *node)
{
    const ValuePtr list = get(node->input());
    if (list->kind != Kind::List)
        return false;
    set(node->output(), Value::container(Kind::List, list->items, list->type));
    return true;
}

bool Walker::runContains(const Node *node)
{
    const Values given = arguments(node);
    if (given[0]->kind != Kind::Dict || !constantOf(*given[1]))
        return false;
    setConstant(node, findKey(*given[0], *given[1]).has_value());
    return true;
}

bool Walker::runDictParts(const Node *node)
{
    const ValuePtr dict = get(node->input());
    if (dict->kind != Kind::Dict)
        return false;
    const std::string kind = node->kind().toQualString();
    Values parts;
    for (std::size_t i = 0; i < dict->items.size(); ++i) {
        const ValuePtr key = Value::ofConstant(dict->keys[i]);
        if (kind == "aten::keys")
            parts.push_back(key);
        else if (kind == "aten::values")
            parts.push_back(dict->items[i]);
        else
            parts.push_back(Value::container(Kind::Tuple, {key, dict->items[i]}));
    }
    set(node->output(), Value::container(Kind::List, std::move(parts), node->output()->type()));
    return true;
}

} // namespace bitwright::torchscript
