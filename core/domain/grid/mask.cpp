// SPDX-License-Identifier: GPL-3.0-or-later
#include "grid/mask.h"

#include <bit>
#include <cstring>
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

constexpr std::size_t kWordBytes = 8;

/// Eight bytes from `at` on as one word, the first lowest; zeros behind the end.
std::uint64_t wordAt(const std::vector<std::uint8_t> &bytes, std::size_t at)
{
    std::uint64_t word = 0;
    if (at + kWordBytes <= bytes.size()) {
        std::memcpy(&word, bytes.data() + at, kWordBytes);
        if constexpr (std::endian::native == std::endian::big)
            word = __builtin_bswap64(word);
        return word;
    }
    for (std::size_t i = at; i < bytes.size(); ++i)
        word |= std::uint64_t(bytes[i]) << (8 * (i - at));
    return word;
}

/// Bit i says whether entry i of eight is not zero.
std::uint8_t packed(const std::uint8_t *entries)
{
    constexpr std::uint64_t kLow = 0x7f7f7f7f7f7f7f7fULL;
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < kWordBytes; ++i)
        word |= std::uint64_t(entries[i]) << (8 * i);   // one load where the machine is little-endian
    const std::uint64_t set = ((((word & kLow) + kLow) | word) & ~kLow) >> 7;   // 1 in each byte that is not zero
    return std::uint8_t((set * 0x0102040810204080ULL) >> 56);
}

/// Whether `length` zeros (a power of two) stand in a row; none of more than a word.
bool hasZeroRun(std::uint64_t word, std::int64_t length)
{
    if (length >= 64)
        return false;   // the word is not empty
    std::uint64_t zeros = ~word;
    for (std::int64_t step = 1; step < length; step *= 2)
        zeros &= zeros >> step;
    return zeros != 0;
}

} // namespace

Mask Mask::fromBytes(std::vector<std::uint8_t> bytes, std::int64_t size)
{
    auto content = std::make_shared<Content>();
    for (std::size_t at = 0; at < bytes.size(); at += kWordBytes)
        content->kept += std::popcount(wordAt(bytes, at));
    content->bytes = std::move(bytes);
    content->size = size;
    Mask mask;
    mask.m_content = std::move(content);
    return mask;
}

Mask Mask::fromKept(std::span<const std::uint8_t> kept)
{
    std::vector<std::uint8_t> bytes((kept.size() + 7) / 8, 0);
    const std::size_t whole = kept.size() / 8 * 8;
    for (std::size_t i = 0; i < whole; i += 8)
        bytes[i / 8] = packed(kept.data() + i);
    for (std::size_t i = whole; i < kept.size(); ++i)
        bytes[i / 8] |= std::uint8_t((kept[i] != 0) << (i % 8));
    return fromBytes(std::move(bytes), std::int64_t(kept.size()));
}

std::int64_t Mask::countRelative(const Content &content, int indexBits)
{
    // A field skips at most 2^bits - 1 zeros; a filler stands on the next one. Zeros behind the last kept need none.
    const std::int64_t longest = std::int64_t(1) << indexBits;
    std::int64_t entries = content.kept, previous = -1;
    const auto fillersBefore = [&](std::int64_t at) {
        entries += (at - previous - 1) >> indexBits;
        previous = at;
    };
    for (std::size_t at = 0; at < content.bytes.size(); at += kWordBytes) {
        std::uint64_t word = wordAt(content.bytes, at);
        if (word == 0)
            continue;
        const std::int64_t start = std::int64_t(at) * 8;
        fillersBefore(start + std::countr_zero(word));
        // Gaps inside a word matter only where it has a run of so many zeros: nearly never in a full mask.
        if (hasZeroRun(word, longest)) {
            for (word &= word - 1; word != 0; word &= word - 1)
                fillersBefore(start + std::countr_zero(word));
        } else {
            previous = start + 63 - std::countl_zero(word);
        }
    }
    return entries;
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
    const std::size_t whole = entries.size() / 8;
    for (std::size_t byte = 0; byte < whole; ++byte)
        for (std::size_t bit = 0; bit < 8; ++bit)
            entries[8 * byte + bit] = m_content->bytes[byte] >> bit & 1;
    for (std::size_t i = 8 * whole; i < entries.size(); ++i)
        entries[i] = m_content->bytes[i / 8] >> (i % 8) & 1;
    return entries;
}

std::string Mask::bitmap() const
{
    return m_content ? toBase64(m_content->bytes) : std::string();
}

std::int64_t Mask::relativeEntries(int indexBits) const
{
    if (!m_content || m_content->kept == 0)
        return 0;
    std::atomic<std::int64_t> &known = m_content->relative[std::size_t(indexBits)];
    if (const std::int64_t count = known.load(std::memory_order_relaxed))
        return count;
    const std::int64_t count = countRelative(*m_content, indexBits);
    known.store(count, std::memory_order_relaxed);
    return count;
}

bool operator==(const Mask &a, const Mask &b)
{
    if (a.m_content == b.m_content)
        return true;
    return a.m_content && b.m_content && a.m_content->size == b.m_content->size && a.m_content->bytes == b.m_content->bytes;
}

} // namespace bitwright
