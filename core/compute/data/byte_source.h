// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <cstdint>
#include <memory>
#include <string>

namespace bitwright {

/// Bytes in order from a plain file, a gzip file or an entry of a zip archive. Damage comes back as an Error.
class ByteSource {
public:
    virtual ~ByteSource() = default;
    /// Reads up to `count` bytes; fewer only at the end.
    virtual Result<std::int64_t> read(void *target, std::int64_t count) = 0;
    /// No more bytes than this can come, whatever a header promises; checked before memory is asked for.
    [[nodiscard]] std::int64_t bound() const { return m_bound; }
    /// The file (and entry) for messages.
    [[nodiscard]] const std::string &name() const { return m_name; }

    /// Reads exactly `count` bytes or says that the file is truncated.
    Status readAll(void *target, std::int64_t count);
    /// Passes over `count` bytes.
    Status skip(std::int64_t count);
    /// Fails where more bytes follow; also makes gzip and zip check their sums.
    Status expectEnd();

protected:
    ByteSource(std::string name, std::int64_t bound) : m_name(std::move(name)), m_bound(bound) {}

private:
    std::string m_name;
    std::int64_t m_bound;
};

/// Opens a plain or gzip file.
Result<std::unique_ptr<ByteSource>> openFile(const std::string &path);

} // namespace bitwright
