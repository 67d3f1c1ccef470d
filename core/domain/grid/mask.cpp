// SPDX-License-Identifier: GPL-3.0-or-later
#include "grid/mask.h"

#include <bit>
#include <string_view>

namespace bitwright {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string toBase64(const std::vector<std::uint8_t> &bytes)
{
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t left = bytes.size() - i;
        const std::uint32_t word = std::uint32_t(bytes[i]) << 16 | (left > 1 ? std::uint32_t(bytes[i + 1]) << 8 : 0)
                                   | (left > 2 ? std::uint32_t(bytes[i + 2]) : 0);
        for (std::size_t part = 0; part < 4; ++part)
            text += part > left ? '=' : kAlphabet[word >> (18 - 6 * part) & 63];
    }
    return text;
}

/// Empty where the text is no base64.
std::vector<std::uint8_t> fromBase64(const std::string &text)
{
    std::array<std::int8_t, 256> digit{};
    digit.fill(-1);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i)
        digit[std::uint8_t(kAlphabet[i])] = std::int8_t(i);
    std::size_t length = text.size();
    while (length > 0 && text.size() - length < 2 && text[length - 1] == '=')
        --length;
    std::vector<std::uint8_t> bytes;
    if (text.size() % 4 != 0)
        return bytes;
    bytes.reserve(length / 4 * 3 + 3);
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < length; ++i) {
        const std::int8_t value = digit[std::uint8_t(text[i])];
        if (value < 0)
            return {};
        word = word << 6 | std::uint32_t(value);
        // After the 2nd, 3rd and 4th digit of a group one more byte is complete.
        if (const std::size_t place = i % 4; place > 0)
            bytes.push_back(std::uint8_t(word >> (6 - 2 * place)));
    }
    return bytes;
}

} // namespace

Mask Mask::fromBytes(std::vector<std::uint8_t> bytes, std::int64_t size)
{
    auto content = std::make_shared<Content>();
    for (const std::uint8_t byte : bytes)
        content->kept += std::popcount(byte);
    // A field skips at most 2^bits - 1 zeros; a filler stands on the next one. Zeros behind the last kept need none.
    std::int64_t previous = -1;
    content->relative.fill(content->kept);
    for (std::int64_t i = 0; i < size; ++i) {
        if ((bytes[std::size_t(i / 8)] >> (i % 8) & 1) == 0)
            continue;
        const std::int64_t gap = i - previous - 1;
        previous = i;
        for (std::size_t bits = 1; gap >> bits != 0 && bits < content->relative.size(); ++bits)
            content->relative[bits] += gap >> bits;
    }
    content->bytes = std::move(bytes);
    content->size = size;
    Mask mask;
    mask.m_content = std::move(content);
    return mask;
}

Mask Mask::fromKept(std::span<const std::uint8_t> kept)
{
    std::vector<std::uint8_t> bytes((kept.size() + 7) / 8, 0);
    for (std::size_t i = 0; i < kept.size(); ++i)
        bytes[i / 8] |= std::uint8_t((kept[i] != 0) << (i % 8));
    return fromBytes(std::move(bytes), std::int64_t(kept.size()));
}

Result<Mask> Mask::fromBitmap(const std::string &bitmap, std::int64_t size)
{
    std::vector<std::uint8_t> bytes = fromBase64(bitmap);
    const std::size_t wanted = std::size_t((size + 7) / 8);
    if (size < 1 || bytes.size() != wanted)
        return fail(ErrorKind::Invalid, "the mask is no bitmap of " + std::to_string(size) + " elements in base64; make it again");
    if (size % 8 != 0 && bytes.back() >> (size % 8) != 0)
        return fail(ErrorKind::Invalid, "the mask has bits beyond its " + std::to_string(size) + " elements; make it again");
    return fromBytes(std::move(bytes), size);
}

bool Mask::keeps(std::int64_t index) const
{
    return !m_content || (m_content->bytes[std::size_t(index / 8)] >> (index % 8) & 1) != 0;
}

std::vector<std::uint8_t> Mask::kept() const
{
    std::vector<std::uint8_t> entries(std::size_t(size()), 0);
    for (std::size_t i = 0; i < entries.size(); ++i)
        entries[i] = m_content->bytes[i / 8] >> (i % 8) & 1;
    return entries;
}

std::string Mask::bitmap() const
{
    return m_content ? toBase64(m_content->bytes) : std::string();
}

std::int64_t Mask::relativeEntries(int indexBits) const
{
    return m_content ? m_content->relative[std::size_t(indexBits)] : 0;
}

bool operator==(const Mask &a, const Mask &b)
{
    if (a.m_content == b.m_content)
        return true;
    return a.m_content && b.m_content && a.m_content->size == b.m_content->size && a.m_content->bytes == b.m_content->bytes;
}

} // namespace bitwright
