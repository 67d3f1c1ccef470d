// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>

namespace bitwright {

namespace {

constexpr std::uint64_t kSmall = std::uint64_t(256) << 20;   // not worth asking

thread_local std::uint64_t t_limit = 0;

/// LibTorch's own allocator behind a look at the limit.
class LimitedAllocator final : public c10::Allocator {
public:
    explicit LimitedAllocator(c10::Allocator *base) : m_base(base) {}
    c10::DataPtr allocate(std::size_t bytes) override
    {
        TORCH_CHECK(t_limit == 0 || bytes <= t_limit, "a tensor of ", bytes >> 20, " MB would be made, more than fits the memory");
        return m_base->allocate(bytes);
    }
    c10::DeleterFnPtr raw_deleter() const override { return m_base->raw_deleter(); }
    void copy_data(void *to, const void *from, std::size_t count) const override { m_base->copy_data(to, from, count); }
    bool is_simple_data_ptr(const c10::DataPtr &data) const override { return m_base->is_simple_data_ptr(data); }

private:
    c10::Allocator *m_base;
};

void installOnce()
{
    static LimitedAllocator *const kInstalled = [] {
        auto *made = new LimitedAllocator(c10::GetCPUAllocator());   // lives as long as the last tensor
        c10::SetCPUAllocator(made);
        return made;
    }();
    (void)kInstalled;
}

} // namespace

AllocationLimit::AllocationLimit(std::uint64_t bytes) : m_before(t_limit)
{
    installOnce();
    if (bytes > 0)
        t_limit = t_limit == 0 ? bytes : std::min(t_limit, bytes);
}

AllocationLimit::~AllocationLimit() { t_limit = m_before; }

std::uint64_t AllocationLimit::current() { return t_limit; }

std::uint64_t availableMemory()
{
    std::ifstream file("/proc/meminfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("MemAvailable:"))
            return std::strtoull(line.c_str() + 13, nullptr, 10) << 10;
    return std::numeric_limits<std::uint64_t>::max();
}

Status checkMemory(std::uint64_t bytes, const std::string &what)
{
    if (bytes < kSmall)
        return {};
    const std::uint64_t available = availableMemory();
    if (bytes > available)
        return fail(ErrorKind::Unsupported, what + ", unpacked it takes " + std::to_string(bytes >> 20) + " MB of memory and " +
                                                std::to_string(available >> 20) + " MB are free; read a part of it, or free some");
    return {};
}

} // namespace bitwright
