// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/pack_bits.h"

#include "cost/entropy.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace bitwright::pack {

namespace {

/// Larger alphabets would pay for their table only in huge tensors.
constexpr std::uint64_t kLargestHuffman = 4096;

int symbolBits(std::uint64_t alphabet)
{
    return alphabet <= 256 ? 8 : 16;
}

/// Number of table entries, then symbol and length of each symbol that occurs.
void writeTable(BitWriter &out, const std::vector<int> &lengths, std::uint64_t alphabet)
{
    out.put(std::uint64_t(std::ranges::count_if(lengths, [](int length) { return length > 0; })), 16);
    for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
        if (lengths[symbol] == 0)
            continue;
        out.put(symbol, symbolBits(alphabet));
        out.put(std::uint64_t(lengths[symbol]), 8);
    }
}

std::unexpected<Error> damaged(const char *what)
{
    return fail(ErrorKind::Parse, what);
}

Result<std::vector<int>> readTable(BitReader &in, std::uint64_t alphabet)
{
    std::vector<int> lengths(std::size_t(alphabet), 0);
    const std::uint64_t entries = in.take(16);
    for (std::uint64_t i = 0; i < entries && in.ok(); ++i) {
        const std::uint64_t symbol = in.take(symbolBits(alphabet)), length = in.take(8);
        if (symbol >= alphabet || lengths[std::size_t(symbol)] != 0 || length == 0)
            return damaged("its code table is damaged");
        lengths[std::size_t(symbol)] = int(length);
    }
    if (!in.ok() || !isPrefixCode(lengths))
        return damaged("its code table is damaged");
    return lengths;
}

/// Decodes a canonical code bit by bit: words of one length are consecutive numbers.
class Decoder {
public:
    explicit Decoder(const std::vector<int> &lengths)
    {
        for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol)
            if (lengths[symbol] > 0)
                ++m_count[std::size_t(lengths[symbol])];
        for (int length = 1; length <= kMaxCodeLength; ++length)
            for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol)
                if (lengths[symbol] == length)
                    m_symbols.push_back(std::uint16_t(symbol));
    }
    /// -1 for a word that there is not.
    int next(BitReader &in) const
    {
        std::uint64_t code = 0, first = 0, index = 0;
        for (std::size_t length = 1; length < m_count.size(); ++length) {
            code = code << 1 | in.take(1);
            if (code - first < m_count[length])
                return m_symbols[std::size_t(index + code - first)];
            index += m_count[length];
            first = (first + m_count[length]) << 1;
        }
        return -1;
    }

private:
    std::vector<std::uint64_t> m_count = std::vector<std::uint64_t>(std::size_t(kMaxCodeLength) + 1, 0);
    std::vector<std::uint16_t> m_symbols;
};

} // namespace

void BitWriter::put(std::uint64_t value, int bits)
{
    for (int done = 0; done < bits;) {
        const int part = std::min(bits - done, 32);
        m_held |= (value >> done & ((std::uint64_t(1) << part) - 1)) << m_count;
        m_count += part;
        done += part;
        for (; m_count >= 8; m_count -= 8, m_held >>= 8)
            m_bytes += char(m_held & 0xff);
    }
}

std::string BitWriter::finish()
{
    if (m_count > 0)
        m_bytes += char(m_held & 0xff);
    m_held = 0;
    m_count = 0;
    return std::move(m_bytes);
}

std::uint64_t BitReader::take(int bits)
{
    std::uint64_t value = 0;
    for (int done = 0; done < bits;) {
        const std::size_t byte = m_at / 8, inside = m_at % 8;
        const int part = std::min(bits - done, int(8 - inside));
        if (byte < m_bytes.size())
            value |= std::uint64_t(std::uint8_t(m_bytes[byte]) >> inside & ((1U << part) - 1)) << done;
        m_at += std::size_t(part);
        done += part;
    }
    return value;
}

std::size_t BitReader::align()
{
    m_at = (m_at + 7) / 8 * 8;
    return m_at / 8;
}

int plainBits(std::uint64_t alphabet)
{
    return alphabet < 2 ? 0 : int(std::bit_width(alphabet - 1));
}

Stream planStream(std::span<const std::uint64_t> counts)
{
    const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t(0));
    Stream plan;
    plan.bytes = (total * std::uint64_t(plainBits(counts.size())) + 7) / 8;
    if (counts.size() > kLargestHuffman || counts.size() < 2 || total == 0)
        return plan;
    const std::vector<int> lengths = huffmanLengths(counts);
    const std::uint64_t used = std::uint64_t(std::ranges::count_if(lengths, [](int length) { return length > 0; }));
    const std::uint64_t table = 16 + used * std::uint64_t(symbolBits(counts.size()) + 8);
    const std::uint64_t bytes = (table + messageBits(counts, lengths) + 7) / 8;
    if (bytes < plan.bytes)
        plan = {Coding::Huffman, bytes, lengths};
    return plan;
}

std::string writeStream(const Stream &plan, std::span<const std::uint16_t> symbols, std::uint64_t alphabet)
{
    BitWriter out;
    if (plan.coding == Coding::Plain) {
        for (const std::uint16_t symbol : symbols)
            out.put(symbol, plainBits(alphabet));
        return out.finish();
    }
    writeTable(out, plan.lengths, alphabet);
    std::vector<std::uint32_t> words = canonicalCodes(plan.lengths);
    for (std::size_t symbol = 0; symbol < words.size(); ++symbol) {   // the highest bit goes first
        std::uint32_t turned = 0;
        for (int i = 0; i < plan.lengths[symbol]; ++i)
            turned |= (words[symbol] >> i & 1) << (plan.lengths[symbol] - 1 - i);
        words[symbol] = turned;
    }
    for (const std::uint16_t symbol : symbols)
        out.put(words[symbol], plan.lengths[symbol]);
    return out.finish();
}

Result<std::vector<std::uint16_t>> readStream(std::string_view &bytes, Coding coding, std::uint64_t count, std::uint64_t alphabet)
{
    BitReader in(bytes);
    std::vector<std::uint16_t> symbols;
    const int width = plainBits(alphabet);
    // Each symbol takes at least a bit, so a hostile count cannot ask for more memory than the file can fill.
    if ((coding == Coding::Huffman || width > 0) && count > 8 * bytes.size())
        return damaged("it has fewer codes than its header says");
    if (coding == Coding::Plain) {
        symbols.reserve(std::size_t(count));
        for (std::uint64_t i = 0; i < count; ++i)
            symbols.push_back(std::uint16_t(in.take(width)));
    } else {
        if (alphabet < 2 || alphabet > kLargestHuffman)
            return damaged("its code table is damaged");
        BW_ASSIGN(const std::vector<int> lengths, readTable(in, alphabet));
        const Decoder decoder(lengths);
        symbols.reserve(std::size_t(count));
        for (std::uint64_t i = 0; i < count; ++i) {
            const int symbol = decoder.next(in);
            if (symbol < 0)
                return damaged("it has a code word that its table lacks");
            symbols.push_back(std::uint16_t(symbol));
        }
    }
    if (!in.ok())
        return damaged("it has fewer codes than its header says");
    if (std::ranges::any_of(symbols, [&](std::uint16_t symbol) { return symbol >= alphabet; }))
        return damaged("it has a code beyond its levels");
    bytes.remove_prefix(in.align());
    return symbols;
}

} // namespace bitwright::pack
