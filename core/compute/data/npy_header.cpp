// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/npy_header.h"

#include <charconv>
#include <limits>

namespace bitwright {

namespace {

std::unexpected<Error> badHeader(const std::string &file, const std::string &why)
{
    return fail(ErrorKind::Parse, file + ", not a readable .npy header, " + why + "; save it with numpy.save");
}

/// The text after `'key':`, spaces dropped; empty when the key is not there.
std::string_view valueOf(std::string_view text, std::string_view key)
{
    for (char quote : {'\'', '"'}) {
        const std::string quoted = quote + std::string(key) + quote;
        auto at = text.find(quoted);
        if (at == std::string_view::npos)
            continue;
        at = text.find_first_not_of(' ', at + quoted.size());
        if (at == std::string_view::npos || text[at] != ':')
            return {};
        at = text.find_first_not_of(' ', at + 1);
        return at == std::string_view::npos ? std::string_view{} : text.substr(at);
    }
    return {};
}

Status parseType(std::string_view value, NpyHeader &header, const std::string &file)
{
    if (!value.empty() && value[0] == '[')
        return fail(ErrorKind::Unsupported, file + ", a structured array; save one plain array of numbers");
    if (value.size() < 2 || (value[0] != '\'' && value[0] != '"'))
        return badHeader(file, "it names no type");
    const auto end = value.find(value[0], 1);
    if (end == std::string_view::npos || end < 4)
        return badHeader(file, "it names no type");
    const auto type = value.substr(1, end - 1);
    header.byteOrder = type[0];
    header.kind = type[1];
    const auto digits = type.substr(2);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), header.itemBytes);
    const bool whole = parsed.ec == std::errc{} && parsed.ptr == digits.data() + digits.size();
    const int bytes = header.itemBytes;
    const bool known = (header.kind == 'b' && bytes == 1) || (header.kind == 'f' && (bytes == 2 || bytes == 4 || bytes == 8)) ||
                       ((header.kind == 'i' || header.kind == 'u') && (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8));
    if (!whole || std::string_view("<>|=").find(type[0]) == std::string_view::npos || !known)
        return fail(ErrorKind::Unsupported, file + ", holds numbers of type '" + std::string(type) +
                                                "', which are not read; save it as float32, uint8 or int64");
    return {};
}

Status parseShape(std::string_view value, NpyHeader &header, const std::string &file)
{
    const auto end = value.find(')');
    if (value.empty() || value[0] != '(' || end == std::string_view::npos)
        return badHeader(file, "it has no shape");
    auto list = value.substr(1, end - 1);
    while (!list.empty()) {
        if (list[0] == ' ' || list[0] == ',') {
            list.remove_prefix(1);
            continue;
        }
        std::int64_t size = 0;
        const auto parsed = std::from_chars(list.data(), list.data() + list.size(), size);
        if (parsed.ec != std::errc{} || size < 0)
            return badHeader(file, "its shape holds something else than sizes");
        header.shape.push_back(size);
        list.remove_prefix(std::size_t(parsed.ptr - list.data()));
        if (!list.empty() && list[0] == 'L')   // long integers of Python 2
            list.remove_prefix(1);
        if (!list.empty() && list[0] != ',' && list[0] != ' ')
            return badHeader(file, "its shape holds something else than sizes");
        if (header.shape.size() > 32)
            return badHeader(file, "it has more than 32 dimensions");
    }
    return {};
}

} // namespace

Result<NpyHeader> parseNpyHeader(std::string_view text, const std::string &file)
{
    NpyHeader header;
    BW_CHECK(parseType(valueOf(text, "descr"), header, file));
    BW_CHECK(parseShape(valueOf(text, "shape"), header, file));
    const auto order = valueOf(text, "fortran_order");
    if (order.starts_with("True"))
        header.fortranOrder = true;
    else if (!order.starts_with("False"))
        return badHeader(file, "it does not say fortran_order");
    return header;
}

Result<std::int64_t> checkedBytes(const std::vector<std::int64_t> &shape, std::int64_t itemBytes, const std::string &file)
{
    std::int64_t bytes = itemBytes;
    bool empty = false;
    for (auto size : shape) {
        empty = empty || size == 0;
        if (size < 0 || (size > 0 && __builtin_mul_overflow(bytes, size, &bytes)))
            return fail(ErrorKind::Parse, file + ", its header promises more bytes than any file holds; get the file again");
    }
    return empty ? 0 : bytes;
}

} // namespace bitwright
