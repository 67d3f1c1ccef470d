// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/deep_stack.h"

#include "tensor/memory.h"

#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>

#include <exception>

#include <pthread.h>

namespace bitwright {

namespace {

struct Work {
    const std::function<void()> &body;
    at::ThreadLocalState state;
    int threads = 1;
    std::uint64_t limit = 0;
    std::exception_ptr thrown = nullptr;
};

void *runWork(void *given)
{
    Work &work = *static_cast<Work *>(given);
    try {
        const at::ThreadLocalStateGuard guard(work.state);
        at::set_num_threads(work.threads);
        const AllocationLimit limit(work.limit);
        work.body();
    } catch (...) {
        work.thrown = std::current_exception();
    }
    return nullptr;
}

} // namespace

void onDeepStack(const std::function<void()> &body)
{
    Work work{body, at::ThreadLocalState(), at::get_num_threads(), AllocationLimit::current()};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_t thread{};
    const bool started = pthread_attr_setstacksize(&attributes, kDeepStackBytes) == 0 && pthread_create(&thread, &attributes, runWork, &work) == 0;
    pthread_attr_destroy(&attributes);
    if (!started)
        return body();
    pthread_join(thread, nullptr);
    if (work.thrown)
        std::rethrow_exception(work.thrown);
}

} // namespace bitwright
