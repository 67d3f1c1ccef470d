// SPDX-License-Identifier: GPL-3.0-or-later
#include "mutators.h"

#include <nlohmann/json.hpp>

#include <zip.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

namespace bitwright::mutation {

namespace {

using nlohmann::json;

std::size_t below(Random &random, std::size_t count) { return count == 0 ? 0 : std::size_t(random() % count); }
bool oneIn(Random &random, std::size_t count) { return below(random, count) == 0; }

std::int64_t number(Random &random)
{
    static constexpr std::array<std::int64_t, 26> kNumbers{
        0, 1, -1, 2, -2, 3, 5, 7, 8, 16, 63, 64, 127, 255, 256, 65535, 65536, 1 << 20, 2147483647, -2147483648LL, 4294967295LL, 4294967296LL,
        1LL << 40, INT64_MAX, INT64_MIN, INT64_MAX / 8};
    return oneIn(random, 4) ? std::int64_t(random() >> below(random, 64)) : kNumbers[below(random, kNumbers.size())];
}

void putInteger(std::string &bytes, std::uint64_t value, int width)
{
    for (int i = 0; i < width; ++i)
        bytes += char(value >> (8 * i) & 0xff);
}

std::uint64_t integerAt(const std::string &bytes, std::size_t at, int width)
{
    std::uint64_t value = 0;
    for (int i = 0; i < width && at + std::size_t(i) < bytes.size(); ++i)
        value |= std::uint64_t(std::uint8_t(bytes[at + std::size_t(i)])) << (8 * i);
    return value;
}

// --- protobuf: a tree by guess, since no schema is asked for

struct Field {
    std::uint64_t tag = 0;       ///< number and wire type
    std::uint64_t value = 0;     ///< of a varint or fixed number
    std::string bytes;
    bool message = false;        ///< bytes read as a message, then `fields` count
    std::vector<Field> fields;
};

bool readVarint(std::string_view bytes, std::size_t &at, std::uint64_t &value)
{
    value = 0;
    for (int shift = 0; shift < 64 && at < bytes.size(); shift += 7) {
        const auto byte = std::uint8_t(bytes[at++]);
        value |= std::uint64_t(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

bool looksLikeText(std::string_view bytes)
{
    return std::ranges::all_of(bytes, [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::optional<std::vector<Field>> readMessage(std::string_view bytes, int depth)
{
    std::vector<Field> fields;
    for (std::size_t at = 0; at < bytes.size();) {
        Field field;
        if (!readVarint(bytes, at, field.tag) || field.tag >> 3 == 0 || field.tag >> 3 > 200)
            return {};
        const unsigned wire = field.tag & 7;
        const std::size_t width = wire == 1 ? 8 : 4;
        if (wire == 0) {
            if (!readVarint(bytes, at, field.value))
                return {};
        } else if (wire == 1 || wire == 5) {
            if (bytes.size() - at < width)
                return {};
            field.value = integerAt(std::string(bytes.substr(at, width)), 0, int(width));
            at += width;
        } else if (wire == 2) {
            std::uint64_t length = 0;
            if (!readVarint(bytes, at, length) || length > bytes.size() - at)
                return {};
            field.bytes = bytes.substr(at, length);
            at += length;
            if (depth < 40 && !field.bytes.empty() && (depth < 2 || !looksLikeText(field.bytes)))
                if (auto inner = readMessage(field.bytes, depth + 1)) {
                    field.message = true;
                    field.fields = std::move(*inner);
                }
        } else {
            return {};
        }
        fields.push_back(std::move(field));
    }
    return fields;
}

void putVarint(std::string &bytes, std::uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        bytes += char(0x80 | (value & 0x7f));
    bytes += char(value);
}

std::string writeMessage(const std::vector<Field> &fields)
{
    std::string bytes;
    for (const Field &field : fields) {
        putVarint(bytes, field.tag);
        switch (field.tag & 7) {
        case 0: putVarint(bytes, field.value); break;
        case 1: putInteger(bytes, field.value, 8); break;
        case 5: putInteger(bytes, field.value, 4); break;
        default: {
            const std::string inner = field.message ? writeMessage(field.fields) : field.bytes;
            putVarint(bytes, inner.size());
            bytes += inner;
        }
        }
    }
    return bytes;
}

void listMessages(std::vector<Field> &fields, std::vector<std::vector<Field> *> &out)
{
    out.push_back(&fields);
    for (Field &field : fields)
        if (field.message)
            listMessages(field.fields, out);
}

void changeField(std::vector<Field> &fields, std::size_t at, const std::vector<std::vector<Field> *> &all, Random &random)
{
    Field &field = fields[at];
    const auto kind = field.tag & 7;
    if (kind != 2) {
        field.value = kind == 5 && oneIn(random, 2) ? std::array<std::uint64_t, 5>{0x7f800000, 0x7fc00000, 0xff7fffff, 0, 0x4f000000}[below(random, 5)]
                                                    : std::uint64_t(number(random));
        return;
    }
    if (field.message && oneIn(random, 8)) {   // put inside itself, many times
        for (int depth = int(below(random, 60)); depth > 0; --depth) {
            Field copy = field;
            if (writeMessage(copy.fields).size() > 20000)
                break;
            field.fields = {std::move(copy)};
        }
        return;
    }
    const auto &from = *all[below(random, all.size())];
    if (from.empty())
        return;
    const Field &donor = from[below(random, from.size())];
    if (oneIn(random, 2) && (donor.tag & 7) == 2) {   // another's content, names above all
        const Field copy = donor;
        field.bytes = copy.bytes;
        field.message = copy.message;
        field.fields = copy.fields;
    } else {
        field.bytes = mutateBytes(field.message ? writeMessage(field.fields) : field.bytes, donor.bytes, random);
        field.message = false;
    }
}

// --- JSON

void listValues(json &value, std::vector<json *> &out)
{
    out.push_back(&value);
    if (value.is_structured())
        for (json &inner : value)
            listValues(inner, out);
}

json otherValue(const std::vector<json *> &values, Random &random)
{
    switch (below(random, 12)) {
    case 0: return nullptr;
    case 1: return json::array();
    case 2: return json::object();
    case 3: return "";
    case 4: return std::string(below(random, 70), 'x');
    case 5: return 1e308;
    case 6: return 0.5;
    case 7: return oneIn(random, 2);
    case 8: {
        json deep = 1;
        for (std::size_t depth = below(random, 200); depth > 0; --depth)
            deep = json::array({std::move(deep)});
        return deep;
    }
    case 9: return number(random);
    default: return *values[below(random, values.size())];
    }
}

void changeValue(json &value, const std::vector<json *> &values, Random &random)
{
    if (value.is_number() && !oneIn(random, 6)) {
        value = number(random);
    } else if (value.is_string() && oneIn(random, 2)) {
        for (int tries = 0; tries < 20; ++tries)
            if (const json &other = *values[below(random, values.size())]; other.is_string()) {
                value = json(other);
                return;
            }
    } else if (value.is_array() && !value.empty() && !oneIn(random, 6)) {
        const auto at = below(random, value.size());
        if (oneIn(random, 2))
            value.erase(at);
        else if (const json copy = value[at]; oneIn(random, 2))
            value.insert(value.begin() + std::ptrdiff_t(below(random, value.size())), copy);
        else
            std::swap(value[at], value[below(random, value.size())]);
    } else if (value.is_object() && !value.empty() && !oneIn(random, 6)) {
        auto at = value.begin();
        std::advance(at, std::ptrdiff_t(below(random, value.size())));
        if (oneIn(random, 2))
            value.erase(at);
        else
            *at = otherValue(values, random);
    } else {
        value = otherValue(values, random);
    }
}

// --- zip

struct DiscardZip { void operator()(zip_t *zip) const { zip_discard(zip); } };

Members readZip(const std::string &bytes)
{
    Members members;
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
    const std::unique_ptr<zip_t, DiscardZip> zip(zip_open_from_source(source, ZIP_RDONLY, &error));
    for (zip_int64_t i = 0; zip && i < zip_get_num_entries(zip.get(), 0); ++i) {
        zip_stat_t stat;
        zip_stat_init(&stat);
        if (zip_stat_index(zip.get(), zip_uint64_t(i), 0, &stat) != 0 || stat.size > (1U << 24))
            continue;
        std::string content(stat.size, '\0');
        if (zip_file_t *file = zip_fopen_index(zip.get(), zip_uint64_t(i), 0)) {
            if (zip_fread(file, content.data(), content.size()) == zip_int64_t(content.size()))
                members.emplace_back(stat.name, std::move(content));
            zip_fclose(file);
        }
    }
    return members;
}

/// Stored, not deflated, so that later changes of bytes hit contents.
std::string writeZip(const Members &members)
{
    std::string out, directory;
    for (const auto &[name, content] : members) {
        const auto crc = std::uint64_t(::crc32_z(0, reinterpret_cast<const Bytef *>(content.data()), content.size()));
        std::string common;
        for (const std::uint64_t word : {20, 0, 0, 0, 33})   // version, flags, stored, time, date
            putInteger(common, word, 2);
        putInteger(common, crc, 4);
        putInteger(common, content.size(), 4);
        putInteger(common, content.size(), 4);
        putInteger(common, name.size(), 2);
        putInteger(common, 0, 2);
        directory += std::string("PK\x01\x02\x14\x00", 6) + common + std::string(10, '\0');
        putInteger(directory, out.size(), 4);
        directory += name;
        out += "PK\x03\x04" + common + name + content;
    }
    const std::size_t at = out.size();
    out += directory + std::string("PK\x05\x06\0\0\0\0", 8);
    putInteger(out, members.size(), 2);
    putInteger(out, members.size(), 2);
    putInteger(out, directory.size(), 4);
    putInteger(out, at, 4);
    putInteger(out, 0, 2);
    return out;
}

// --- pickles and program text

/// Bytes of the operand behind an opcode of the protocols that PyTorch writes; the counted ones bring their length.
std::size_t operandBytes(const std::string &bytes, std::size_t at)
{
    const auto counted = [&](int width) { return std::size_t(width) + std::size_t(integerAt(bytes, at + 1, width) & 0xffffff); };
    const auto lines = [&](int count) {
        std::size_t end = at;
        for (; count > 0 && end != std::string::npos; --count)
            end = bytes.find('\n', end + 1);
        return end == std::string::npos ? bytes.size() : end - at;
    };
    switch (std::uint8_t(bytes[at])) {
    case 'K': case 'q': case 'h': case 0x80: return 1;
    case 'M': return 2;
    case 'J': case 'r': case 'j': return 4;
    case 'G': case 0x95: return 8;
    case 'X': case 'T': case 'B': case 0x8b: return counted(4);
    case 0x8c: case 'U': case 'C': case 0x8a: return counted(1);
    case 'c': return lines(2);
    default: return 0;
    }
}

/// Changes whole instructions: what is left is a pickle more often than not.
std::string mutatePickle(const std::string &bytes, Random &random)
{
    std::vector<std::string> steps;
    for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t size = std::min(bytes.size() - at, 1 + operandBytes(bytes, at));
        steps.push_back(bytes.substr(at, size));
        at += size;
    }
    for (std::size_t rounds = 1 + below(random, 3); rounds > 0 && !steps.empty(); --rounds) {
        const std::size_t at = below(random, steps.size());
        std::string &step = steps[at];
        switch (below(random, 8)) {
        case 0: steps.erase(steps.begin() + std::ptrdiff_t(at)); break;
        case 1: {
            const std::string copy = step;
            steps.insert(steps.begin() + std::ptrdiff_t(below(random, steps.size())), copy);
            break;
        }
        case 2: std::swap(step, steps[below(random, steps.size())]); break;
        case 3: step = steps[below(random, steps.size())]; break;
        case 4: step = std::string(1, ")]}N(0122tlaesu\x85\x86\x87\x88\x89.RbQ"[below(random, 24)]); break;
        case 5: {   // the same block once more, to nest it
            const std::size_t from = below(random, at + 1);
            const std::vector<std::string> block(steps.begin() + std::ptrdiff_t(from), steps.begin() + std::ptrdiff_t(at));
            steps.insert(steps.begin() + std::ptrdiff_t(at), block.begin(), block.end());
            break;
        }
        default:   // a number, first of all the sizes of tensors
            for (std::size_t tries = 0, chosen = at; tries < steps.size(); ++tries, chosen = (chosen + 1) % steps.size()) {
                if (std::string("KMJ").find(steps[chosen][0]) == std::string::npos)
                    continue;
                const auto value = std::uint64_t(number(random));
                steps[chosen] = "J";
                putInteger(steps[chosen], value, 4);
                break;
            }
        }
    }
    std::string out;
    for (const std::string &step : steps)
        out += step;
    return out;
}

/// Puts words in the place of others, so that the text stays a program more often than not.
std::string mutateCode(const std::string &text, Random &random)
{
    std::vector<std::string> words;
    const auto isWord = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
    for (const char c : text) {
        if (words.empty() || !isWord(c) || !isWord(words.back().back()))
            words.emplace_back();
        words.back() += c;
    }
    for (std::size_t rounds = 1 + below(random, 3); rounds > 0 && !words.empty(); --rounds) {
        const std::size_t at = below(random, words.size());
        const std::string other = words[below(random, words.size())];
        if (oneIn(random, 4))
            words[at] = std::to_string(number(random));
        else if (oneIn(random, 4))
            words.insert(words.begin() + std::ptrdiff_t(at), other);
        else if (oneIn(random, 4))
            words.erase(words.begin() + std::ptrdiff_t(at));
        else
            words[at] = other;
    }
    std::string out;
    for (const std::string &word : words)
        out += word;
    return out;
}

bool isJson(const std::string &text) { return !text.empty() && (text[0] == '{' || text[0] == '['); }

void replaceNumber(std::string &bytes, Random &random)
{
    std::vector<std::size_t> digits;
    const auto isDigit = [&](std::size_t at) { return at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9'; };
    for (std::size_t i = 0; i < bytes.size(); ++i)
        if (isDigit(i) && (i == 0 || !isDigit(i - 1)))
            digits.push_back(i);
    if (digits.empty())
        return;
    const std::size_t at = digits[below(random, digits.size())];
    std::size_t end = at;
    while (isDigit(end))
        ++end;
    bytes.replace(at, end - at, std::to_string(number(random)));
}

} // namespace

std::string mutateBytes(std::string bytes, const std::string &other, Random &random)
{
    for (std::size_t rounds = 1 + below(random, 3); rounds > 0; --rounds) {
        const std::size_t at = below(random, bytes.size()), length = std::min(bytes.size() - at, 1 + below(random, oneIn(random, 3) ? 200 : 8));
        switch (bytes.empty() ? 8 : below(random, 10)) {
        case 0:
        case 1: bytes[at] = char(bytes[at] ^ (1 << below(random, 8))); break;
        case 2:
        case 3: bytes[at] = "\x00\x7f\x80\xff"[below(random, 4)]; break;
        case 4: bytes.resize(at); break;
        case 5: bytes.insert(below(random, bytes.size()), bytes.substr(at, length)); break;
        case 6: bytes.erase(at, length); break;
        case 7: {
            const std::string block = bytes.substr(at, length);
            bytes.erase(at, length);
            bytes.insert(below(random, bytes.size() + 1), block);
            break;
        }
        case 8: bytes = bytes.substr(0, at) + other.substr(below(random, other.size())); break;
        default: replaceNumber(bytes, random);
        }
    }
    return bytes;
}

std::string mutateProtobuf(const std::string &bytes, const std::string &other, Random &random)
{
    auto tree = readMessage(bytes, 0);
    auto donor = readMessage(other, 0);
    if (!tree || tree->empty() || oneIn(random, 6))
        return mutateBytes(bytes, other, random);
    for (std::size_t rounds = 1 + below(random, 4); rounds > 0; --rounds) {
        std::vector<std::vector<Field> *> messages, donors;
        listMessages(*tree, messages);
        donors = messages;
        if (donor && oneIn(random, 2))
            listMessages(*donor, donors);
        auto &fields = *messages[below(random, messages.size())];
        if (fields.empty())
            continue;
        const std::size_t at = below(random, fields.size());
        switch (below(random, 8)) {
        case 0: fields.erase(fields.begin() + std::ptrdiff_t(at)); break;
        case 1: {
            const Field copy = fields[at];
            fields.insert(fields.begin() + std::ptrdiff_t(below(random, fields.size())), copy);
            break;
        }
        case 2: std::swap(fields[at], fields[below(random, fields.size())]); break;
        case 3: {
            const auto &from = *donors[below(random, donors.size())];
            if (!from.empty()) {
                const Field copy = from[below(random, from.size())];
                fields.push_back(copy);
            }
            break;
        }
        default: changeField(fields, at, donors, random);
        }
    }
    return writeMessage(*tree);
}

std::string mutateJson(const std::string &text, const std::string &other, Random &random)
{
    json document = json::parse(text, nullptr, false);
    if (document.is_discarded() || oneIn(random, 6))
        return mutateBytes(text, other, random);
    for (std::size_t rounds = 1 + below(random, 3); rounds > 0; --rounds) {
        std::vector<json *> values;
        listValues(document, values);
        changeValue(*values[below(random, values.size())], values, random);
    }
    return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string mutateZip(const std::string &bytes, const std::string &other, Random &random)
{
    Members members = readZip(bytes);
    if (members.empty() || oneIn(random, 8))
        return mutateBytes(bytes, other, random);
    const std::size_t at = below(random, members.size());
    const auto kind = below(random, 16);
    if (kind == 0) {
        members.erase(members.begin() + std::ptrdiff_t(at));
    } else if (kind == 1) {
        const auto copy = members[at];
        members.push_back(copy);
    } else if (kind == 2) {
        const std::string name = members[below(random, members.size())].first;
        members[at].first = oneIn(random, 2) ? mutateBytes(members[at].first, "../../x", random) : name;
    } else if (kind == 3) {
        std::swap(members[at].second, members[below(random, members.size())].second);
    } else {
        // what is JSON or a pickle says most
        std::size_t chosen = at;
        for (int tries = 0; tries < 3 && !isJson(members[chosen].second) && !members[chosen].first.ends_with(".pkl") &&
                                !members[chosen].first.ends_with(".py"); ++tries)
            chosen = below(random, members.size());
        std::string &content = members[chosen].second;
        const std::string &name = members[chosen].first;
        if (isJson(content))
            content = mutateJson(content, {}, random);
        else if (name.ends_with("pkl") && !oneIn(random, 3))
            content = mutatePickle(content, random);
        else if (name.ends_with(".py") && !oneIn(random, 3))
            content = mutateCode(content, random);
        else
            content = mutateBytes(content, members[at].second, random);
    }
    return writeZip(members);
}

std::string mutateSafetensors(const std::string &bytes, const std::string &other, Random &random)
{
    const std::uint64_t length = integerAt(bytes, 0, 8);
    if (bytes.size() < 8 || length > bytes.size() - 8 || oneIn(random, 5))
        return mutateBytes(bytes, other, random);
    const std::string header = mutateJson(bytes.substr(8, length), other, random);
    std::string out;
    putInteger(out, oneIn(random, 10) ? std::uint64_t(number(random)) : header.size(), 8);
    return out + header + bytes.substr(8 + length);
}

std::string mutatePack(const std::string &bytes, const std::string &other, Random &random)
{
    const std::size_t packed = integerAt(bytes, 8, 4), plain = integerAt(bytes, 12, 4);
    if (bytes.size() < 20 || packed > bytes.size() - 20 || plain > (1 << 24) || oneIn(random, 8))
        return mutateBytes(bytes, other, random);
    std::string text(plain, '\0');
    uLongf size = plain;
    ::uncompress(reinterpret_cast<Bytef *>(text.data()), &size, reinterpret_cast<const Bytef *>(bytes.data()) + 16, uLong(packed));
    json header = json::parse(text, nullptr, false);
    std::vector<std::string> payloads;
    std::size_t at = 20 + packed;
    if (header.is_object() && header.contains("tensors") && header["tensors"].is_array())
        for (json &tensor : header["tensors"]) {
            const bool told = tensor.is_object() && tensor.contains("bytes") && tensor["bytes"].is_number_unsigned();
            const auto length = std::min<std::size_t>(told ? tensor["bytes"].get<std::size_t>() : 0, bytes.size());
            payloads.push_back(at < bytes.size() ? bytes.substr(at, length) : std::string());
            at += length + 4;
        }
    const std::size_t chosen = below(random, payloads.size());
    if (!payloads.empty() && oneIn(random, 2) && header["tensors"][chosen].is_object()) {
        payloads[chosen] = mutateBytes(payloads[chosen], payloads[below(random, payloads.size())], random);
        header["tensors"][chosen]["bytes"] = payloads[chosen].size();
        text = header.dump(-1, ' ', false, json::error_handler_t::replace);
    } else {
        text = mutateJson(text, other, random);
    }
    size = ::compressBound(uLong(text.size()));
    std::string deflated(size, '\0');
    ::compress2(reinterpret_cast<Bytef *>(deflated.data()), &size, reinterpret_cast<const Bytef *>(text.data()), uLong(text.size()), 1);
    deflated.resize(size);
    std::string out = bytes.substr(0, 8);
    putInteger(out, deflated.size(), 4);
    putInteger(out, oneIn(random, 20) ? std::uint64_t(number(random)) : text.size(), 4);
    out += deflated;
    const auto checksum = [](const std::string &s) { return ::crc32_z(0, reinterpret_cast<const Bytef *>(s.data()), s.size()); };
    putInteger(out, checksum(out), 4);
    for (const std::string &payload : payloads) {
        out += payload;
        putInteger(out, checksum(payload), 4);
    }
    return out;
}

} // namespace bitwright::mutation
