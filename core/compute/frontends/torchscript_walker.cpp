// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/torchscript_walker.h"

#include "frontends/torchscript_meta.h"
#include "graph/node_builder.h"
#include "tensor/guarded.h"

#include <ATen/ops/empty_like.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <algorithm>
#include <set>

namespace bitwright::torchscript {

namespace jit = torch::jit;

namespace {

/// Longest walk: a loop that no data stops would never end.
constexpr std::int64_t kMaxSteps = 3'000'000;

const void *storageOf(const at::Tensor &tensor)
{
    return tensor.defined() && tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl() : nullptr;
}

/// Operators that read a value out of a tensor: nothing to read on the meta device.
bool readsData(const std::string &kind)
{
    static const std::set<std::string> kNames{"aten::Int",   "aten::Float", "aten::Bool",       "aten::item",
                                              "aten::equal", "aten::allclose", "aten::is_nonzero", "aten::tolist",
                                              "aten::ScalarImplicit", "aten::IntImplicit", "aten::FloatImplicit",
                                              "aten::nonzero", "aten::Complex"};
    return kNames.contains(kind);
}

} // namespace

std::string operatorName(const jit::Node *node)
{
    if (const c10::FunctionSchema *schema = node->maybeSchema())
        return schema->overload_name().empty() ? schema->name() : schema->name() + "." + schema->overload_name();
    return node->kind().toQualString();
}

std::string withPlace(std::string what, const jit::Node *node)
{
    const std::string place = placeOf(node);
    return place.empty() ? what : what + " (" + place + ")";
}

std::string placeOf(const jit::Node *node)
{
    const auto location = node->sourceRange().file_line_col();
    if (!location)
        return {};
    const auto &[file, line, column] = *location;
    return file.substr(file.find_last_of('/') + 1) + " line " + std::to_string(line);
}

namespace {

/// Where a tensor lies: the same for tied ones. Empty without elements.
std::string spotOf(const at::Tensor &tensor)
{
    if (!tensor.defined() || !tensor.has_storage() || tensor.numel() == 0)
        return {};
    std::ostringstream text;
    text << storageOf(tensor) << ' ' << tensor.storage_offset() << tensor.sizes() << tensor.strides();
    return text.str();
}

} // namespace

TensorTable::TensorTable(const jit::Module &module)
{
    auto add = [&](const std::string &name, const at::Tensor &tensor, bool trainable) {
        if (!tensor.defined() || byName.contains(name))
            return;
        const int tied = find(tensor);
        byName[name] = tied < 0 ? entries.size() : std::size_t(tied);
        if (tied >= 0)
            return;
        if (const std::string spot = spotOf(tensor); !spot.empty())
            m_bySpot[spot] = entries.size();
        const at::Tensor detached = tensor.detach();
        entries.push_back({name, detached, at::empty_like(detached, detached.options().device(c10::kMeta)), trainable});
    };
    for (const auto &parameter : module.named_parameters(true))
        add(parameter.name, parameter.value, c10::isFloatingType(parameter.value.scalar_type()));
    for (const auto &buffer : module.named_buffers(true))
        add(buffer.name, buffer.value, false);
    for (const auto &attribute : module.named_attributes(true))
        if (attribute.value.isTensor())
            add(attribute.name, attribute.value.toTensor(), false);
}

int TensorTable::find(const at::Tensor &tensor) const
{
    const std::string spot = spotOf(tensor);
    const auto found = spot.empty() ? m_bySpot.end() : m_bySpot.find(spot);
    return found == m_bySpot.end() ? -1 : int(found->second);
}

Walker::Walker(const jit::Module &module, const TensorTable &tensors, WalkOptions options)
    : m_module(module), m_tensors(tensors), m_options(std::move(options))
{
}

WalkResult Walker::run()
{
    const at::NoGradGuard noGrad;
    const bool real = std::ranges::any_of(m_options.samples, [](const at::Tensor &t) { return t.defined() && !t.is_meta(); });
    Values arguments;
    auto self = std::make_shared<Value>();
    self->kind = Value::Kind::Object;
    self->constant = m_module._ivalue();
    arguments.push_back(std::move(self));
    m_methods["forward"] = m_module.get_method("forward").graph()->copy();
    jit::Graph &graph = *m_methods["forward"];
    jit::Inline(graph);
    addInputs(graph, arguments);
    const bool sampled = std::ranges::any_of(m_options.samples, [](const at::Tensor &t) { return t.defined(); });
    for (const TensorTable::Entry &entry : m_tensors.entries) {
        const ValueId id = m_result.graph.addValue(entry.name);
        m_result.graph.parameters.push_back({entry.name, id, entry.tensor, entry.trainable});
        std::optional<c10::IValue> sample;
        if (sampled)
            sample = real ? entry.tensor.clone() : entry.sample;
        m_parameterValues.push_back(Value::dynamic(id, std::move(sample)));
    }
    for (const ValuePtr &output : callGraph(graph, arguments))
        addOutput(output, {});
    return std::move(m_result);
}

namespace {

/// How many elements of a list, or which keys of a dictionary, a program reads from an argument.
struct Reads {
    std::int64_t count = 0;
    std::set<std::string> keys;
};

Reads readsOf(const jit::Value *value)
{
    Reads reads;
    for (const auto &use : value->uses()) {
        const jit::Node *user = use.user;
        if (user->kind() == c10::prim::ListUnpack) {
            reads.count = std::max<std::int64_t>(reads.count, std::int64_t(user->outputs().size()));
            continue;
        }
        if (use.offset != 0 || user->inputs().size() < 2)
            continue;
        const auto key = jit::toIValue(user->input(1));
        if (key && key->isString())
            reads.keys.insert(key->toStringRef());
        if (key && key->isInt() && user->kind() == c10::aten::__getitem__)
            reads.count = std::max(reads.count, key->toInt() < 0 ? -key->toInt() : key->toInt() + 1);
    }
    return reads;
}

bool isTensor(const c10::TypePtr &type)
{
    return type->isSubtypeOf(*c10::TensorType::get())
        || (type->kind() == c10::TypeKind::OptionalType
            && isTensor(type->castRaw<c10::OptionalType>()->getElementType()));
}

/// "int", "float" or "bool"; empty for other types.
std::string numberName(const c10::TypePtr &type)
{
    switch (type->kind()) {
    case c10::TypeKind::IntType: return "int";
    case c10::TypeKind::FloatType: return "float";
    case c10::TypeKind::BoolType: return "bool";
    default: return {};
    }
}

/// A whole number that a program compares something with, above those that count dimensions: a sampling rate, a mode.
std::optional<std::int64_t> comparedNumber(const jit::Block *block)
{
    constexpr std::int64_t kCounts = 16;
    for (const jit::Node *node : block->nodes()) {
        if (node->kind() == c10::aten::eq && node->inputs().size() == 2)
            for (const jit::Value *side : node->inputs())
                if (const auto value = jit::toIValue(side); value && value->isInt() && value->toInt() > kCounts)
                    return value->toInt();
        for (const jit::Block *inner : node->blocks())
            if (const auto found = comparedNumber(inner))
                return found;
    }
    return {};
}

c10::IValue numberSample(const std::string &name, const jit::Block *block)
{
    if (name == "int")
        return block ? comparedNumber(block).value_or(2) : std::int64_t(2);
    return name == "float" ? c10::IValue(0.5) : c10::IValue(true);
}

std::string fieldName(const c10::TypePtr &type, std::size_t index)
{
    const auto *tuple = type && type->kind() == c10::TypeKind::TupleType ? type->castRaw<c10::TupleType>() : nullptr;
    if (tuple && tuple->schema() && index < tuple->schema()->arguments().size())
        return tuple->schema()->arguments()[index].name();
    return {};
}

} // namespace

void Walker::addInputs(jit::Graph &graph, Values &arguments)
{
    const c10::FunctionSchema &schema = m_module.get_method("forward").function().getSchema();
    for (std::size_t i = 1; i < graph.inputs().size(); ++i) {
        const c10::Argument &declared = schema.arguments()[i];
        const bool tensor = declared.type()->isSubtypeOf(*c10::TensorType::get());
        if (!tensor && declared.default_value())
            arguments.push_back(fromConstant(*declared.default_value()));
        else
            arguments.push_back(addInput(declared.name(), declared.type(), graph.inputs()[i]));
    }
}

/// The leaves of lists, tuples and dictionaries are inputs of the graph: "state.0", "batch.image".
ValuePtr Walker::addInput(const std::string &name, const c10::TypePtr &type, const jit::Value *value)
{
    const std::string number = numberName(type);
    if (isTensor(type) || !number.empty()) {
        GraphInput input;
        input.value = m_result.graph.addValue(name);
        input.info.name = name;
        input.info.dtype = number;
        std::optional<c10::IValue> sample;
        if (m_nextSample < m_options.samples.size() && m_options.samples[m_nextSample].defined())
            sample = number.empty() ? c10::IValue(m_options.samples[m_nextSample]) : numberSample(number, value ? value->owningGraph()->block() : nullptr);
        ++m_nextSample;
        m_result.graph.inputs.push_back(std::move(input));
        ValuePtr made = Value::dynamic(m_result.graph.inputs.back().value, std::move(sample));
        made->chosen = !number.empty();
        return made;
    }
    const Reads reads = value ? readsOf(value) : Reads{};
    if (type->kind() == c10::TypeKind::TupleType) {
        Values items;
        const auto elements = type->castRaw<c10::TupleType>()->elements();
        for (std::size_t i = 0; i < elements.size(); ++i) {
            const std::string field = fieldName(type, i);
            items.push_back(addInput(name + "." + (field.empty() ? std::to_string(i) : field), elements[i], nullptr));
        }
        return Value::container(Value::Kind::Tuple, std::move(items), type);
    }
    if (type->kind() == c10::TypeKind::ListType) {
        // A list says nowhere how long it is: as long as the program reads, else two.
        const std::int64_t count = reads.count > 0 ? std::min<std::int64_t>(reads.count, 64) : 2;
        Values items;
        for (std::int64_t i = 0; i < count; ++i)
            items.push_back(addInput(name + "." + std::to_string(i), type->castRaw<c10::ListType>()->getElementType(), nullptr));
        return Value::container(Value::Kind::List, std::move(items), type);
    }
    if (type->kind() == c10::TypeKind::DictType && !reads.keys.empty()) {
        auto dict = Value::container(Value::Kind::Dict, {}, type);
        for (const std::string &key : reads.keys) {
            dict->keys.emplace_back(key);
            dict->items.push_back(addInput(name + "." + key, type->castRaw<c10::DictType>()->getValueType(), nullptr));
        }
        return dict;
    }
    issue("input " + name + " of type " + type->str());
    return Value::unknown("input " + name);
}

void Walker::addOutput(const ValuePtr &value, const std::string &name)
{
    const auto inner = [&](const std::string &part) { return name.empty() ? part : name + "." + part; };
    if (value->kind == Value::Kind::List || value->kind == Value::Kind::Tuple || value->kind == Value::Kind::Dict) {
        for (std::size_t i = 0; i < value->items.size(); ++i) {
            std::string part = value->kind == Value::Kind::Tuple ? fieldName(value->type, i) : std::string();
            if (value->kind == Value::Kind::Dict)
                part = value->keys[i].isString() ? value->keys[i].toStringRef() : std::to_string(i);
            // Unnamed results of the network itself are counted through.
            if (part.empty() && !name.empty())
                part = std::to_string(i);
            addOutput(value->items[i], part.empty() ? std::string() : inner(part));
        }
        return;
    }
    const bool list = value->kind == Value::Kind::Dynamic && value->sample && value->sample->isList();
    if (list && !value->growing) {
        const auto samples = value->sample->toListRef().vec();
        for (std::size_t i = 0; i < samples.size(); ++i)
            addOutput(emitGlue("prim::getitem", {value, Value::ofConstant(std::int64_t(i))}, samples[i]),
                      name.empty() ? name : inner(std::to_string(i)));
        return;
    }
    if (value->kind == Value::Kind::Dynamic && value->growing)
        issue("an output that is a list whose length depends on the input");
    if (value->kind == Value::Kind::Unknown)
        issue(value->reason);
    if (value->kind == Value::Kind::Unknown || value->kind == Value::Kind::Object || isNone(*value))
        return;
    Graph &graph = m_result.graph;
    m_result.outputs.push_back(sampleOf(*value));
    graph.outputs.push_back(argumentFor(value));
    graph.outputNames.push_back(name.empty() ? "out" + std::to_string(graph.outputNames.size()) : name);
}

void Walker::issue(std::string text)
{
    if (std::ranges::find(m_result.issues, text) == m_result.issues.end())
        m_result.issues.push_back(std::move(text));
}

void Walker::set(const jit::Value *value, ValuePtr known)
{
    // Where something was made decides whether a change of it leaves the body that is being walked.
    const auto mark = [&](Value &part, const auto &self) -> void {
        if (part.scope >= 0)
            return;
        part.scope = int(m_growing.size());
        for (const ValuePtr &item : part.items)
            self(*item, self);
    };
    if (known)
        mark(*known, mark);
    m_values[value] = std::move(known);
}

ValuePtr Walker::get(const jit::Value *value) const
{
    const auto found = m_values.find(value);
    return found == m_values.end() ? Value::unknown("a value without definition") : found->second;
}

Walker::Values Walker::arguments(const Node *node) const
{
    Values values;
    for (const jit::Value *input : node->inputs())
        values.push_back(get(input));
    return values;
}

Walker::Values Walker::callGraph(jit::Graph &graph, const Values &arguments)
{
    for (std::size_t i = 0; i < graph.inputs().size(); ++i)
        set(graph.inputs()[i], arguments[i]);
    return runBlock(graph.block());
}

Walker::Values Walker::runBlock(const Block *block)
{
    for (const Node *node : block->nodes())
        runNode(node);
    Values outputs;
    for (const jit::Value *output : block->outputs())
        outputs.push_back(get(output));
    return outputs;
}

void Walker::runNode(const Node *node)
{
    if (++m_steps > kMaxSteps)
        throw SampleRefused("the program does not come to an end");
    const auto handler = handlers().find(node->kind().toQualString());
    if (handler != handlers().end() && (this->*handler->second)(node))
        return;
    if (foldMutation(node) || fold(node))
        return;
    emitOperator(node);
}

bool Walker::runConstant(const Node *node)
{
    if (node->output()->type()->kind() == c10::TypeKind::FunctionType)
        return true;
    auto value = jit::toIValue(node->output());
    if (!value) {
        set(node->output(), Value::unknown(withPlace("a constant of an unknown type", node)));
        return true;
    }
    // A walk may change it in place, and the module is walked more than once.
    if (value->isTensor() && value->toTensor().defined()) {
        m_kept.push_back(value->toTensor().detach().clone());
        value = m_kept.back();
    }
    set(node->output(), fromConstant(*value));
    return true;
}

bool Walker::runGetAttr(const Node *node)
{
    const ValuePtr object = get(node->input());
    const std::string attribute = node->s(c10::attr::name);
    if (object->kind != Value::Kind::Object) {
        const std::string *reason = unknownPart(*object);
        set(node->output(), Value::unknown(reason ? *reason : withPlace("attribute " + attribute, node)));
        return true;
    }
    const std::string path = object->path.empty() ? attribute : object->path + "." + attribute;
    if (const auto changed = m_attributes.find(path); changed != m_attributes.end()) {
        set(node->output(), changed->second);
        return true;
    }
    const c10::IValue value = object->constant.toObjectRef().getAttr(attribute);
    if (value.isObject()) {
        auto child = std::make_shared<Value>();
        child->kind = Value::Kind::Object;
        child->constant = value;
        child->path = path;
        set(node->output(), std::move(child));
    } else {
        set(node->output(), attributeAt(path));
    }
    return true;
}

/// An attribute's value; tensors in lists may be parameters (the flat weights of an LSTM).
ValuePtr Walker::fromAttribute(const c10::IValue &value)
{
    if (value.isTensor()) {
        const int index = m_tensors.find(value.toTensor());
        return index < 0 ? Value::ofConstant(value) : m_parameterValues[std::size_t(index)];
    }
    if (value.isTensorList()) {
        Values items;
        for (const c10::IValue &item : value.toListRef())
            items.push_back(fromAttribute(item));
        return Value::container(Value::Kind::List, std::move(items), value.type());
    }
    return fromConstant(value);
}

bool Walker::runSetAttr(const Node *node)
{
    const ValuePtr object = get(node->inputs()[0]);
    const std::string attribute = node->s(c10::attr::name);
    if (object->kind == Value::Kind::Object) {
        const std::string path = object->path.empty() ? attribute : object->path + "." + attribute;
        m_assigned.emplace(path, attributeAt(path));
        m_attributes[path] = get(node->inputs()[1]);
    }
    return true;
}

bool Walker::runCallMethod(const Node *node)
{
    const Values given = arguments(node);
    const std::string method = node->s(c10::attr::name);
    if (given[0]->kind != Value::Kind::Object) {
        for (const jit::Value *output : node->outputs())
            set(output, Value::unknown(withPlace("a call of " + method, node)));
        return true;
    }
    const auto type = given[0]->constant.toObjectRef().type();
    const std::string key = type->name()->qualifiedName() + "." + method;
    auto &graph = m_methods[key];
    if (!graph) {
        graph = jit::toGraphFunction(type->getMethod(method)).graph()->copy();
        jit::Inline(*graph);
    }
    const Values results = callGraph(*graph, given);
    for (std::size_t i = 0; i < results.size() && i < node->outputs().size(); ++i)
        set(node->outputs()[i], results[i]);
    return true;
}

bool Walker::runRaise(const Node *node)
{
    const auto message = constantOf(*get(node->inputs()[0]));
    throw SampleRefused(message && message->isString() ? message->toStringRef() : "the network raises an exception");
}

/// In-place operators on lists and dictionaries of constants that have no handler of their own (sort, remove…).
bool Walker::foldMutation(const Node *node)
{
    const c10::FunctionSchema *schema = node->maybeSchema();
    if (!schema || !schema->is_mutable() || node->inputs().empty())
        return false;
    const Values given = arguments(node);
    const bool container = given[0]->kind == Value::Kind::List || given[0]->kind == Value::Kind::Dict;
    if (!container)
        return false;
    willChange(given[0]);
    jit::Stack stack;
    for (const ValuePtr &value : given) {
        auto constant = constantOf(*value);
        if (!constant) {
            const std::string text = withPlace("operator " + operatorName(node) + " on a list", node);
            issue(text);
            for (const jit::Value *output : node->outputs())
                set(output, Value::unknown(text));
            return true;
        }
        stack.push_back(std::move(*constant));
    }
    const c10::IValue self = stack[0];
    node->getOperation()(stack);
    const ValuePtr changed = fromConstant(self);
    given[0]->items = changed->items;
    given[0]->keys = changed->keys;
    for (std::size_t i = 0; i < node->outputs().size(); ++i)
        set(node->outputs()[i], fromConstant(stack[i]));
    return true;
}

bool Walker::fold(const Node *node)
{
    if (!node->maybeOperator() || node->isNondeterministic() || !node->blocks().empty())
        return false;
    jit::Stack stack;
    for (const ValuePtr &value : arguments(node)) {
        auto constant = constantOf(*value);
        if (!constant || (constant->isTensor() && m_changed.contains(storageOf(constant->toTensor()))))
            return false;
        stack.push_back(std::move(*constant));
    }
    // Inside of a body that may not run, or run often, nothing from outside changes while it is read.
    const c10::FunctionSchema *schema = node->maybeSchema();
    if (schema && schema->is_mutable() && !stack.empty() && stack[0].isTensor()
        && get(node->inputs()[0])->scope < int(m_growing.size()))
        return false;
    // Nodes that read the tensor as it was stand already: the change becomes a node too.
    if (schema && schema->is_mutable() && !stack.empty() && stack[0].isTensor() &&
        std::ranges::any_of(m_lifted, [&](const auto &entry) {
            return entry.first->has_storage() && entry.first->storage().unsafeGetStorageImpl() == storageOf(stack[0].toTensor());
        }))
        return false;
    try {
        node->getOperation()(stack);
    } catch (const std::exception &error) {
        throw SampleRefused(operatorName(node) + ": " + firstLine(error.what()));
    }
    for (std::size_t i = 0; i < node->outputs().size(); ++i) {
        if (stack[i].isTensor())
            m_kept.push_back(stack[i].toTensor());
        set(node->outputs()[i], fromConstant(stack[i]));
    }
    return true;
}

std::optional<jit::Stack> Walker::runSample(const Node *node, const Values &given)
{
    jit::Stack stack;
    for (const ValuePtr &value : given) {
        auto sample = sampleOf(*value);
        if (!sample)
            return {};
        stack.push_back(std::move(*sample));
    }
    const bool meta = std::ranges::any_of(stack, onMeta);
    if (meta && readsData(node->kind().toQualString()))
        return {};
    try {
        jit::Operation operation = node->getOperation();
        if (meta)
            runOnMeta(node->kind().toQualString(), [&](jit::Stack &s) { operation(s); }, stack);
        else
            operation(stack);
        return stack;
    } catch (const c10::NotImplementedError &) {
        m_result.sampleIncomplete = true;
        return {};
    } catch (const std::exception &error) {
        throw SampleRefused(operatorName(node) + ": " + firstLine(error.what()));
    }
}

namespace {

bool numberResult(const c10::Type &type)
{
    return type.kind() != c10::TypeKind::TensorType && type.kind() != c10::TypeKind::ListType;
}

} // namespace

void Walker::emitOperator(const Node *node)
{
    const Values given = arguments(node);
    const std::string name = operatorName(node);
    auto giveUp = [&](const std::string &reason) {
        for (const jit::Value *output : node->outputs())
            set(output, Value::unknown(reason));
    };
    for (const ValuePtr &value : given)
        if (const std::string *reason = unknownPart(*value))
            return giveUp(*reason);
    const c10::FunctionSchema *schema = node->maybeSchema();
    if (!schema || !node->maybeOperator())
        return giveUp(withPlace("operator " + name, node));
    std::optional<jit::Stack> sample = runSample(node, given);
    std::vector<Argument> arguments;
    for (const ValuePtr &value : given) {
        if (value->kind == Value::Kind::Object)
            return giveUp(withPlace("operator " + name + " on a module", node));
        arguments.push_back(argumentFor(value));
    }
    // A constant that a computed value changes is a constant no longer.
    if (schema->is_mutable() && given[0]->kind == Value::Kind::Constant && given[0]->constant.isTensor()) {
        m_changed.insert(storageOf(given[0]->constant.toTensor()));
        given[0]->sample = given[0]->constant;
        given[0]->id = arguments[0].value;
        given[0]->kind = Value::Kind::Dynamic;
    }
    std::vector<ValueId> outputs;
    for (std::size_t i = 0; i < node->outputs().size(); ++i) {
        std::optional<c10::IValue> known;
        // What is read out of a sample's zeros says nothing.
        if (sample && !(readsData(node->kind().toQualString()) && (*sample)[i].isScalar()))
            known = (*sample)[i];
        outputs.push_back(m_result.graph.addValue(node->outputs()[i]->debugName()));
        const bool grows = node->outputs()[i]->type()->kind() == c10::TypeKind::ListType
            && std::ranges::any_of(given, [](const ValuePtr &value) { return value->growing; });
        ValuePtr made = known && known->isNone() ? Value::ofConstant({}) : Value::dynamic(outputs.back(), known);
        made->growing = grows;
        made->chosen = numberResult(*node->outputs()[i]->type()) && (m_doubtful || std::ranges::any_of(given, [](const ValuePtr &value) { return value->chosen; }));
        set(node->outputs()[i], std::move(made));
    }
    // An operator in place returns what it changed: another name of the same tensor.
    const c10::AliasInfo *self = schema->arguments().empty() ? nullptr : schema->arguments()[0].alias_info();
    if (self && self->isWrite() && node->outputs().size() == 1 && given[0]->kind == Value::Kind::Dynamic) {
        if (const ValuePtr after = get(node->output()); after->sample)
            given[0]->sample = after->sample;
        set(node->output(), given[0]);
    }
    if (!m_options.emit)
        return;
    // A trace of a convolution with padding "same" or "valid" does not name its rank.
    const int weight = name == "aten::_convolution_mode" ? m_result.graph.parameterOf(arguments[1].value) : -1;
    const std::string spelled =
        weight < 0 ? name
                   : "aten::conv" + std::to_string(m_result.graph.parameters[std::size_t(weight)].tensor.dim() - 2) + "d.padding";
    auto made = makeNode(spelled, std::move(arguments), {}, outputs,
                         node->outputs().empty() ? name : node->outputs()[0]->debugName());
    if (!made)
        return giveUp(withPlace(made.error().message, node));
    m_result.graph.nodes.push_back(std::move(*made));
}

ValuePtr Walker::emitGlue(const std::string &op, const Values &given, std::optional<c10::IValue> sample)
{
    for (const ValuePtr &value : given)
        if (const std::string *reason = unknownPart(*value))
            return Value::unknown(*reason);
    std::vector<Argument> arguments;
    for (const ValuePtr &value : given)
        arguments.push_back(argumentFor(value));
    const ValueId id = m_result.graph.addValue(op.substr(op.find(':') + 2) + "_" +
                                               std::to_string(m_result.graph.valueNames.size()));
    if (m_options.emit) {
        auto made = makeNode(op, std::move(arguments), {}, {id}, m_result.graph.valueNames.back());
        if (!made)
            return Value::unknown(made.error().message);
        m_result.graph.nodes.push_back(std::move(*made));
    }
    ValuePtr made = Value::dynamic(id, std::move(sample));
    made->chosen = m_doubtful || std::ranges::any_of(given, [](const ValuePtr &value) { return value->chosen; });
    return made;
}

Argument Walker::argumentFor(const ValuePtr &value)
{
    switch (value->kind) {
    case Value::Kind::Dynamic: return Argument::of(value->id);
    case Value::Kind::Constant:
        if (value->constant.isTensor() && value->constant.toTensor().defined())
            return Argument::of(lift(value->constant.toTensor()));
        return Argument::of(value->constant);
    case Value::Kind::List: {
        const bool tensors = std::ranges::any_of(value->items, [](const ValuePtr &item) {
            return item->kind == Value::Kind::Constant && item->constant.isTensor();
        });
        if (auto constant = constantOf(*value); constant && !tensors)
            return Argument::of(*constant);
        std::vector<Argument> list;
        for (const ValuePtr &item : value->items)
            list.push_back(argumentFor(item));
        return Argument::of(std::move(list));
    }
    case Value::Kind::Tuple: return argumentFor(emitGlue("prim::TupleConstruct", value->items, sampleOf(*value)));
    case Value::Kind::Dict: {
        Values flat;
        for (std::size_t i = 0; i < value->items.size(); ++i) {
            flat.push_back(Value::ofConstant(value->keys[i]));
            flat.push_back(value->items[i]);
        }
        return argumentFor(emitGlue("prim::DictConstruct", flat, sampleOf(*value)));
    }
    default: return {};
    }
}

ValueId Walker::lift(const at::Tensor &tensor)
{
    if (const auto known = m_lifted.find(tensor.unsafeGetTensorImpl()); known != m_lifted.end())
        return known->second;
    if (m_changed.contains(storageOf(tensor)))
        issue("an in-place change of a part of a constant tensor");
    m_kept.push_back(tensor);
    const std::string name = "constant_" + std::to_string(m_lifted.size());
    const ValueId id = m_result.graph.addValue(name);
    m_lifted[tensor.unsafeGetTensorImpl()] = id;
    m_result.graph.parameters.push_back({name, id, tensor, false});
    return id;
}

} // namespace bitwright::torchscript
