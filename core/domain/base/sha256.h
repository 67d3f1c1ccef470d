// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bitwright {

/// SHA-256 (FIPS 180-4), fed in pieces.
class Sha256 {
public:
    void update(std::string_view bytes);
    /// The digest as 64 hexadecimal digits; the object is used up.
    [[nodiscard]] std::string hex();

private:
    void block(const unsigned char *data);

    std::array<std::uint32_t, 8> m_state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<unsigned char, 64> m_buffer{};
    std::size_t m_filled = 0;
    std::uint64_t m_total = 0;
};

/// The digest of a whole file.
Result<std::string> sha256OfFile(const std::string &path);

} // namespace bitwright
