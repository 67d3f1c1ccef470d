// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text_file.h"

#include "base/replace_file.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace bitwright {

namespace {

struct CloseFile {
    void operator()(std::FILE *file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

std::string reason(int code)
{
    return std::generic_category().message(code);
}

/// Writes all bytes and pushes them to the disk; only then may the old file be replaced.
int writeAll(int descriptor, std::string_view text)
{
    while (!text.empty()) {
        const ssize_t written = ::write(descriptor, text.data(), text.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        text.remove_prefix(std::size_t(written));
    }
    return ::fsync(descriptor) != 0 && errno != EINVAL ? errno : 0;
}

} // namespace

Result<std::string> readTextFile(const std::string &path, std::uint64_t limit)
{
    std::error_code code;
    if (std::filesystem::is_directory(path, code))
        return fail(ErrorKind::Io, path + ", it is a folder; name a file");
    const File file(std::fopen(path.c_str(), "rb"));
    if (!file)
        return fail(ErrorKind::Io, path + ", cannot be read (" + reason(errno) + "); check the path");
    std::string text;
    std::string chunk(std::size_t(1) << 16, '\0');
    while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
        text.append(chunk, 0, got);
        if (text.size() > limit)
            return fail(ErrorKind::Io, path + ", it is larger than " + std::to_string(limit >> 20)
                                           + " MiB; that cannot be the file meant");
    }
    if (std::ferror(file.get()))
        return fail(ErrorKind::Io, path + ", reading failed (" + reason(errno) + "); check the disk");
    return text;
}

Status writeTextFile(const std::string &path, std::string_view text)
{
    std::error_code code;
    const auto target = std::filesystem::status(path, code);
    // Devices and pipes (/dev/stdout, /dev/full) cannot be renamed onto: they are written as they are.
    const bool replace = !std::filesystem::exists(target) || std::filesystem::is_regular_file(target) || std::filesystem::is_directory(target);
    auto write = [&](const std::string &written) -> Status {
        const int descriptor = ::open(written.c_str(), O_WRONLY | O_CLOEXEC | (replace ? O_CREAT | O_TRUNC : 0), 0666);
        if (descriptor < 0)
            return fail(ErrorKind::Io, path + ", cannot be written (" + reason(errno) + "); check the folder");
        int failed = writeAll(descriptor, text);
        if (::close(descriptor) != 0 && failed == 0)
            failed = errno;
        if (failed != 0)
            return fail(ErrorKind::Io, path + ", writing failed (" + reason(failed) + "); free some space or choose another place");
        return {};
    };
    return replace ? replaceFile(path, write) : write(path);
}

} // namespace bitwright
