// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/mapped_file.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <set>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bitwright {

namespace {

/// What the signal handler knows of a mapping; it may neither lock nor allocate.
struct Slot {
    std::atomic<std::uintptr_t> begin = 0, end = 0;   ///< begin is set last and cleared first
    std::atomic<bool> lost = false;
};

constexpr std::size_t kMostMappings = 16384;   // networks with one file for each weight have thousands
std::array<Slot, kMostMappings> g_slots;
std::atomic<std::size_t> g_used = 0;           ///< slots behind it were never taken
std::atomic<std::uint64_t> g_count = 0;
std::uintptr_t g_pageMask = 0;
struct sigaction g_before {};

/// Reading a page behind the end of a file that was shortened raises SIGBUS. Zeros take the place of the rest of the
/// mapping, the read goes on, and whoever asks is told.
void onBusError(int signal, siginfo_t *info, void *context)
{
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    const std::size_t used = g_used.load();
    for (std::size_t i = 0; i < used; ++i) {
        Slot &slot = g_slots[i];
        const std::uintptr_t begin = slot.begin.load(), end = slot.end.load();
        if (begin == 0 || at < begin || at >= end)
            continue;
        const int saved = errno;
        const std::uintptr_t page = at & g_pageMask;
        void *made = ::mmap(reinterpret_cast<void *>(page), end - page, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        errno = saved;
        if (made == MAP_FAILED)
            break;
        slot.lost = true;
        return;
    }
    if ((g_before.sa_flags & SA_SIGINFO) != 0 && g_before.sa_sigaction != nullptr) {
        g_before.sa_sigaction(signal, info, context);
    } else if (g_before.sa_handler != SIG_DFL && g_before.sa_handler != SIG_IGN) {
        g_before.sa_handler(signal);
    } else {
        ::signal(signal, SIG_DFL);   // the instruction is run again and ends the process
    }
}

std::mutex &tableMutex()
{
    static std::mutex &mutex = *new std::mutex;   // outlives what maps at exit
    return mutex;
}

std::set<const MappedFile *> &allMapped()
{
    static auto &files = *new std::set<const MappedFile *>;
    return files;
}

void installHandler()
{
    static std::once_flag once;
    std::call_once(once, [] {
        g_pageMask = ~(std::uintptr_t(::sysconf(_SC_PAGESIZE)) - 1);
        struct sigaction action {};
        action.sa_sigaction = onBusError;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        ::sigemptyset(&action.sa_mask);
        ::sigaction(SIGBUS, &action, &g_before);
    });
}

/// A free slot for the mapping, or -1. Under the table's mutex.
int takeSlot(std::uintptr_t begin, std::size_t size)
{
    for (std::size_t i = 0; i < kMostMappings; ++i) {
        Slot &slot = g_slots[i];
        if (slot.begin.load() != 0)
            continue;
        slot.lost = false;
        slot.end = begin + size;
        slot.begin = begin;
        if (i >= g_used.load())
            g_used = i + 1;
        return int(i);
    }
    return -1;
}

struct Handle {
    int number = -1;
    ~Handle()
    {
        if (number >= 0)
            ::close(number);
    }
};

} // namespace

MappedFile::Identity MappedFile::identityOf(const struct ::stat &status)
{
    return {std::uint64_t(status.st_dev), std::uint64_t(status.st_ino), std::int64_t(status.st_size),
            std::int64_t(status.st_mtim.tv_sec), std::int64_t(status.st_mtim.tv_nsec)};
}

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string &path)
{
    // a pipe would wait for its writer
    const Handle handle{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (handle.number < 0)
        return fail(ErrorKind::Io, path + ", " + std::strerror(errno) + "; check the path and its permissions");
    struct ::stat status {};
    if (::fstat(handle.number, &status) != 0 || !S_ISREG(status.st_mode))
        return fail(ErrorKind::Io, path + ", it is not a file; name a file");
    if (status.st_size == 0)
        return fail(ErrorKind::Parse, path + ", the file is empty; copy or save it again");
    installHandler();
    std::shared_ptr<MappedFile> made(new MappedFile);
    made->m_path = path;
    made->m_identity = identityOf(status);
    // Private and writable: a weight that is changed in place gets its own copy of the page. Nothing is reserved for that.
    void *data = ::mmap(nullptr, std::size_t(status.st_size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, handle.number, 0);
    if (data == MAP_FAILED)
        return fail(ErrorKind::Io, path + ", it cannot be mapped into memory: " + std::strerror(errno) + "; check the disk");
    made->m_data = static_cast<char *>(data);
    made->m_size = std::size_t(status.st_size);
    const std::lock_guard lock(tableMutex());
    made->m_slot = takeSlot(reinterpret_cast<std::uintptr_t>(data), made->m_size);
    if (made->m_slot < 0) {
        ::munmap(made->m_data, made->m_size);
        made->m_data = nullptr;
        return fail(ErrorKind::Unsupported, path + ", more than " + std::to_string(kMostMappings) +
                                                " files are open at once; save the weights as one file");
    }
    made->m_serial = ++g_count;
    allMapped().insert(made.get());
    return made;
}

MappedFile::~MappedFile()
{
    if (m_data == nullptr)
        return;
    const std::lock_guard lock(tableMutex());
    allMapped().erase(this);
    g_slots[std::size_t(m_slot)].begin = 0;
    ::munmap(m_data, m_size);
}

Status MappedFile::intact() const
{
    if (g_slots[std::size_t(m_slot)].lost)
        return fail(ErrorKind::Io, m_path + ", it was shortened, or its disk was lost, while it was open; open it again");
    struct ::stat status {};
    if (::stat(m_path.c_str(), &status) != 0)
        return {};   // removed or renamed: its bytes stay until they are unmapped
    const Identity now = identityOf(status);
    const bool same = now.device == m_identity.device && now.inode == m_identity.inode;
    if (same && now != m_identity)
        return fail(ErrorKind::Io, m_path + ", it was written to while it was open; open it again");
    return {};
}

std::uint64_t mappedFileCount() { return g_count; }

Status mappedFilesIntact(std::uint64_t since)
{
    const std::lock_guard lock(tableMutex());
    for (const MappedFile *file : allMapped())
        if (file->m_serial > since)
            BW_CHECK(file->intact());
    return {};
}

} // namespace bitwright
