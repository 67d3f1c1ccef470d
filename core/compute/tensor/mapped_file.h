// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct stat;

namespace bitwright {

/// A file's bytes without a copy of them: pages come from the disk when they are read, so a file may be larger than the
/// memory. A write to the bytes stays in this process.
///
/// Another program may shorten the file in the meantime, or the disk may go: pages that cannot be had read as zeros then,
/// instead of ending the process, and `mappedFilesIntact` tells it.
class MappedFile {
public:
    /// Errors name the path: no such file, a folder or a pipe, an empty file, no permission.
    static Result<std::shared_ptr<const MappedFile>> open(const std::string &path);
    ~MappedFile();
    MappedFile(const MappedFile &) = delete;
    MappedFile &operator=(const MappedFile &) = delete;

    [[nodiscard]] std::string_view bytes() const { return {m_data, m_size}; }
    [[nodiscard]] const std::string &path() const { return m_path; }
    /// An error where pages could not be had, or where the file was written to since it was mapped. A file that was
    /// replaced by another of the same name is intact: the mapping keeps the old one.
    [[nodiscard]] Status intact() const;

private:
    struct Identity {
        std::uint64_t device = 0, inode = 0;
        std::int64_t size = 0, seconds = 0, nanoseconds = 0;
        friend bool operator==(const Identity &, const Identity &) = default;
    };
    static Identity identityOf(const struct ::stat &status);
    friend Status mappedFilesIntact(std::uint64_t since);
    MappedFile() = default;

    std::string m_path;
    char *m_data = nullptr;
    std::size_t m_size = 0;
    int m_slot = -1;           ///< in the table that the signal handler reads
    std::uint64_t m_serial = 0;
    Identity m_identity;
};

/// How many files this process has mapped so far.
std::uint64_t mappedFileCount();

/// Whether every file that is mapped now is what it was when it was opened; of those that were mapped after the first
/// `since`. Asked before and after each job, and of what it mapped itself by whoever opens a network.
Status mappedFilesIntact(std::uint64_t since = 0);

} // namespace bitwright
