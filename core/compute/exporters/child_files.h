// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// A folder for what is handed to another program; it goes away with its contents.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder &) = delete;
    TemporaryFolder &operator=(const TemporaryFolder &) = delete;
    [[nodiscard]] bool valid() const { return !m_path.empty(); }
    [[nodiscard]] std::string file(const std::string &name) const { return m_path + "/" + name; }

private:
    std::string m_path;
};

/// Raw arrays as NumPy's tofile and fromfile have them.
Status writeRaw(const std::string &path, std::string_view bytes);
/// `offset`: bytes before the array.
Result<at::Tensor> readRaw(const std::string &path, const std::vector<std::int64_t> &shape, at::ScalarType type, std::int64_t offset = 0);

} // namespace bitwright
