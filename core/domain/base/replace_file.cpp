// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/replace_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

namespace bitwright {

namespace {

/// A full disk may show only when the bytes are sent there. File systems without fsync say EINVAL or EROFS.
int sync(const std::string &path)
{
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return errno;
    const int failed = ::fsync(descriptor) != 0 && errno != EINVAL && errno != EROFS ? errno : 0;
    ::close(descriptor);
    return failed;
}

} // namespace

Status replaceFile(const std::string &path, const std::function<Status(const std::string &temporary)> &write)
{
    std::error_code code;
    std::string target = path;
    if (std::filesystem::is_symlink(path, code))
        if (const auto real = std::filesystem::weakly_canonical(path, code); !code)
            target = real.string();
    if (std::filesystem::is_directory(target, code))
        return fail(ErrorKind::Io, path + ", it is a folder; name a file");
    if (std::filesystem::exists(target, code) && !std::filesystem::is_regular_file(target, code))
        return fail(ErrorKind::Io, path + ", it is a device or a pipe, which cannot be replaced; name a file");
    const std::string temporary = target + ".part" + std::to_string(::getpid());
    Status status = write(temporary);
    if (status) {
        int failed = sync(temporary);
        if (failed == 0 && std::rename(temporary.c_str(), target.c_str()) != 0)
            failed = errno;
        if (failed != 0)
            status = fail(ErrorKind::Io, path + ", it cannot be written (" + std::strerror(failed) +
                                             "); free some space or choose another place");
    }
    if (!status)
        ::unlink(temporary.c_str());
    return status;
}

} // namespace bitwright
