// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright::pack {

/// Appends bits, the first in the lowest bit of a byte.
class BitWriter {
public:
    void put(std::uint64_t value, int bits);
    /// Fills the last byte with zeros and gives what was written.
    std::string finish();

private:
    std::string m_bytes;
    std::uint64_t m_held = 0;
    int m_count = 0;
};

/// Reads what BitWriter wrote; behind the end everything is zero and ok() false.
class BitReader {
public:
    explicit BitReader(std::string_view bytes) : m_bytes(bytes) {}
    std::uint64_t take(int bits);
    [[nodiscard]] bool ok() const { return m_at <= 8 * m_bytes.size(); }
    /// Goes on at the next whole byte; its place.
    std::size_t align();

private:
    std::string_view m_bytes;
    std::size_t m_at = 0;
};

enum class Coding { Plain, Huffman };

/// A list of symbols below `alphabet` on its way to the file, in the smaller of both codings (docs/pack.md).
struct Stream {
    Coding coding = Coding::Plain;
    std::uint64_t bytes = 0;           ///< what writing will take, table included
    std::vector<int> lengths;          ///< of Huffman's code words
};
/// Bits of a plain symbol: as many as the largest below `alphabet` needs.
int plainBits(std::uint64_t alphabet);
Stream planStream(std::span<const std::uint64_t> counts);
std::string writeStream(const Stream &plan, std::span<const std::uint16_t> symbols, std::uint64_t alphabet);

/// Reads `count` symbols from the front of `bytes` and takes them off it.
Result<std::vector<std::uint16_t>> readStream(std::string_view &bytes, Coding coding, std::uint64_t count, std::uint64_t alphabet);

} // namespace bitwright::pack
