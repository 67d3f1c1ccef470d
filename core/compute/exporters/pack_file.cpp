// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/pack_file.h"

#include "base/json_util.h"
#include "base/text_file.h"

#include <zlib.h>

#include <array>
#include <fstream>
#include <set>

namespace bitwright::pack {

namespace {

using nlohmann::json;

constexpr std::string_view kMagic = "BWPK";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kPreamble = 16, kChecksum = 4;
constexpr std::uint32_t kLargestHeader = 64U << 20;
constexpr std::uint64_t kLargestFile = std::uint64_t(16) << 30;
/// Elements that any file may unpack to, and as many more for each of its bytes.
constexpr std::int64_t kFreeElements = std::int64_t(1) << 26, kElementsPerByte = 1024;

void putWord(std::string &bytes, std::uint32_t word)
{
    for (int shift = 0; shift < 32; shift += 8)
        bytes += char(word >> shift & 0xff);
}

std::uint32_t wordAt(std::string_view bytes, std::size_t at)
{
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < 4; ++i)
        word |= std::uint32_t(std::uint8_t(bytes[at + i])) << (8 * i);
    return word;
}

std::uint32_t checksum(std::string_view bytes)
{
    return std::uint32_t(::crc32_z(0, reinterpret_cast<const Bytef *>(bytes.data()), bytes.size()));
}

std::string deflated(const std::string &text)
{
    uLongf size = ::compressBound(uLong(text.size()));
    std::string out(size, '\0');
    ::compress2(reinterpret_cast<Bytef *>(out.data()), &size, reinterpret_cast<const Bytef *>(text.data()), uLong(text.size()), 9);
    out.resize(size);
    return out;
}

std::unexpected<Error> damaged(const std::string &what)
{
    return fail(ErrorKind::Parse, "the pack is damaged, " + what + "; copy or export it again");
}

Result<std::string> inflated(std::string_view bytes, std::uint32_t size)
{
    std::string text(size, '\0');
    uLongf got = size;
    const int status = ::uncompress(reinterpret_cast<Bytef *>(text.data()), &got, reinterpret_cast<const Bytef *>(bytes.data()),
                                    uLong(bytes.size()));
    if (status != Z_OK || got != size)
        return damaged("its header does not inflate");
    return text;
}

Result<json> headerOf(std::string_view bytes, std::size_t &end)
{
    if (bytes.size() < kPreamble + kChecksum)
        return damaged("it ends within its header");
    if (!bytes.starts_with(kMagic))
        return fail(ErrorKind::Unsupported, "it is no pack; give a file that `export --format pack` wrote");
    if (const std::uint32_t version = wordAt(bytes, 4); version != kVersion)
        return fail(ErrorKind::Unsupported, "it is a pack of version " + std::to_string(version) + " and this program reads version "
                                                + std::to_string(kVersion) + "; use a newer program");
    const std::uint32_t packed = wordAt(bytes, 8), plain = wordAt(bytes, 12);
    if (packed > bytes.size() - kPreamble - kChecksum)
        return damaged("it ends within its header");
    end = kPreamble + packed + kChecksum;
    if (checksum(bytes.substr(0, kPreamble + packed)) != wordAt(bytes, kPreamble + packed))
        return damaged("its header's checksum is wrong");
    if (plain > kLargestHeader)
        return damaged("its header is larger than any");
    BW_ASSIGN(const std::string text, inflated(bytes.substr(kPreamble, packed), plain));
    return parseJson(text, "the pack's header");
}

Status readTensors(const json &list, std::string_view bytes, std::size_t at, PackFile &file)
{
    std::int64_t left = kFreeElements + kElementsPerByte * std::int64_t(bytes.size());
    std::set<std::string> names;
    for (const json &entry : list) {
        auto tensor = tensorFromHeader(entry, left);
        if (!tensor)
            return damaged(tensor.error().message);
        left -= tensor->count();
        const auto size = entry.contains("bytes") ? jsonInteger(entry["bytes"]) : Result<std::int64_t>(-1);
        if (!names.insert(tensor->name).second)
            return damaged("it has tensor " + tensor->name + " twice");
        if (!size || *size < 0)
            return damaged("the length of tensor " + tensor->name + " is wrong");
        if (bytes.size() - at < kChecksum || std::uint64_t(*size) > bytes.size() - at - kChecksum)
            return damaged("it ends within tensor " + tensor->name);
        const std::string_view payload = bytes.substr(at, std::size_t(*size));
        if (checksum(payload) != wordAt(bytes, at + payload.size()))
            return damaged("the checksum of tensor " + tensor->name + " is wrong");
        tensor->payload = payload;
        at += payload.size() + kChecksum;
        file.tensors.push_back(std::move(*tensor));
    }
    return at == bytes.size() ? Status{} : Status(damaged("it has bytes behind its last tensor"));
}

} // namespace

std::string serialize(const PackFile &file)
{
    json header{{"schema", "bitwright/pack/1"}, {"assignment", file.assignment}, {"model_sha256", file.modelSha}, {"tensors", json::array()}};
    for (const PackedTensor &tensor : file.tensors)
        header["tensors"].push_back(tensorHeader(tensor));
    const std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace), packed = deflated(text);
    std::string bytes(kMagic);
    putWord(bytes, kVersion);
    putWord(bytes, std::uint32_t(packed.size()));
    putWord(bytes, std::uint32_t(text.size()));
    bytes += packed;
    putWord(bytes, checksum(bytes));
    for (const PackedTensor &tensor : file.tensors) {
        bytes += tensor.payload;
        putWord(bytes, checksum(tensor.payload));
    }
    return bytes;
}

Result<PackFile> parse(std::string_view bytes)
{
    std::size_t at = 0;
    BW_ASSIGN(const json header, headerOf(bytes, at));
    if (!header.is_object() || !header.contains("tensors") || !header["tensors"].is_array())
        return damaged("its header lists no tensors");
    PackFile file;
    file.assignment = header.value("assignment", json::object());
    if (header.contains("model_sha256") && header["model_sha256"].is_string())
        file.modelSha = header["model_sha256"].get<std::string>();
    BW_CHECK(readTensors(header["tensors"], bytes, at, file));
    return file;
}

Result<PackFile> readPack(const std::string &path)
{
    BW_ASSIGN(const std::string bytes, readTextFile(path, kLargestFile));
    auto file = parse(bytes);
    if (!file)
        return fail(file.error().kind, path + ", " + file.error().message);
    return file;
}

bool isPack(const std::string &path)
{
    std::array<char, 4> start{};
    std::ifstream in(path, std::ios::binary);
    return in.read(start.data(), start.size()) && std::string_view(start.data(), start.size()) == kMagic;
}

} // namespace bitwright::pack
