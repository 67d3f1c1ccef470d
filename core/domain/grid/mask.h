// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// Which elements of a weight are kept, in the order of its storage. An immutable value with shared content: copies in
/// assignments and undo steps cost nothing. An empty mask means that nothing is pruned.
class Mask {
public:
    Mask() = default;
    /// One entry per element, zero for pruned.
    static Mask fromKept(std::span<const std::uint8_t> kept);
    /// From bitmap(); `size` elements. Errors: no base64, another length, bits beyond the end.
    static Result<Mask> fromBitmap(const std::string &bitmap, std::int64_t size);

    [[nodiscard]] bool empty() const { return !m_content; }
    [[nodiscard]] std::int64_t size() const { return m_content ? m_content->size : 0; }
    [[nodiscard]] std::int64_t keptCount() const { return m_content ? m_content->kept : 0; }
    [[nodiscard]] bool keeps(std::int64_t index) const;
    /// One entry per element, 1 for kept.
    [[nodiscard]] std::vector<std::uint8_t> kept() const;
    /// One bit per element, the first in the lowest bit of the first byte, as base64.
    [[nodiscard]] std::string bitmap() const;
    /// Entries of the relative-index encoding (Deep Compression, ICLR 2016, section 2): the kept ones, and a filler
    /// zero wherever a gap does not fit `indexBits` bits, 1 to 8. Counted when first asked for, then remembered.
    [[nodiscard]] std::int64_t relativeEntries(int indexBits) const;

    friend bool operator==(const Mask &a, const Mask &b);

private:
    struct Content {
        std::vector<std::uint8_t> bytes;   ///< the bitmap
        std::int64_t size = 0, kept = 0;
        /// Entries by index bits, 1 to 8; 0 while not counted. Two threads may both count and find the same.
        mutable std::array<std::atomic<std::int64_t>, 9> relative{};
    };
    static std::int64_t countRelative(const Content &content, int indexBits);
    static Mask fromBytes(std::vector<std::uint8_t> bytes, std::int64_t size);

    std::shared_ptr<const Content> m_content;
};

} // namespace bitwright
