// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/child_files.h"

#include <ATen/ATen.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace bitwright {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder()
{
    std::error_code ignored;
    std::string wanted = (fs::temp_directory_path(ignored) / "bitwright-verify-XXXXXX").string();
    if (mkdtemp(wanted.data()))
        m_path = wanted;
}

TemporaryFolder::~TemporaryFolder()
{
    std::error_code ignored;
    if (!m_path.empty())
        fs::remove_all(m_path, ignored);
}

Status writeRaw(const std::string &path, std::string_view bytes)
{
    std::ofstream file(path, std::ios::binary);
    file.write(bytes.data(), std::streamsize(bytes.size()));
    file.close();
    if (!file)
        return fail(ErrorKind::Io, path + ", a temporary file cannot be written; free some disk space or set TMPDIR");
    return {};
}

Result<at::Tensor> readRaw(const std::string &path, const std::vector<std::int64_t> &shape, at::ScalarType type, std::int64_t offset)
{
    at::Tensor made = at::empty(shape, at::TensorOptions(type));
    std::ifstream file(path, std::ios::binary);
    file.seekg(offset);
    file.read(static_cast<char *>(made.mutable_data_ptr()), std::streamsize(made.nbytes()));
    if (!file || std::size_t(file.gcount()) != made.nbytes())
        return fail(ErrorKind::Io, path + ", the runtime's answer is incomplete; look at the log");
    return made;
}

} // namespace bitwright
