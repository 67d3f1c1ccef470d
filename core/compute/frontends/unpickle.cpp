// SPDX-License-Identifier: GPL-3.0-or-later
// A reader of the part of Python's pickle that state dicts are written in. It builds plain values and runs nothing.
#include "frontends/pt2_archive.h"
#include "frontends/weights_file.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <string_view>

namespace bitwright {

namespace {

enum class Kind : std::uint8_t { None, Bool, Int, Float, Text, List, Dict, Global, Storage, Tensor, Opaque };

/// Lives in the arena of the reader, so that cycles and deep nesting cost nothing when it ends.
struct Value {
    Kind kind = Kind::Opaque;
    std::int64_t number = 0;
    std::string text;                   ///< text, global "module name", key of a storage
    std::vector<Value *> items;         ///< of lists and tuples; of dicts key, value, key, value…
    at::ScalarType type = at::kFloat;   ///< of a storage
    at::Tensor tensor;
    int depth = 0;                      ///< of nesting once it is counted, kOpen while it is
};

constexpr std::size_t kMostValues = 4'000'000;
constexpr int kDeepest = 32, kDeepestValue = 1000, kOpen = -1;
constexpr std::size_t kLongestName = 4096;   // of globals, storages and tensors: copied often

std::optional<at::ScalarType> typeOf(const std::string &global)
{
    static const std::map<std::string, at::ScalarType> kTypes{
        {"FloatStorage", at::kFloat}, {"DoubleStorage", at::kDouble}, {"HalfStorage", at::kHalf},
        {"BFloat16Storage", at::kBFloat16}, {"LongStorage", at::kLong}, {"IntStorage", at::kInt},
        {"ShortStorage", at::kShort}, {"CharStorage", at::kChar}, {"ByteStorage", at::kByte}, {"BoolStorage", at::kBool},
        {"ComplexFloatStorage", at::kComplexFloat}, {"ComplexDoubleStorage", at::kComplexDouble}, {"UntypedStorage", at::kByte},
        {"float32", at::kFloat}, {"float64", at::kDouble}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16},
        {"int64", at::kLong}, {"int32", at::kInt}, {"int16", at::kShort}, {"int8", at::kChar}, {"uint8", at::kByte},
        {"bool", at::kBool}, {"uint16", at::ScalarType::UInt16}, {"uint32", at::ScalarType::UInt32},
        {"uint64", at::ScalarType::UInt64}, {"float8_e4m3fn", at::ScalarType::Float8_e4m3fn},
        {"float8_e5m2", at::ScalarType::Float8_e5m2}};
    for (const char *module : {"torch ", "torch.storage "})
        if (global.starts_with(module)) {
            const auto found = kTypes.find(global.substr(std::strlen(module)));
            return found == kTypes.end() ? std::nullopt : std::optional(found->second);
        }
    return {};
}

class Unpickler {
public:
    Unpickler(const std::string &bytes, StorageSource *storages) : m_bytes(bytes), m_storages(storages) {}
    /// For a check: every value is kept with its parts, and no tensor is made.
    Unpickler(const std::string &bytes, const StorageBytes &sizes) : m_bytes(bytes), m_sizes(&sizes) {}
    Result<Value *> run();
    Status checkDepth();

private:
    [[nodiscard]] std::unexpected<Error> broken(const std::string &what) const
    {
        return fail(ErrorKind::Parse, "the pickle is damaged at byte " + std::to_string(m_at) + ", " + what);
    }
    Value *make(Kind kind);
    Value *number(Kind kind, std::int64_t value);
    Result<std::uint64_t> unsignedOf(std::size_t bytes);
    Result<std::string> take(std::uint64_t bytes);
    Result<std::string> line();
    Result<Value *> pop();
    Result<std::vector<Value *>> popMark();
    Status push(Value *value);
    Status step(std::uint8_t op);
    Status text(std::size_t lengthBytes, Kind kind);
    Status pushWith(std::vector<Value *> parts);
    Status global(const std::string &module, const std::string &name);
    Status longNumber(std::size_t lengthBytes);
    Status tuple(std::size_t count);
    Status memoize(std::uint64_t key);
    Status recall(std::uint64_t key);
    Status append(std::vector<Value *> values, Kind kind);
    Status persistent();
    Status call();
    Result<Value *> rebuild(const std::vector<Value *> &arguments, bool typed);
    Result<Pt2Weight> viewOf(const std::vector<Value *> &arguments, at::ScalarType type) const;
    Status checkStorage(Value *id);
    Status checkCall(Value *function, Value *arguments);

    const std::string &m_bytes;
    StorageSource *m_storages = nullptr;
    const StorageBytes *m_sizes = nullptr;
    std::size_t m_at = 0;
    std::deque<Value> m_arena;
    std::vector<Value *> m_stack;
    std::vector<std::size_t> m_marks;
    std::map<std::uint64_t, Value *> m_memo;
};

Value *Unpickler::make(Kind kind)
{
    m_arena.emplace_back().kind = kind;
    return &m_arena.back();
}

Value *Unpickler::number(Kind kind, std::int64_t value)
{
    Value *made = make(kind);
    made->number = value;
    return made;
}

Result<std::string> Unpickler::take(std::uint64_t bytes)
{
    if (bytes > m_bytes.size() - m_at)
        return broken("it ends too early");
    m_at += std::size_t(bytes);
    return m_bytes.substr(m_at - std::size_t(bytes), std::size_t(bytes));
}

Result<std::uint64_t> Unpickler::unsignedOf(std::size_t bytes)
{
    BW_ASSIGN(const std::string raw, take(bytes));
    std::uint64_t value = 0;
    for (std::size_t i = bytes; i-- > 0;)
        value = value << 8 | std::uint8_t(raw[i]);
    return value;
}

Result<std::string> Unpickler::line()
{
    const auto end = m_bytes.find('\n', m_at);
    if (end == std::string::npos)
        return broken("it ends too early");
    std::string text = m_bytes.substr(m_at, end - m_at);
    m_at = end + 1;
    return text;
}

Result<Value *> Unpickler::pop()
{
    if (m_stack.empty() || (!m_marks.empty() && m_stack.size() <= m_marks.back()))
        return broken("a value is missing");
    Value *value = m_stack.back();
    m_stack.pop_back();
    return value;
}

Result<std::vector<Value *>> Unpickler::popMark()
{
    if (m_marks.empty())
        return broken("a mark is missing");
    std::vector<Value *> values(m_stack.begin() + std::ptrdiff_t(m_marks.back()), m_stack.end());
    m_stack.resize(m_marks.back());
    m_marks.pop_back();
    return values;
}

Status Unpickler::push(Value *value)
{
    if (m_arena.size() > kMostValues || m_stack.size() > kMostValues)
        return fail(ErrorKind::Parse, "the pickle holds more values than any state dict");
    m_stack.push_back(value);
    return {};
}

Status Unpickler::text(std::size_t lengthBytes, Kind kind)
{
    BW_ASSIGN(const std::uint64_t length, unsignedOf(lengthBytes));
    BW_ASSIGN(std::string content, take(length));
    Value *value = make(kind);
    value->text = std::move(content);
    return push(value);
}

/// An object that is not known, made of these.
Status Unpickler::pushWith(std::vector<Value *> parts)
{
    Value *value = make(Kind::Opaque);
    if (!m_storages)
        value->items = std::move(parts);
    return push(value);
}

Status Unpickler::global(const std::string &module, const std::string &name)
{
    if (module.size() + name.size() > kLongestName)
        return broken("a name is too long");
    Value *value = make(Kind::Global);
    value->text = module + ' ' + name;
    return push(value);
}

Status Unpickler::longNumber(std::size_t lengthBytes)
{
    BW_ASSIGN(const std::uint64_t length, unsignedOf(lengthBytes));
    BW_ASSIGN(const std::string raw, take(length));
    if (raw.size() > 8)
        return push(make(Kind::Opaque));
    std::uint64_t value = !raw.empty() && (raw.back() & 0x80) ? ~std::uint64_t(0) : 0;
    for (std::size_t i = raw.size(); i-- > 0;)
        value = value << 8 | std::uint8_t(raw[i]);
    return push(number(Kind::Int, std::int64_t(value)));
}

Status Unpickler::tuple(std::size_t count)
{
    Value *value = make(Kind::List);
    value->items.resize(count);
    for (std::size_t i = count; i-- > 0;) {
        BW_ASSIGN(value->items[i], pop());
    }
    return push(value);
}

Status Unpickler::memoize(std::uint64_t key)
{
    if (m_stack.empty())
        return broken("a value is missing");
    if (key > m_arena.size())   // LibTorch makes a table that long
        return broken("it keeps a value under an impossible number");
    m_memo[key] = m_stack.back();
    return {};
}

Status Unpickler::recall(std::uint64_t key)
{
    const auto found = m_memo.find(key);
    return found == m_memo.end() ? Status(broken("it recalls what it never kept")) : push(found->second);
}

Status Unpickler::append(std::vector<Value *> values, Kind kind)
{
    if (m_stack.empty())
        return broken("a value is missing");
    if (kind == Kind::Dict && values.size() % 2 != 0)
        return broken("a key has no value");
    Value *target = m_stack.back();
    if (target->kind == kind || !m_storages)
        target->items.insert(target->items.end(), values.begin(), values.end());
    return {};   // into an object that is not known: left out
}

/// ('storage', torch.FloatStorage, 'key', 'cpu', count)
Status Unpickler::persistent()
{
    BW_ASSIGN(Value * id, pop());
    const auto &items = id->items;
    if (m_sizes)
        return checkStorage(id);
    if (id->kind != Kind::List || items.size() < 5 || items[0]->text != "storage" || items[2]->kind != Kind::Text)
        return push(make(Kind::Opaque));
    if (items[2]->text.size() > kLongestName)
        return broken("a name is too long");
    const auto type = items[1]->kind == Kind::Global ? typeOf(items[1]->text) : std::nullopt;
    Value *storage = make(type ? Kind::Storage : Kind::Opaque);
    storage->text = items[2]->text;
    storage->type = type.value_or(at::kFloat);
    return push(storage);
}

/// The same for LibTorch, which takes the number of elements from here and not from the record.
Status Unpickler::checkStorage(Value *id)
{
    static const std::map<std::string, std::size_t> kWidths{
        {"torch QInt8Storage", 1}, {"torch QUInt8Storage", 1}, {"torch QInt32Storage", 4}, {"torch ComplexHalfStorage", 4}};
    const auto &items = id->items;
    const bool whole = id->kind == Kind::List && items.size() >= 5 && items[0]->text == "storage" && items[1]->kind == Kind::Global &&
                       items[2]->kind == Kind::Text && items[4]->kind == Kind::Int;
    if (!whole || items[2]->text.size() > kLongestName)
        return broken("a storage is not described");
    const auto known = typeOf(items[1]->text);
    const auto other = kWidths.find(items[1]->text);
    if (!known && other == kWidths.end())
        return fail(ErrorKind::Unsupported, "storages of type " + items[1]->text + " are not known here");
    const std::size_t width = known ? c10::elementSize(*known) : other->second;
    BW_ASSIGN(const std::uint64_t bytes, (*m_sizes)(items[2]->text));
    if (items[4]->number < 0 || std::uint64_t(items[4]->number) > bytes / width)
        return broken("storage " + items[2]->text + " is shorter than its description says");
    Value *storage = make(Kind::Storage);
    storage->text = items[2]->text;
    // a type of the same width, for the arithmetic
    storage->type = known ? *known : width == 1 ? at::kByte : at::kInt;
    storage->number = items[4]->number * std::int64_t(width);
    storage->items = {id};
    return push(storage);
}

/// A call that LibTorch makes. Those that make tensors are looked at.
Status Unpickler::checkCall(Value *function, Value *arguments)
{
    const std::string name = function->kind == Kind::Global ? function->text : "";
    if (name.starts_with("torch._utils _rebuild_sparse"))
        return fail(ErrorKind::Unsupported, "sparse tensors are not known here");
    if (name.starts_with("torch._utils _rebuild_") && name.find("parameter") == std::string::npos) {
        const auto &items = arguments->items;
        if (arguments->kind != Kind::List || items.size() < 4 || items[0]->kind != Kind::Storage || items[1]->kind != Kind::Int ||
            items[2]->kind != Kind::List || items[3]->kind != Kind::List)
            return broken("a tensor is not described");
        BW_ASSIGN(const Pt2Weight view, viewOf(items, items[0]->type));
        BW_CHECK(checkView(items[0]->number, view));
    }
    return pushWith({function, arguments});
}

Result<Pt2Weight> Unpickler::viewOf(const std::vector<Value *> &arguments, at::ScalarType type) const
{
    Pt2Weight view{"storage " + arguments[0]->text, type, {}, {}, arguments[1]->number};
    const auto numbers = [](const Value *list, std::vector<std::int64_t> &into) {
        for (const Value *item : list->items)
            into.push_back(item->kind == Kind::Int ? item->number : -1);
    };
    if (arguments[2]->items.size() > 64 || arguments[3]->items.size() != arguments[2]->items.size())
        return broken("a tensor has impossible sizes");
    numbers(arguments[2], view.sizes);
    numbers(arguments[3], view.strides);
    return view;
}

/// (storage, offset, size, stride, …): a view that must lie inside its storage.
Result<Value *> Unpickler::rebuild(const std::vector<Value *> &arguments, bool typed)
{
    if (arguments.size() < (typed ? 7U : 4U) || arguments[0]->kind != Kind::Storage || arguments[1]->kind != Kind::Int ||
        arguments[2]->kind != Kind::List || arguments[3]->kind != Kind::List)
        return make(Kind::Opaque);
    const auto type = typed ? typeOf(arguments[6]->text) : std::optional(arguments[0]->type);
    if (!type)
        return make(Kind::Opaque);
    const std::string &key = arguments[0]->text;
    BW_ASSIGN(const Pt2Weight view, viewOf(arguments, *type));
    BW_ASSIGN(const at::Tensor bytes, m_storages->bytes(key));
    Value *made = make(Kind::Tensor);
    BW_ASSIGN(made->tensor, pt2View(bytes, view));
    // No state dict's weights are views that repeat their storage.
    if (made->tensor.numel() > bytes.numel() / std::int64_t(c10::elementSize(*type)))
        return fail(ErrorKind::Unsupported, "a tensor repeats the values of its storage " + key + "; save it after .contiguous()");
    return made;
}

Status Unpickler::call()
{
    BW_ASSIGN(Value * arguments, pop());
    BW_ASSIGN(Value * function, pop());
    if (m_sizes)
        return checkCall(function, arguments);
    const std::string name = function->kind == Kind::Global && arguments->kind == Kind::List ? function->text : "";
    if (name == "collections OrderedDict" && arguments->items.empty())
        return push(make(Kind::Dict));
    if (name == "torch._utils _rebuild_tensor_v2" || name == "torch._utils _rebuild_tensor_v3") {
        BW_ASSIGN(Value * tensor, rebuild(arguments->items, name.back() == '3'));
        return push(tensor);
    }
    if ((name == "torch._utils _rebuild_parameter" || name == "torch._utils _rebuild_parameter_with_state") && !arguments->items.empty())
        return push(arguments->items[0]);
    return push(make(Kind::Opaque));   // never run
}

// NOLINTNEXTLINE(readability-function-size): one line per opcode
Status Unpickler::step(std::uint8_t op)
{
    const auto counted = [&](std::size_t bytes, auto member) -> Status {
        BW_ASSIGN(const std::uint64_t value, unsignedOf(bytes));
        return (this->*member)(value);
    };
    switch (op) {
    case 0x80: BW_CHECK(take(1)); return {};                                    // PROTO
    case 0x95: BW_CHECK(take(8)); return {};                                    // FRAME
    case '(': m_marks.push_back(m_stack.size()); return {};
    case '0': BW_CHECK(pop()); return {};
    case '1': BW_CHECK(popMark()); return {};
    case '2': return m_stack.empty() ? Status(broken("a value is missing")) : push(m_stack.back());
    case 'N': return push(make(Kind::None));
    case 0x88: case 0x89: return push(number(Kind::Bool, op == 0x88));
    case 'K': { BW_ASSIGN(const auto value, unsignedOf(1)); return push(number(Kind::Int, std::int64_t(value))); }
    case 'M': { BW_ASSIGN(const auto value, unsignedOf(2)); return push(number(Kind::Int, std::int64_t(value))); }
    case 'J': { BW_ASSIGN(const auto value, unsignedOf(4)); return push(number(Kind::Int, std::int32_t(std::uint32_t(value)))); }
    case 0x8a: return longNumber(1);
    case 0x8b: return longNumber(4);
    case 'G': BW_CHECK(take(8)); return push(make(Kind::Float));
    case 'X': return text(4, Kind::Text);
    case 0x8c: return text(1, Kind::Text);
    case 0x8d: return text(8, Kind::Text);
    case 'U': return text(1, Kind::Text);
    case 'T': return text(4, Kind::Text);
    case 'C': return text(1, Kind::Opaque);
    case 'B': return text(4, Kind::Opaque);
    case 0x8e: case 0x96: return text(8, Kind::Opaque);
    case ']': case ')': case 0x8f: return push(make(Kind::List));
    case '}': return push(make(Kind::Dict));
    case 0x85: return tuple(1);
    case 0x86: return tuple(2);
    case 0x87: return tuple(3);
    case 't': case 'l': case 'd': case 0x91: {
        BW_ASSIGN(auto values, popMark());
        Value *made = make(op == 'd' ? Kind::Dict : Kind::List);
        BW_CHECK(push(made));
        return append(std::move(values), made->kind);
    }
    case 'a': { BW_ASSIGN(Value * value, pop()); return append({value}, Kind::List); }
    case 'e': case 0x90: { BW_ASSIGN(auto values, popMark()); return append(std::move(values), Kind::List); }
    case 's': {
        BW_ASSIGN(Value * value, pop());
        BW_ASSIGN(Value * key, pop());
        return append({key, value}, Kind::Dict);
    }
    case 'u': { BW_ASSIGN(auto values, popMark()); return append(std::move(values), Kind::Dict); }
    case 'q': return counted(1, &Unpickler::memoize);
    case 'r': return counted(4, &Unpickler::memoize);
    case 0x94: return memoize(m_memo.size());
    case 'h': return counted(1, &Unpickler::recall);
    case 'j': return counted(4, &Unpickler::recall);
    case 'c': {
        BW_ASSIGN(const std::string module, line());
        BW_ASSIGN(const std::string name, line());
        return global(module, name);
    }
    case 0x93: {
        BW_ASSIGN(Value * name, pop());
        BW_ASSIGN(Value * module, pop());
        return global(module->text, name->text);
    }
    case 'R': return call();
    case 0x81: case 0x92: {                                                     // NEWOBJ, NEWOBJ_EX
        std::vector<Value *> parts(op == 0x81 ? 2 : 3);
        for (Value *&part : parts) {
            BW_ASSIGN(part, pop());
        }
        return pushWith(std::move(parts));
    }
    case 'b': {                                                                 // BUILD: a state, which is not set
        BW_ASSIGN(Value * state, pop());
        if (m_stack.empty())
            return broken("a value is missing");
        if (!m_storages)
            m_stack.back()->items.push_back(state);
        return {};
    }
    case 'Q': return persistent();
    default: return broken("the instruction " + std::to_string(op) + " is none that state dicts are written with");
    }
}

Result<Value *> Unpickler::run()
{
    while (m_at < m_bytes.size()) {
        const auto op = std::uint8_t(m_bytes[m_at++]);
        if (op == '.')
            return pop();
        BW_CHECK(step(op));
        if (m_marks.size() > kMostValues)
            return broken("it nests too deeply");
    }
    return broken("it ends too early");
}

/// Counts how deep values nest, without calling itself.
Status Unpickler::checkDepth()
{
    std::vector<std::pair<Value *, std::size_t>> path;   // and the next of its items
    for (Value &root : m_arena) {
        if (root.depth == 0)
            path.emplace_back(&root, 0);
        while (!path.empty()) {
            auto &[value, next] = path.back();
            if (next == value->items.size()) {
                int deepest = 0;
                for (const Value *item : value->items)
                    deepest = std::max(deepest, item->depth);
                value->depth = deepest + 1;
                path.pop_back();
                if (deepest > kDeepestValue)
                    return fail(ErrorKind::Parse, "its values nest deeper than " + std::to_string(kDeepestValue));
                continue;
            }
            value->depth = kOpen;
            Value *item = value->items[next++];
            if (item->depth == kOpen)
                return fail(ErrorKind::Parse, "a value contains itself");
            if (item->depth == 0)
                path.emplace_back(item, 0);
        }
    }
    return {};
}

/// Walks the dictionaries and collects their tensors.
struct Flattener {
    NamedTensors tensors;
    std::map<std::string, std::size_t> places;   ///< of the tensors, by name
    std::size_t visited = 0;

    Status walk(const Value &dict, const std::string &prefix, int depth)
    {
        if (depth > kDeepest || (visited += dict.items.size()) > kMostValues)
            return fail(ErrorKind::Parse, "its dictionaries nest without end");
        for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
            const Value &key = *dict.items[i], &value = *dict.items[i + 1];
            if (value.kind != Kind::Tensor && value.kind != Kind::Dict)
                continue;
            if (prefix.size() + key.text.size() > kLongestName)
                return fail(ErrorKind::Parse, "a tensor's name is longer than " + std::to_string(kLongestName) + " bytes");
            const std::string own = key.kind == Kind::Int ? std::to_string(key.number) : key.text;
            if (value.kind == Kind::Dict && (own.find("optim") != std::string::npos || own.find("scheduler") != std::string::npos))
                continue;
            if (value.kind == Kind::Dict) {
                const bool wrapper = depth == 0 && (own == "state_dict" || own == "model" || own == "model_state_dict" || own == "module");
                BW_CHECK(walk(value, wrapper ? prefix : prefix + own + '.', depth + 1));
                continue;
            }
            const std::string name = prefix + own;
            // The last value of a key is the one that Python keeps.
            if (const auto [place, added] = places.emplace(name, tensors.size()); added)
                tensors.emplace_back(name, value.tensor);
            else
                tensors[place->second].second = value.tensor;
        }
        return {};
    }
};

} // namespace

Result<NamedTensors> unpickleTensors(const std::string &pickle, StorageSource &storages)
{
    Unpickler unpickler(pickle, &storages);
    BW_ASSIGN(const Value *root, unpickler.run());
    Flattener flat;
    if (root->kind == Kind::Tensor)
        flat.tensors.emplace_back("tensor", root->tensor);
    else if (root->kind == Kind::Dict)
        BW_CHECK(flat.walk(*root, "", 0));
    if (flat.tensors.empty())
        return fail(ErrorKind::Unsupported, "there are no weights in dictionaries in it; save model.state_dict()");
    return std::move(flat.tensors);
}

Status checkPickle(const std::string &pickle, const StorageBytes &storageBytes)
{
    Unpickler unpickler(pickle, storageBytes);
    BW_CHECK(unpickler.run());
    return unpickler.checkDepth();
}

} // namespace bitwright
