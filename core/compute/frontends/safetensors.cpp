// SPDX-License-Identifier: GPL-3.0-or-later
// Safetensors: eight bytes of header length, a JSON header, then the tensors' bytes. Mapped, not copied.
#include "frontends/rows.h"
#include "frontends/weights_file.h"
#include "tensor/mapped_file.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>

namespace bitwright {

namespace {

using nlohmann::json;

constexpr std::uint64_t kLongestHeader = 100'000'000;   // the format's own limit

std::uint64_t headerLength(const char *bytes)
{
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i)
        length = length << 8 | std::uint8_t(bytes[i]);
    return length;
}

bool probeSafetensors(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    char head[9];
    return file.read(head, sizeof head) && head[8] == '{' && headerLength(head) <= kLongestHeader && headerLength(head) > 1;
}

std::optional<at::ScalarType> scalarTypeOf(const std::string &name)
{
    static const std::map<std::string, at::ScalarType> kTypes{
        {"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16}, {"I64", at::kLong},
        {"I32", at::kInt}, {"I16", at::kShort}, {"I8", at::kChar}, {"U8", at::kByte}, {"BOOL", at::kBool},
        {"U16", at::ScalarType::UInt16}, {"U32", at::ScalarType::UInt32}, {"U64", at::ScalarType::UInt64},
        {"F8_E4M3", at::ScalarType::Float8_e4m3fn}, {"F8_E5M2", at::ScalarType::Float8_e5m2}, {"C64", at::kComplexFloat}};
    const auto found = kTypes.find(name);
    return found == kTypes.end() ? std::nullopt : std::optional(found->second);
}

/// The header as JSON; a name that stands twice or nesting that no such file has is an error.
Result<json> parseHeader(const char *begin, std::size_t size)
{
    std::string twice;
    bool deep = false;
    std::set<std::string> names;
    json header = json::parse(begin, begin + size, [&](int depth, json::parse_event_t event, json &value) {
        deep = deep || depth > 8;
        if (event == json::parse_event_t::key && depth == 1 && !names.insert(value.get<std::string>()).second)
            twice = value.get<std::string>();
        return !deep;
    }, false);
    if (!twice.empty())
        return fail(ErrorKind::Parse, "two tensors are named " + twice);
    if (deep || !header.is_object())
        return fail(ErrorKind::Parse, "the header is no JSON object of tensors");
    return header;
}

struct Entry {
    std::string name;
    at::ScalarType type = at::kFloat;
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0, end = 0;
};

Result<Entry> entryOf(const std::string &name, const json &value, std::uint64_t available)
{
    const auto wrong = [&](const std::string &what) { return fail(ErrorKind::Parse, "tensor " + name + " " + what); };
    if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") || !value.contains("data_offsets"))
        return wrong("is not described");
    const json &dtype = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
    if (!dtype.is_string() || !shape.is_array() || shape.size() > 64 || !offsets.is_array() || offsets.size() != 2 ||
        !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
        return wrong("is not described");
    const auto type = scalarTypeOf(dtype.get<std::string>());
    if (!type)
        return fail(ErrorKind::Unsupported, "tensor " + name + " has values of type " + dtype.get<std::string>() +
                                                ", which are not known here; save it in another type");
    Entry entry{name, *type, {}, offsets[0].get<std::uint64_t>(), offsets[1].get<std::uint64_t>()};
    std::int64_t bytes = std::int64_t(c10::elementSize(*type)), stride = bytes;
    for (const json &size : shape) {
        if (!size.is_number_unsigned() || size.get<std::uint64_t>() > std::uint64_t(INT64_MAX))
            return wrong("has a size that is not a number");
        entry.shape.push_back(size.get<std::int64_t>());
        if (__builtin_mul_overflow(bytes, entry.shape.back(), &bytes) ||
            __builtin_mul_overflow(stride, std::max<std::int64_t>(entry.shape.back(), 1), &stride))
            return wrong("has impossible sizes");
    }
    if (entry.begin > entry.end || entry.end > available)
        return wrong("lies outside the file");
    if (entry.end - entry.begin != std::uint64_t(bytes))
        return wrong("has sizes that do not fit its bytes");
    return entry;
}

at::Tensor tensorOf(const Entry &entry, const std::shared_ptr<const MappedFile> &file, const char *data)
{
    const auto options = at::TensorOptions().dtype(entry.type);
    if (entry.begin == entry.end)
        return at::empty(entry.shape, options);
    const char *bytes = data + entry.begin;
    if (reinterpret_cast<std::uintptr_t>(bytes) % c10::elementSize(entry.type) != 0) {
        at::Tensor copy = at::empty(entry.shape, options);
        std::memcpy(copy.mutable_data_ptr(), bytes, entry.end - entry.begin);
        return copy;
    }
    if (entry.type == at::kBool)   // any byte but 0 is true; anything else than 0 and 1 in a bool is undefined in C++
        return at::from_blob(const_cast<char *>(bytes), entry.shape, at::TensorOptions().dtype(at::kByte)).ne(0);
    // the mapping is private: a write to it never reaches the file
    return at::from_blob(const_cast<char *>(bytes), entry.shape, [file](void *) {}, options);
}

Result<Graph> read(const std::string &path, const JobContext &context)
{
    BW_ASSIGN(const auto file, MappedFile::open(path));
    const std::string_view all = file->bytes();
    const std::uint64_t length = all.size() < 8 ? 0 : headerLength(all.data());
    if (all.size() < 8 || length > all.size() - 8 || length > kLongestHeader)
        return fail(ErrorKind::Parse, "the header is longer than the file");
    BW_ASSIGN(const json header, parseHeader(all.data() + 8, std::size_t(length)));
    std::vector<Entry> entries;
    for (const auto &[name, value] : header.items()) {
        if (name == "__metadata__")
            continue;
        BW_ASSIGN(Entry entry, entryOf(name, value, all.size() - 8 - length));
        entries.push_back(std::move(entry));
    }
    if (entries.empty())
        return fail(ErrorKind::Parse, "there are no tensors in it");
    std::ranges::sort(entries, {}, [](const Entry &entry) { return std::tuple(entry.begin, entry.end, entry.name); });
    NamedTensors tensors;
    std::uint64_t end = 0;
    for (const Entry &entry : entries) {
        if (context.stopped())
            return cancelled();
        if (entry.begin < end)
            return fail(ErrorKind::Parse, "tensor " + entry.name + " overlaps another");
        end = entry.end;
        tensors.emplace_back(entry.name, tensorOf(entry, file, all.data() + 8 + length));
    }
    return weightsGraph("safetensors", std::move(tensors));
}

Result<Graph> loadSafetensors(const std::string &path, const JobContext &context)
{
    return loadWeights(path, "safetensors", context, read);
}

} // namespace

Frontend safetensorsFrontend()
{
    return {"safetensors", "safetensors", probeSafetensors, loadSafetensors, nullptr};
}

} // namespace bitwright
