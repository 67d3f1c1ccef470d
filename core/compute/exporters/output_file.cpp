// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/output_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bitwright {

namespace {

Status writeAll(int handle, std::string_view bytes, const std::string &path)
{
    while (!bytes.empty()) {
        const ssize_t written = ::write(handle, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            const bool full = errno == ENOSPC || errno == EDQUOT;
            return fail(ErrorKind::Io, path + (full ? ", the disk is full; free some space or choose another folder"
                                                    : std::string(", it cannot be written: ") + std::strerror(errno) +
                                                          "; choose another folder"));
        }
        bytes.remove_prefix(std::size_t(written));
    }
    return {};
}

} // namespace

Status writeChecked(const std::string &path, std::string_view bytes, const std::function<Status(const std::string &)> &check)
{
    struct stat present {};
    if (stat(path.c_str(), &present) == 0 && S_ISDIR(present.st_mode))
        return fail(ErrorKind::Io, path + ", it is a folder; give a file name");
    std::string temporary = path + ".part-XXXXXX";
    const int handle = mkstemp(temporary.data());
    if (handle < 0)
        return fail(ErrorKind::Io, path + ", it cannot be written: " + std::strerror(errno) + "; choose another folder");
    Status status = writeAll(handle, bytes, path);
    // A full disk may show only here.
    if (status && fsync(handle) != 0 && errno != EINVAL && errno != EROFS)
        status = fail(ErrorKind::Io, path + ", it cannot be written: " + std::strerror(errno) + "; choose another folder");
    const mode_t mask = umask(0);
    umask(mask);
    fchmod(handle, 0666 & ~mask);
    if (close(handle) != 0 && status)
        status = fail(ErrorKind::Io, path + ", it cannot be written: " + std::strerror(errno) + "; choose another folder");
    if (status && check)
        status = check(temporary);
    if (status && std::rename(temporary.c_str(), path.c_str()) != 0)
        status = fail(ErrorKind::Io, path + ", it cannot be replaced: " + std::strerror(errno) + "; choose another name");
    if (!status)
        std::remove(temporary.c_str());
    return status;
}

} // namespace bitwright
