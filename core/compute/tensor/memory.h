// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace bitwright {

/// Bytes that the system could give without swapping; the largest number where it does not tell.
std::uint64_t availableMemory();

/// Refuses what would take more memory than there is. A compressed file of a few megabytes may want any amount, and the
/// system ends a process that takes too much instead of telling it. `what` opens the message.
Status checkMemory(std::uint64_t bytes, const std::string &what);

/// While it lives, a tensor of more than so many bytes is not made on this thread: making it throws, as where the system
/// has no memory. A file of a few bytes may ask for any amount, and a system that promises more than it has ends the
/// process. Of two limits the smaller holds; 0 is none.
class AllocationLimit {
public:
    explicit AllocationLimit(std::uint64_t bytes);
    ~AllocationLimit();
    AllocationLimit(const AllocationLimit &) = delete;
    AllocationLimit &operator=(const AllocationLimit &) = delete;
    /// The one that holds on this thread.
    static std::uint64_t current();

private:
    std::uint64_t m_before = 0;
};

} // namespace bitwright
