// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// The records of a PyTorch archive: .pt2, or what torch.save wrote. Those that are stored as they are, which weights
/// always are, are mapped and never copied.
class ArchiveRecords {
public:
    /// Refuses what is no such archive, and one whose records unpack to much more than the file holds.
    static Result<ArchiveRecords> open(const std::string &path);
    ~ArchiveRecords();
    ArchiveRecords(ArchiveRecords &&) noexcept;
    ArchiveRecords &operator=(ArchiveRecords &&) noexcept;

    /// Without the archive's own folder, in the order of the file.
    [[nodiscard]] const std::vector<std::string> &names() const;
    [[nodiscard]] bool has(const std::string &name) const;
    /// Bytes of a record once it is unpacked; an error where there is none of that name.
    [[nodiscard]] Result<std::uint64_t> size(const std::string &name) const;
    /// A record as a one-dimensional tensor of bytes that keeps alive what it views.
    [[nodiscard]] Result<at::Tensor> bytes(const std::string &name) const;
    /// A copy of a record.
    [[nodiscard]] Result<std::string> text(const std::string &name) const;

private:
    ArchiveRecords();
    struct Private;
    std::unique_ptr<Private> d;
};

/// Whether the bytes of an archive that holds one pickle, as `torch::jit::pickle_save` makes it, can be given to LibTorch's
/// own reader, which believes what it reads.
Status checkPickleArchive(const std::vector<char> &bytes);

/// What the records of any PyTorch archive may unpack to: as much as the file has, and what text compresses to.
Status checkUnpackedSize(const std::string &path);

} // namespace bitwright
