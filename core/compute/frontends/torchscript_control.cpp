// SPDX-License-Identifier: GPL-3.0-or-later
// Branches and loops that data decide. Their blocks are walked like any other code, only that the nodes go into a list of
// their own; what is read from outside becomes an input of the body, what changes outside becomes a result of it: values
// that the program assigns, lists that it appends to, attributes that it sets, tensors that it writes in place.
#include "frontends/torchscript_walker.h"

#include "graph/node_builder.h"
#include "graph/operators.h"
#include "graph/subgraph.h"

#include <algorithm>
#include <map>
#include <set>

namespace bitwright::torchscript {

namespace jit = torch::jit;
using Kind = Value::Kind;

namespace {

/// Walks of one loop until what goes round in it is known.
constexpr int kMostWalks = 40;

/// A list or dictionary from outside of a body is changed in it: the branch or loop at this depth must hand it through.
struct OuterChange {
    ValuePtr container;
    std::size_t depth = 0;
};

bool alwaysRaises(const jit::Block *block)
{
    return std::ranges::any_of(block->nodes(), [](const jit::Node *node) {
        if (node->kind() == c10::prim::RaiseException)
            return true;
        return node->kind() == c10::prim::If && alwaysRaises(node->blocks()[0]) && alwaysRaises(node->blocks()[1]);
    });
}

bool isScalar(const Value &value)
{
    if (value.kind == Kind::Constant)
        return value.constant.isScalar();
    return value.kind == Kind::Dynamic && value.sample && value.sample->isScalar();
}

/// Nothing but sizes and arithmetic on them that cannot fail.
bool onlyNumbers(const std::vector<bitwright::Node> &nodes)
{
    static const std::set<std::string> kSafe{"shape", "size", "dim", "add", "sub", "mul", "neg", "min", "max", "eq", "ne",
                                             "lt", "le", "gt", "ge", "and", "or", "not", "ite", "__and__", "__or__", "__not__"};
    return std::ranges::all_of(nodes, [](const bitwright::Node &node) {
        const auto info = findOperator(node.op);
        return info && info->scalar && kSafe.contains(plainName(node.op));
    });
}

/// True where the values of the inputs decide, not only their shapes.
bool dataDecides(const Value &condition)
{
    return !condition.sample || condition.chosen;
}

std::optional<c10::IValue> mergeSamples(const std::optional<bool> &taken, const Value &a, const Value &b)
{
    const auto first = sampleOf(a), second = sampleOf(b);
    if (a.uninitialized || isNone(a))
        return second;
    if (b.uninitialized || isNone(b))
        return first;
    if (taken)
        return *taken ? first : second;
    if (!first || !second || first->tagKind() != second->tagKind())
        return {};
    if (first->isTensor())
        return first->toTensor().dim() == second->toTensor().dim()
                && first->toTensor().scalar_type() == second->toTensor().scalar_type()
            ? first
            : std::nullopt;
    return first->isScalar() ? first : std::nullopt;
}

/// How a node's result shares the memory of its first argument, or null.
const c10::AliasInfo *aliasOf(const bitwright::Node &node)
{
    const auto info = findOperator(node.op);
    const bool value = info && info->schema && !info->schema->arguments().empty() && node.arguments[0].kind == Argument::Kind::Value;
    return value ? info->schema->arguments()[0].alias_info() : nullptr;
}

/// Tensors from outside that these nodes write in place, themselves or through a view.
std::vector<ValueId> writtenOutside(const std::vector<bitwright::Node> &nodes)
{
    std::vector<ValueId> written;
    std::set<ValueId> made;
    std::map<ValueId, ValueId> parent;
    for (const bitwright::Node &node : nodes) {
        const c10::AliasInfo *alias = aliasOf(node);
        if (alias && alias->isWrite()) {
            ValueId root = node.arguments[0].value;
            while (parent.contains(root))
                root = parent[root];
            if (!made.contains(root) && std::ranges::find(written, root) == written.end())
                written.push_back(root);
        }
        for (const ValueId output : node.outputs) {
            made.insert(output);
            if (alias)
                parent[output] = node.arguments[0].value;
        }
    }
    return written;
}

} // namespace

/// What a walk of a block left.
struct Walker::Body {
    Values results;
    std::vector<bitwright::Node> nodes;
    Values lists;                                        ///< the last states of those that may change
    std::map<std::string, ValuePtr> attributes;          ///< that it set
    bool refused = false;
    std::string refusal;
    bool raises = false;                                 ///< nothing is left of it but its refusal
};

/// One value that leaves a branch or goes round in a loop.
struct Walker::Leaf {
    ValuePtr first, second;   ///< of the two branches; or before the loop and after a trip
    ValuePtr inside;          ///< what the body of a loop reads
    ValuePtr out;
};

struct Walker::Loop {
    const Node *node = nullptr;
    std::int64_t done = 0;              ///< trips that were walked before
    ValuePtr trips, going;
    Values carried;
    Values inside;                      ///< parallel to carried
    std::vector<Leaf> leaves;           ///< of carried values, attributes, lists
    std::set<std::size_t> same;         ///< carried values that every trip hands on as they are, maybe written in place
    std::set<std::size_t> blind;        ///< leaves whose sizes change from trip to trip
    std::vector<std::string> attributes;
    Values attributesInside, listsInside;
    ValueId trip = kNoValue, condition = kNoValue;
};

/// Pushes a depth while it lives.
namespace {
struct Depth {
    explicit Depth(std::vector<std::vector<ValuePtr>> &all) : m_all(all), size(all.size()) { m_all.emplace_back(); }
    ~Depth() { leave(); }
    Depth(const Depth &) = delete;
    std::vector<ValuePtr> leave()
    {
        std::vector<ValuePtr> lists;
        if (m_all.size() > size)
            lists = std::move(m_all[size]);
        m_all.resize(std::min(size, m_all.size()));
        return lists;
    }

private:
    std::vector<std::vector<ValuePtr>> &m_all;

public:
    const std::size_t size;
};
} // namespace

ValuePtr Walker::attributeAt(const std::string &path)
{
    if (const auto known = m_attributes.find(path); known != m_attributes.end())
        return known->second;
    c10::IValue object = m_module._ivalue();
    for (std::size_t from = 0;;) {
        const auto dot = path.find('.', from);
        if (!object.isObject() || !object.toObjectRef().type()->hasAttribute(path.substr(from, dot - from)))
            return Value::unknown("attribute " + path);
        object = object.toObjectRef().getAttr(path.substr(from, dot - from));
        if (dot == std::string::npos)
            break;
        from = dot + 1;
    }
    ValuePtr value;
    if (object.isTensor() && object.toTensor().defined() && m_tensors.byName.contains(path))
        value = m_parameterValues[m_tensors.byName.at(path)];
    else
        value = fromAttribute(object);
    value->scope = 0;
    for (const ValuePtr &item : value->items)
        item->scope = 0;
    return m_attributes[path] = value;
}

/// Called before a list or dictionary changes.
void Walker::willChange(const ValuePtr &container)
{
    for (auto depth = std::size_t(std::max(container->scope, 0)); depth < m_growing.size() && container->scope >= 0; ++depth)
        if (std::ranges::find(m_growing[depth], container) == m_growing[depth].end())
            throw OuterChange{container, depth};
}

/// From here on a list is a value that is computed: another list takes its place where it changes. A dictionary keeps
/// its keys, its values are handed on one by one.
void Walker::makeGrowing(const ValuePtr &list)
{
    if (list->kind == Kind::Dict)
        return;
    if (list->kind == Kind::List) {
        // A constant list has the type that the program declares, which an empty one would not get otherwise.
        const auto constant = constantOf(*list);
        const ValuePtr made = constant ? emitGlue("prim::identity", {Value::ofConstant(*constant)}, constant)
                                       : emitGlue("prim::ListConstruct", list->items, sampleOf(*list));
        if (made->kind == Kind::Unknown)
            throw SampleRefused(made->reason);
        list->kind = Kind::Dynamic;
        list->id = made->id;
        list->sample = made->sample;
        list->items.clear();
    }
    list->growing = true;
}

void Walker::replaceList(const ValuePtr &list, ValuePtr changed)
{
    willChange(list);
    if (list->kind == Kind::Dict) {
        if (changed->kind != Kind::Dict)
            throw SampleRefused("a dictionary gets other keys in a branch or loop that depends on data");
        list->items = changed->items;
        list->keys = changed->keys;
        return;
    }
    list->kind = changed->kind;
    list->id = changed->id;
    list->sample = changed->sample;
    list->reason = changed->reason;
    list->growing = true;
}

void Walker::emitNode(bitwright::Result<bitwright::Node> made, const jit::Node *node)
{
    if (made)
        m_result.graph.nodes.push_back(std::move(*made));
    else
        issue(withPlace(made.error().message, node));
}

Walker::Body Walker::walkBody(const Block *block)
{
    Body body;
    auto outer = std::exchange(m_result.graph.nodes, {});
    const auto assigned = std::exchange(m_assigned, {});
    const std::vector<ValuePtr> lists = m_growing.back();
    std::vector<Value> before;
    for (const ValuePtr &list : lists)
        before.push_back(*list);
    const auto leave = [&] {
        body.nodes = std::exchange(m_result.graph.nodes, std::move(outer));
        for (const auto &[path, value] : m_assigned)
            body.attributes[path] = std::exchange(m_attributes[path], value);
        m_assigned = assigned;
        for (std::size_t i = 0; i < lists.size(); ++i)
            body.lists.push_back(std::make_shared<Value>(std::exchange(*lists[i], before[i])));
    };
    try {
        body.results = runBlock(block);
    } catch (const SampleRefused &refused) {
        body.refused = true;
        body.refusal = refused.what();
    } catch (...) {
        leave();
        throw;
    }
    leave();
    return body;
}

/// Views made outside of a tensor that the body writes are made in the body again: there they show what it writes.
void Walker::bringViews(Body &body, const std::vector<Argument> &outputs) const
{
    const std::vector<ValueId> changed = writtenOutside(body.nodes);
    if (changed.empty())
        return;
    std::map<ValueId, std::size_t> maker;
    const std::vector<bitwright::Node> &around = m_result.graph.nodes;
    for (std::size_t i = 0; i < around.size(); ++i)
        if (const auto alias = aliasOf(around[i]); alias && !alias->isWrite())
            for (const ValueId output : around[i].outputs)
                maker[output] = i;
    const auto baseOf = [&](ValueId value, std::set<std::size_t> *made) {
        for (auto found = maker.find(value); found != maker.end(); found = maker.find(value)) {
            if (made)
                made->insert(found->second);
            value = around[found->second].arguments[0].value;
        }
        return value;
    };
    std::set<ValueId> written;
    for (const ValueId value : changed)
        written.insert(baseOf(value, nullptr));
    std::set<std::size_t> wanted;
    for (const ValueId value : freeValues({body.nodes, outputs, {}}))
        if (written.contains(baseOf(value, nullptr)))
            baseOf(value, &wanted);
    std::vector<bitwright::Node> views;
    for (const std::size_t index : wanted)
        views.push_back(around[index]);
    body.nodes.insert(body.nodes.begin(), std::make_move_iterator(views.begin()), std::make_move_iterator(views.end()));
}

Argument Walker::argumentIn(Body &body, const ValuePtr &value)
{
    body.nodes.swap(m_result.graph.nodes);
    const Argument argument = argumentFor(value);
    body.nodes.swap(m_result.graph.nodes);
    return argument;
}

bool Walker::runIf(const Node *node)
{
    const ValuePtr condition = get(node->input());
    const Block *yes = node->blocks()[0], *no = node->blocks()[1];
    const auto inlined = [&](const Block *block) {
        const Values values = runBlock(block);
        for (std::size_t i = 0; i < values.size(); ++i)
            set(node->outputs()[i], values[i]);
        return true;
    };
    if (const auto known = constantOf(*condition); known && known->isBool())
        return inlined(known->toBool() ? yes : no);
    // A branch that can only raise is a check: what runs without an error took the other one.
    const bool read = std::ranges::any_of(node->outputs(), [](const jit::Value *output) { return !output->uses().empty(); });
    // A number of the input is one that the network takes.
    if (condition->chosen && !m_doubtful && condition->sample && condition->sample->isBool()
        && alwaysRaises(condition->sample->toBool() ? yes : no))
        throw SampleRefused("the network refuses the numbers that were tried");
    if ((alwaysRaises(yes) || alwaysRaises(no)) && !(read && dataDecides(*condition)))
        return inlined(alwaysRaises(yes) ? no : yes);
    if (const std::string *reason = unknownPart(*condition)) {
        issue(*reason);
        for (const jit::Value *output : node->outputs())
            set(output, Value::unknown(*reason));
        return true;
    }
    branch(node, condition);
    return true;
}

void Walker::branch(const Node *node, const ValuePtr &condition)
{
    Body yes, no;
    Depth depth(m_growing);
    for (bool again = true; again;) {
        try {
            const bool outer = m_doubtful;
            const bool sampled = condition->chosen && condition->sample && condition->sample->isBool();
            const auto walk = [&](std::size_t which, bool other) {
                m_doubtful = outer || (sampled && other);
                Body body;
                try {
                    body = walkBody(node->blocks()[which]);
                } catch (...) {
                    m_doubtful = outer;
                    throw;
                }
                m_doubtful = outer;
                return body;
            };
            yes = walk(0, sampled && !condition->sample->toBool());
            no = walk(1, sampled && condition->sample->toBool());
            again = false;
        } catch (const OuterChange &change) {
            if (change.depth != depth.size)
                throw;
            makeGrowing(change.container);
            m_growing.back().push_back(change.container);
        }
    }
    const std::vector<ValuePtr> lists = depth.leave();
    std::optional<bool> taken;
    if (!dataDecides(*condition) && condition->sample->isBool())
        taken = condition->sample->toBool();
    const bool sampled = condition->sample && condition->sample->isBool();
    if ((yes.refused && no.refused) || (sampled && !m_doubtful && (condition->sample->toBool() ? yes : no).refused))
        throw SampleRefused((yes.refused ? yes : no).refusal);
    if ((yes.refused || no.refused) && dataDecides(*condition)) {
        Body &gone = yes.refused ? yes : no;
        m_result.branchRefused = m_result.branchRefused || !alwaysRaises(node->blocks()[yes.refused ? 0 : 1]);
        const auto open = Value::unknown(gone.refusal);
        open->uninitialized = true;
        gone.raises = true;
        gone.nodes.clear();
        gone.results.assign(node->outputs().size(), open);
        gone.lists.assign(lists.size(), open);
        for (const auto &entry : (yes.refused ? no : yes).attributes)
            gone.attributes[entry.first] = open;
    } else if (yes.refused || no.refused) {
        // No input of this shape takes that branch.
        Body &other = yes.refused ? no : yes;
        for (std::size_t i = 0; i < lists.size(); ++i)
            *lists[i] = *other.lists[i];
        takeBranch(node, other);
        return;
    }
    if (lists.empty() && !yes.raises && !no.raises && chooseNumbers(node, condition, yes, no))
        return;
    std::vector<Leaf> leaves;
    for (std::size_t i = 0; i < node->outputs().size(); ++i)
        set(node->outputs()[i], node->outputs()[i]->uses().empty() ? yes.results[i]
                                                                    : merge(taken, yes.results[i], no.results[i], leaves));
    std::set<std::string> paths;
    for (const Body *body : {&yes, &no})
        for (const auto &entry : body->attributes)
            paths.insert(entry.first);
    for (const std::string &path : paths) {
        const ValuePtr before = attributeAt(path);
        const auto in = [&](const Body &body) { return body.attributes.contains(path) ? body.attributes.at(path) : before; };
        m_assigned.emplace(path, before);
        m_attributes[path] = merge(taken, in(yes), in(no), leaves);
    }
    for (std::size_t i = 0; i < lists.size(); ++i)
        replaceList(lists[i], merge(taken, yes.lists[i], no.lists[i], leaves));
    for (Leaf &leaf : leaves)
        leaf.out->chosen = m_doubtful || condition->chosen || leaf.first->chosen || leaf.second->chosen;
    emitIf(node, condition, yes, no, leaves);
}

/// The only branch that a network of this input can run: its nodes join those around it.
void Walker::takeBranch(const Node *node, Body &body)
{
    std::ranges::move(body.nodes, std::back_inserter(m_result.graph.nodes));
    for (std::size_t i = 0; i < node->outputs().size(); ++i)
        set(node->outputs()[i], body.results[i]);
    for (const auto &[path, value] : body.attributes) {
        m_assigned.emplace(path, attributeAt(path));
        m_attributes[path] = value;
    }
}

/// Branches that only compute sizes: both are computed and one is chosen.
bool Walker::chooseNumbers(const Node *node, const ValuePtr &condition, Body &yes, Body &no)
{
    if (!yes.attributes.empty() || !no.attributes.empty() || !onlyNumbers(yes.nodes) || !onlyNumbers(no.nodes))
        return false;
    const auto same = [](const ValuePtr &a, const ValuePtr &b) {
        return a == b || (a->kind == Kind::Dynamic && b->kind == Kind::Dynamic && a->id == b->id);
    };
    for (std::size_t i = 0; i < node->outputs().size(); ++i)
        if (!node->outputs()[i]->uses().empty() && !same(yes.results[i], no.results[i])
            && !(isScalar(*yes.results[i]) && isScalar(*no.results[i])))
            return false;
    for (Body *body : {&yes, &no})
        std::ranges::move(body->nodes, std::back_inserter(m_result.graph.nodes));
    for (std::size_t i = 0; i < node->outputs().size(); ++i) {
        const ValuePtr &a = yes.results[i], &b = no.results[i];
        const bool equal = same(a, b) || node->outputs()[i]->uses().empty()
            || (a->kind == Kind::Constant && b->kind == Kind::Constant && a->constant == b->constant);
        std::optional<c10::IValue> sample;
        if (condition->sample && condition->sample->isBool())
            sample = sampleOf(condition->sample->toBool() ? *a : *b);
        set(node->outputs()[i], equal ? a : emitGlue("prim::ite", {condition, a, b}, std::move(sample)));
    }
    return true;
}

/// What a branch leaves: a value of its own where both give the same, containers part by part, else a result of the If.
ValuePtr Walker::merge(const std::optional<bool> &taken, const ValuePtr &a, const ValuePtr &b, std::vector<Leaf> &leaves)
{
    if (a == b || (a->kind == Kind::Dynamic && b->kind == Kind::Dynamic && a->id == b->id))
        return a;
    if (a->kind == Kind::Constant && b->kind == Kind::Constant && !a->constant.isTensor()
        && a->constant.tagKind() == b->constant.tagKind() && a->constant == b->constant)
        return a;
    for (const ValuePtr &value : {a, b}) {
        if (value->kind == Kind::Unknown && !value->uninitialized)
            return value;
        if (value->kind == Kind::Object)
            return Value::unknown("a module that depends on data");
    }
    if (a->uninitialized && b->uninitialized)
        return a;
    const auto isContainer = [](const Value &v) { return v.kind == Kind::List || v.kind == Kind::Tuple || v.kind == Kind::Dict; };
    const bool alike = isContainer(*a) && a->kind == b->kind && a->items.size() == b->items.size() && a->keys == b->keys;
    if (alike || (isContainer(*a) && b->uninitialized) || (isContainer(*b) && a->uninitialized)) {
        const Value &shape = a->uninitialized ? *b : *a;
        auto merged = Value::container(shape.kind, {}, shape.type);
        merged->keys = shape.keys;
        for (std::size_t i = 0; i < shape.items.size(); ++i)
            merged->items.push_back(merge(taken, a->uninitialized ? a : a->items[i], b->uninitialized ? b : b->items[i], leaves));
        return merged;
    }
    const ValueId id = m_result.graph.addValue("branch_" + std::to_string(m_result.graph.valueNames.size()));
    ValuePtr out = Value::dynamic(id, mergeSamples(taken, *a, *b));
    out->optional = isNone(*a) || isNone(*b) || a->optional || b->optional;
    out->growing = a->kind == Kind::List || b->kind == Kind::List || a->growing || b->growing;
    leaves.push_back({a, b, {}, out});
    return out;
}

void Walker::emitIf(const Node *node, const ValuePtr &condition, Body &yes, Body &no, const std::vector<Leaf> &leaves)
{
    if (!m_options.emit)
        return;
    BodyParts a, b;
    std::vector<ValueId> outputs;
    for (const Leaf &leaf : leaves) {
        a.outputs.push_back(argumentIn(yes, leaf.first));
        b.outputs.push_back(argumentIn(no, leaf.second));
        outputs.push_back(leaf.out->id);
    }
    bringViews(yes, a.outputs);
    bringViews(no, b.outputs);
    std::vector<ValueId> written = writtenOutside(yes.nodes);
    for (const ValueId value : writtenOutside(no.nodes))
        if (std::ranges::find(written, value) == written.end())
            written.push_back(value);
    for (const ValueId value : written) {
        a.outputs.push_back(Argument::of(value));
        b.outputs.push_back(Argument::of(value));
        outputs.push_back(m_result.graph.addValue(m_result.graph.valueNames[std::size_t(value)] + "_changed"));
    }
    if (outputs.empty())
        return;
    a.nodes = std::move(yes.nodes);
    b.nodes = std::move(no.nodes);
    const std::vector<ValueId> captured = freeValues(b, freeValues(a));
    const auto cut = [&](const Body &body, BodyParts parts) -> std::shared_ptr<const bitwright::Graph> {
        if (body.raises)
            return raisingBody(body.refusal, captured.size(), outputs.size());
        auto graph = std::make_shared<bitwright::Graph>(cutBody(m_result.graph, std::move(parts), captured));
        if (const Status status = normalize(*graph); !status)
            issue(withPlace(status.error().message, node));
        return graph;
    };
    const Argument decides = argumentFor(condition);
    emitNode(makeIf(m_result.graph.valueNames[std::size_t(outputs.front())], decides, cut(yes, std::move(a)), cut(no, std::move(b)),
                    argumentsOf(captured), outputs),
             node);
    for (std::size_t i = 0; i < written.size(); ++i)
        emitNode(makeNode("aten::copy_", {Argument::of(written[i]), Argument::of(outputs[leaves.size() + i])}, {},
                          {m_result.graph.addValue("copied")}, "copied"),
                 node);
}

bool Walker::runLoop(const Node *node)
{
    const Block *body = node->blocks()[0];
    const Values given = arguments(node);
    Values carried(given.begin() + 2, given.end());
    for (const ValuePtr &value : {given[0], given[1]})
        if (const std::string *reason = unknownPart(*value)) {
            issue(*reason);
            for (const jit::Value *output : node->outputs())
                set(output, Value::unknown(*reason));
            return true;
        }
    const auto trips = constantOf(*given[0]);
    ValuePtr going = given[1];
    std::int64_t trip = 0;
    for (; trips && trips->isInt() && trip < trips->toInt(); ++trip) {
        const auto go = constantOf(*going);
        if (!go || !go->isBool() || !go->toBool())
            break;
        set(body->inputs()[0], Value::ofConstant(trip));
        for (std::size_t i = 0; i < carried.size(); ++i)
            set(body->inputs()[i + 1], carried[i]);
        const Values results = runBlock(body);
        going = results[0];
        carried.assign(results.begin() + 1, results.end());
    }
    const bool counted = trips && trips->isInt();
    const auto go = constantOf(*going);
    if ((counted && trip >= trips->toInt()) || (go && go->isBool() && !go->toBool())) {
        for (std::size_t i = 0; i < carried.size(); ++i)
            set(node->outputs()[i], carried[i]);
        return true;
    }
    loop(node, trip, counted ? Value::ofConstant(trips->toInt() - trip) : given[0], going, carried);
    return true;
}

void Walker::loop(const Node *node, std::int64_t done, const ValuePtr &trips, const ValuePtr &going, const Values &carried)
{
    Loop loop;
    loop.node = node;
    loop.done = done;
    loop.trips = trips;
    loop.going = going;
    loop.carried = carried;
    const std::vector<std::string> issues = m_result.issues;
    Depth depth(m_growing);
    Body body;
    bool known = false;
    for (int walk = 0; !known && walk < kMostWalks; ++walk) {
        m_result.issues = issues;
        try {
            known = walkLoop(loop, body);
        } catch (const OuterChange &change) {
            if (change.depth != depth.size)
                throw;
            makeGrowing(change.container);
            m_growing.back().push_back(change.container);
        }
    }
    if (!known)
        throw SampleRefused(withPlace("what goes round in a loop changes its type from trip to trip", node));
    const std::vector<ValuePtr> lists = depth.leave();
    emitLoop(loop, body);
    std::size_t next = 0;
    for (std::size_t i = 0; i < carried.size(); ++i)
        set(node->outputs()[i], loop.same.contains(i) ? carried[i] : afterLoop(loop.inside[i], next, loop.leaves));
    for (std::size_t i = 0; i < loop.attributes.size(); ++i) {
        m_assigned.emplace(loop.attributes[i], attributeAt(loop.attributes[i]));
        m_attributes[loop.attributes[i]] = afterLoop(loop.attributesInside[i], next, loop.leaves);
    }
    for (std::size_t i = 0; i < lists.size(); ++i)
        replaceList(lists[i], afterLoop(loop.listsInside[i], next, loop.leaves));
}

/// The value as the body reads it: an input of the body for each part.
ValuePtr Walker::openLeaves(const ValuePtr &value, std::vector<Leaf> &leaves)
{
    if (value->kind == Kind::Tuple || value->kind == Kind::Dict) {
        auto inside = Value::container(value->kind, {}, value->type);
        inside->keys = value->keys;
        for (const ValuePtr &item : value->items)
            inside->items.push_back(openLeaves(item, leaves));
        return inside;
    }
    if (value->kind == Kind::Object || (value->kind == Kind::Unknown && !value->uninitialized))
        return value;
    auto inside = Value::dynamic(m_result.graph.addValue("carried_" + std::to_string(m_result.graph.valueNames.size())),
                                 value->uninitialized || isNone(*value) ? std::nullopt : sampleOf(*value));
    inside->chosen = value->chosen;
    inside->optional = isNone(*value) || value->optional;
    inside->growing = value->kind == Kind::List || value->growing;
    leaves.push_back({value, {}, inside, {}});
    return inside;
}

/// Finds what each part is at the end of a trip.
void Walker::closeLeaves(const ValuePtr &inside, const ValuePtr &result, std::size_t &next, std::vector<Leaf> &leaves)
{
    if (inside->kind == Kind::Tuple || inside->kind == Kind::Dict) {
        const bool alike = result->kind == inside->kind && result->items.size() == inside->items.size() && result->keys == inside->keys;
        for (std::size_t i = 0; i < inside->items.size(); ++i) {
            ValuePtr part = alike ? result->items[i] : Value::unknown("a tuple whose form changes in a loop");
            if (!alike && inside->kind == Kind::Tuple && result->kind == Kind::Dynamic)
                part = emitGlue("prim::getitem", {result, Value::ofConstant(std::int64_t(i))}, {});
            closeLeaves(inside->items[i], part, next, leaves);
        }
        return;
    }
    if (inside->kind == Kind::Dynamic)
        leaves[next++].second = result;
}

ValuePtr Walker::afterLoop(const ValuePtr &inside, std::size_t &next, const std::vector<Leaf> &leaves)
{
    if (inside->kind == Kind::Tuple || inside->kind == Kind::Dict) {
        auto after = Value::container(inside->kind, {}, inside->type);
        after->keys = inside->keys;
        for (const ValuePtr &item : inside->items)
            after->items.push_back(afterLoop(item, next, leaves));
        return after;
    }
    return inside->kind == Kind::Dynamic ? leaves[next++].out : inside;
}

/// Walks the body once. False where the walk showed more that goes round: walk again.
bool Walker::walkLoop(Loop &loop, Body &body)
{
    const Block *block = loop.node->blocks()[0];
    bitwright::Graph &graph = m_result.graph;
    loop.leaves.clear();
    loop.inside.clear();
    loop.attributesInside.clear();
    loop.listsInside.clear();
    loop.trip = graph.addValue("trip_" + std::to_string(graph.valueNames.size()));
    loop.condition = graph.addValue("condition_" + std::to_string(graph.valueNames.size()));
    for (std::size_t i = 0; i < loop.carried.size(); ++i) {
        loop.inside.push_back(loop.same.contains(i) ? loop.carried[i] : openLeaves(loop.carried[i], loop.leaves));
        set(block->inputs()[i + 1], loop.inside.back());
    }
    std::vector<std::pair<std::string, ValuePtr>> before;
    for (const std::string &path : loop.attributes) {
        before.emplace_back(path, attributeAt(path));
        loop.attributesInside.push_back(openLeaves(before.back().second, loop.leaves));
        m_attributes[path] = loop.attributesInside.back();
    }
    const std::vector<ValuePtr> lists = m_growing.back();
    std::vector<Value> outside;
    for (const ValuePtr &list : lists) {
        outside.push_back(*list);
        loop.listsInside.push_back(openLeaves(std::make_shared<Value>(*list), loop.leaves));
        list->id = loop.listsInside.back()->id;
        list->items = loop.listsInside.back()->items;
    }
    for (std::size_t i = 0; i < loop.leaves.size(); ++i)
        if (loop.blind.contains(i))
            loop.leaves[i].inside->sample.reset();
    const auto restore = [&] {
        for (const auto &[path, value] : before)
            m_attributes[path] = value;
        for (std::size_t i = 0; i < lists.size(); ++i)
            *lists[i] = outside[i];
    };
    // The trip number counts those that were walked before the loop too.
    std::vector<bitwright::Node> prologue;
    ValuePtr trip = Value::dynamic(loop.trip, c10::IValue(std::int64_t(0)));
    if (loop.done > 0) {
        prologue.swap(graph.nodes);
        trip = emitGlue("prim::add", {trip, Value::ofConstant(loop.done)}, c10::IValue(loop.done));
        prologue.swap(graph.nodes);
    }
    set(block->inputs()[0], trip);
    try {
        body = walkBody(block);
    } catch (...) {
        restore();
        throw;
    }
    restore();
    if (body.refused)
        throw SampleRefused(body.refusal);
    body.nodes.insert(body.nodes.begin(), std::make_move_iterator(prologue.begin()), std::make_move_iterator(prologue.end()));
    std::size_t next = 0;
    body.nodes.swap(graph.nodes);
    bool known = true;
    for (std::size_t i = 0; i < loop.carried.size(); ++i)
        if (!loop.same.contains(i) && body.results[i + 1] == loop.inside[i]) {
            loop.same.insert(i);
            known = false;
        }
    for (std::size_t i = 0; known && i < loop.carried.size(); ++i)
        if (!loop.same.contains(i))
            closeLeaves(loop.inside[i], body.results[i + 1], next, loop.leaves);
    for (std::size_t i = 0; known && i < loop.attributes.size(); ++i) {
        const auto set = body.attributes.find(loop.attributes[i]);
        closeLeaves(loop.attributesInside[i], set == body.attributes.end() ? loop.attributesInside[i] : set->second, next, loop.leaves);
    }
    body.nodes.swap(graph.nodes);
    if (!known)
        return false;
    body.nodes.swap(graph.nodes);
    for (std::size_t i = 0; i < lists.size(); ++i)
        closeLeaves(loop.listsInside[i], body.lists[i], next, loop.leaves);
    body.nodes.swap(graph.nodes);
    for (const auto &[path, value] : body.attributes)
        if (std::ranges::find(loop.attributes, path) == loop.attributes.end()) {
            loop.attributes.push_back(path);
            known = false;
        }
    for (std::size_t i = 0; i < loop.leaves.size(); ++i) {
        if (loop.leaves[i].inside->growing)
            continue;
        const auto &inside = loop.leaves[i].inside->sample;
        const auto after = loop.leaves[i].second ? sampleOf(*loop.leaves[i].second) : std::nullopt;
        const bool alike = !inside || (after && inside->tagKind() == after->tagKind()
                                       && (!inside->isTensor() || (inside->toTensor().dim() == after->toTensor().dim()
                                                                    && inside->toTensor().scalar_type() == after->toTensor().scalar_type())));
        if (!alike && loop.blind.insert(i).second)
            known = false;
    }
    return known;
}

void Walker::emitLoop(Loop &loop, Body &body)
{
    bitwright::Graph &graph = m_result.graph;
    const auto count = sampleOf(*loop.trips);
    const auto go = constantOf(*loop.going);
    const bool whole = count && count->isInt() && go && go->isBool();
    for (Leaf &leaf : loop.leaves) {
        leaf.out = Value::dynamic(graph.addValue("loop_" + std::to_string(graph.valueNames.size())), {});
        leaf.out->chosen = m_doubtful || loop.trips->chosen || loop.going->chosen || leaf.first->chosen || leaf.second->chosen;
        leaf.out->optional = leaf.inside->optional;
        leaf.out->growing = leaf.inside->growing;
        if (const std::string *reason = unknownPart(*leaf.second); reason && !leaf.second->uninitialized) {
            *leaf.out = *Value::unknown(*reason);
            continue;
        }
        const auto first = sampleOf(*leaf.inside), second = sampleOf(*leaf.second);
        if (!leaf.out->growing) {
            leaf.out->sample = leaf.inside->sample ? second : std::nullopt;
            continue;
        }
        // As long as the loop makes it, where the length of the loop is known for the sample.
        if (!whole || !first || !second || !first->isList() || !second->isList())
            continue;
        const auto from = first->toListRef().vec(), to = second->toListRef().vec();
        constexpr std::int64_t kLongest = 100'000;
        if (to.size() < from.size() || (to.empty()) || count->toInt() > kLongest)
            continue;
        std::vector<c10::IValue> all = from;
        for (std::int64_t trip = 0; trip < count->toInt(); ++trip)
            all.insert(all.end(), to.begin() + std::ptrdiff_t(from.size()), to.end());
        leaf.out->sample = makeList(std::move(all), Want::List);
    }
    if (!m_options.emit)
        return;
    BodyParts parts;
    parts.inputs = {loop.trip, loop.condition};
    LoopParts made;
    std::vector<ValueId> outputs;
    parts.outputs.push_back(argumentIn(body, body.results[0]));
    for (const Leaf &leaf : loop.leaves) {
        parts.inputs.push_back(leaf.inside->id);
        parts.outputs.push_back(argumentIn(body, leaf.second));
        made.carried.push_back(argumentFor(leaf.first));
        outputs.push_back(leaf.out->kind == Kind::Dynamic ? leaf.out->id : graph.addValue("unknown"));
    }
    bringViews(body, parts.outputs);
    const std::vector<ValueId> written = writtenOutside(body.nodes);
    std::vector<std::pair<ValueId, ValueId>> copies;
    for (const ValueId value : written) {
        if (std::ranges::find(parts.inputs, value) != parts.inputs.end()) {
            issue(withPlace("an in-place change of what goes round in a loop", loop.node));
            continue;
        }
        parts.inputs.push_back(value);
        parts.outputs.push_back(Argument::of(value));
        made.carried.push_back(Argument::of(value));
        outputs.push_back(graph.addValue(graph.valueNames[std::size_t(value)] + "_changed"));
        copies.emplace_back(value, outputs.back());
    }
    if (outputs.empty())
        return;
    parts.nodes = std::move(body.nodes);
    const std::vector<ValueId> captured = freeValues(parts);
    auto inner = std::make_shared<bitwright::Graph>(cutBody(graph, std::move(parts), captured));
    if (const Status status = normalize(*inner); !status)
        issue(withPlace(status.error().message, loop.node));
    made.body = std::move(inner);
    made.trips = argumentFor(loop.trips);
    made.condition = argumentFor(loop.going);
    made.captured = argumentsOf(captured);
    emitNode(makeLoop(graph.valueNames[std::size_t(outputs.front())], std::move(made), outputs), loop.node);
    for (const auto &[value, changed] : copies)
        emitNode(makeNode("aten::copy_", {Argument::of(value), Argument::of(changed)}, {}, {graph.addValue("copied")}, "copied"),
                 loop.node);
}

} // namespace bitwright::torchscript
