// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright {

/// The longest code word that is ever used; a decoder can hold it in one machine word.
inline constexpr int kMaxCodeLength = 24;

/// Lengths of an optimal prefix code whose words have at most `limit` bits (package-merge; Larmore and Hirschberg, JACM
/// 1990), one per symbol: 0 for a symbol that never occurs, 1 for the only one that does. Where `limit` binds, 2^limit
/// words must be enough for the symbols that occur.
std::vector<int> huffmanLengths(std::span<const std::uint64_t> counts, int limit = kMaxCodeLength);

/// The canonical code of these lengths: by length, then by symbol, counting up; the first bit of a word is its highest.
std::vector<std::uint32_t> canonicalCodes(std::span<const int> lengths);

/// True where the lengths are those of a complete prefix code, or of the only symbol there is.
[[nodiscard]] bool isPrefixCode(std::span<const int> lengths, int limit = kMaxCodeLength);

/// Bits of the message alone: the sum of count times length.
std::uint64_t messageBits(std::span<const std::uint64_t> counts, std::span<const int> lengths);
/// Bits of the code's table: 8 for each symbol that occurs and 8 for its length (methods.md I1).
std::uint64_t tableBits(std::span<const int> lengths);
/// Shannon's bound, bits a symbol; 0 for an empty message.
double entropyBits(std::span<const std::uint64_t> counts);

} // namespace bitwright
