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

constexpr const char *kProbed = "probed";

/// Takes what was written away, also when the writer throws; after the rename there is nothing under that name.
struct Leftover {
    const std::string &path;
    ~Leftover() { ::unlink(path.c_str()); }
};

/// The file that a chain of links ends at, whether it is there or not.
Result<std::string> followLinks(const std::string &path)
{
    constexpr int kLongest = 40;
    std::filesystem::path target = path;
    std::error_code code;
    for (int hops = 0; std::filesystem::is_symlink(target, code); ++hops) {
        const std::filesystem::path next = std::filesystem::read_symlink(target, code);
        if (code || hops == kLongest)
            return fail(ErrorKind::Io, path + ", it is a link that leads nowhere; name a file");
        target = next.is_absolute() ? next : target.parent_path() / next;
    }
    return target.string();
}

} // namespace

Status notOver(const std::string &source, const std::string &target)
{
    std::error_code code;
    if (std::filesystem::equivalent(source, target, code) && !code)
        return fail(ErrorKind::Invalid, target + ", that is the network that is read; choose another name");
    return {};
}

Status replaceFile(const std::string &path, const std::function<Status(const std::string &temporary)> &write)
{
    BW_ASSIGN(const std::string target, followLinks(path));
    std::error_code code;
    const auto present = std::filesystem::status(target, code);
    if (std::filesystem::is_directory(present))
        return fail(ErrorKind::Io, path + ", it is a folder; name a file");
    if (std::filesystem::exists(present) && !std::filesystem::is_regular_file(present))
        return fail(ErrorKind::Io, path + ", it is a device or a pipe, which cannot be replaced; name a file");
    const std::string temporary = target + ".part" + std::to_string(::getpid());
    const Leftover leftover{temporary};
    BW_CHECK(write(temporary));
    if (std::filesystem::exists(present))   // a private file stays private
        std::filesystem::permissions(temporary, present.permissions(), code);
    int failed = sync(temporary);
    if (failed == 0 && std::rename(temporary.c_str(), target.c_str()) != 0)
        failed = errno;
    if (failed != 0)
        return fail(ErrorKind::Io, path + ", it cannot be written (" + std::strerror(failed) + "); free some space or choose another place");
    return {};
}

Status canReplace(const std::string &path)
{
    Status verdict;
    const Status done = replaceFile(path, [&](const std::string &temporary) -> Status {
        const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (descriptor < 0)
            verdict = fail(ErrorKind::Io, path + ", it cannot be written (" + std::strerror(errno) + "); choose another place");
        else
            ::close(descriptor);
        return fail(ErrorKind::Cancelled, kProbed);   // whatever came of it, nothing is replaced
    });
    return done || done.error().message == kProbed ? verdict : done;
}

} // namespace bitwright
