// SPDX-License-Identifier: GPL-3.0-or-later
// Safetensors: eight bytes of header length, a JSON header, then the tensors' bytes. Mapped, not copied.
#include "frontends/rows.h"
#include "frontends/weights_file.h"
#include "tensor/guarded.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>

namespace bitwright {

namespace {

using nlohmann::json;

constexpr std::uint64_t kLongestHeader = 100'000'000;   // the format's own limit

struct Mapped {
    void *data = MAP_FAILED;
    std::size_t size = 0;
    Mapped() = default;
    Mapped(const Mapped &) = delete;
    Mapped &operator=(const Mapped &) = delete;
    ~Mapped()
    {
        if (data != MAP_FAILED)
            munmap(data, size);
    }
    [[nodiscard]] const char *bytes() const { return static_cast<const char *>(data); }
};

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

Result<std::shared_ptr<Mapped>> mapWhole(const std::string &path)
{
    const int handle = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    auto mapped = std::make_shared<Mapped>();
    if (handle >= 0 && fstat(handle, &status) == 0 && status.st_size > 0) {
        mapped->size = std::size_t(status.st_size);
        mapped->data = mmap(nullptr, mapped->size, PROT_READ, MAP_PRIVATE, handle, 0);
    }
    if (handle >= 0)
        close(handle);
    if (mapped->data == MAP_FAILED)
        return fail(ErrorKind::Io, path + " cannot be mapped into memory; check its permissions");
    return mapped;
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
    std::int64_t bytes = std::int64_t(c10::elementSize(*type));
    for (const json &size : shape) {
        if (!size.is_number_unsigned() || size.get<std::uint64_t>() > std::uint64_t(INT64_MAX))
            return wrong("has a size that is not a number");
        entry.shape.push_back(size.get<std::int64_t>());
        if (__builtin_mul_overflow(bytes, entry.shape.back(), &bytes))
            return wrong("has impossible sizes");
    }
    if (entry.begin > entry.end || entry.end > available)
        return wrong("lies outside the file");
    if (entry.end - entry.begin != std::uint64_t(bytes))
        return wrong("has sizes that do not fit its bytes");
    return entry;
}

at::Tensor tensorOf(const Entry &entry, const std::shared_ptr<Mapped> &file, const char *data)
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
    return at::from_blob(const_cast<char *>(bytes), entry.shape, [file](void *) {}, options);   // never written
}

Result<Graph> read(const std::string &path, const JobContext &context)
{
    BW_ASSIGN(const std::shared_ptr<Mapped> file, mapWhole(path));
    const std::uint64_t length = file->size < 8 ? 0 : headerLength(file->bytes());
    if (file->size < 8 || length > file->size - 8 || length > kLongestHeader)
        return fail(ErrorKind::Parse, "the header is longer than the file");
    BW_ASSIGN(const json header, parseHeader(file->bytes() + 8, std::size_t(length)));
    std::vector<Entry> entries;
    for (const auto &[name, value] : header.items()) {
        if (name == "__metadata__")
            continue;
        BW_ASSIGN(Entry entry, entryOf(name, value, file->size - 8 - length));
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
        tensors.emplace_back(entry.name, tensorOf(entry, file, file->bytes() + 8 + length));
    }
    return weightsGraph("safetensors", std::move(tensors));
}

Result<Graph> loadSafetensors(const std::string &path, const JobContext &context)
{
    auto graph = guarded(path, ErrorKind::Parse, [&] { return read(path, context); });
    if (!graph && !isCancelled(graph.error()) && !graph.error().message.starts_with(path))
        return fail(graph.error().kind, path + " (safetensors), " + graph.error().message +
                                            (graph.error().kind == ErrorKind::Parse ? "; copy or save it again" : ""));
    return graph;
}

} // namespace

Frontend safetensorsFrontend()
{
    return {"safetensors", "safetensors", probeSafetensors, loadSafetensors, nullptr};
}

} // namespace bitwright
