// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/lane.h"

#include "tensor/guarded.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace bitwright {

namespace {
using Clock = std::chrono::steady_clock;
constexpr auto kProgressInterval = std::chrono::milliseconds(50);
} // namespace

Lane::Lane(Emit emit, std::function<void()> setUp, std::function<void()> yield)
    : m_emit(std::move(emit)), m_setUp(std::move(setUp)), m_yield(std::move(yield)),
      m_thread([this](const std::stop_token &stop) { loop(stop); })
{
}

Lane::~Lane()
{
    {
        std::lock_guard lock(m_mutex);
        m_queue.clear();
        if (m_running)
            m_running->stop.request_stop();
        m_thread.request_stop();
    }
    m_changed.notify_all();
    m_thread.join();
}

void Lane::submit(LaneJob job)
{
    std::vector<JobId> replaced;
    {
        std::lock_guard lock(m_mutex);
        if (!job.tag.empty()) {
            std::erase_if(m_queue, [&](const LaneJob &queued) {
                if (queued.tag != job.tag)
                    return false;
                replaced.push_back(queued.id);
                return true;
            });
            if (m_running && m_running->tag == job.tag)
                m_running->stop.request_stop();
        }
        m_busy = true;
        m_queue.push_back(std::move(job));
    }
    m_changed.notify_all();
    for (JobId id : replaced)
        end(id, JobOutcome::Cancelled, {ErrorKind::Cancelled, "replaced by a newer request", {}}, 0);
}

bool Lane::cancel(JobId id)
{
    {
        std::lock_guard lock(m_mutex);
        if (m_running && m_running->id == id) {
            m_running->stop.request_stop();
            m_changed.notify_all();
            return true;
        }
        auto found = std::ranges::find(m_queue, id, &LaneJob::id);
        if (found == m_queue.end())
            return false;
        m_queue.erase(found);
    }
    end(id, JobOutcome::Cancelled, {ErrorKind::Cancelled, "cancelled", {}}, 0);
    return true;
}

bool Lane::setPaused(JobId id, bool paused)
{
    std::lock_guard lock(m_mutex);
    if (!m_running || m_running->id != id)
        return false;
    m_running->paused = paused;
    m_changed.notify_all();
    return true;
}

void Lane::waitIdle(const std::stop_token &stop)
{
    std::unique_lock lock(m_mutex);
    m_changed.wait(lock, stop, [this] { return !m_busy; });
}

void Lane::end(JobId id, JobOutcome outcome, Error error, double seconds)
{
    m_emit(JobEnded{id, outcome, std::move(error), seconds});
}

void Lane::breathe(Running &running)
{
    {
        std::unique_lock lock(m_mutex);
        m_changed.wait(lock, running.stop.get_token(), [&] { return !running.paused; });
    }
    if (m_yield)
        m_yield();
}

void Lane::runJob(LaneJob job, Running &running)
{
    m_emit(JobStarted{job.id, job.title});
    const auto started = Clock::now();
    auto seconds = [started] { return std::chrono::duration<double>(Clock::now() - started).count(); };
    Clock::time_point lastProgress{};
    JobContext context;
    context.stop = running.stop.get_token();
    context.yield = [this, &running] { breathe(running); };
    context.report = [&](const Progress &progress) {
        const auto now = Clock::now();
        if (now - lastProgress < kProgressInterval && progress.done != progress.total)
            return;
        lastProgress = now;
        m_emit(JobProgress{job.id, progress, seconds()});
    };
    // Grad mode is a matter of the thread; each job starts from the same one.
    at::AutoGradMode gradMode(false);
    const Status status = guarded(job.title, ErrorKind::Internal, [&] { return job.body(context); });
    if (status)
        end(job.id, JobOutcome::Finished, {}, seconds());
    else if (isCancelled(status.error()) || running.stop.stop_requested())
        end(job.id, JobOutcome::Cancelled, status.error(), seconds());
    else
        end(job.id, JobOutcome::Failed, status.error(), seconds());
}

void Lane::loop(const std::stop_token &stop)
{
    if (m_setUp)
        m_setUp();
    while (true) {
        LaneJob job;
        Running running;
        {
            std::unique_lock lock(m_mutex);
            m_busy = !m_queue.empty();
            m_changed.notify_all();
            m_changed.wait(lock, stop, [this] { return !m_queue.empty(); });
            if (stop.stop_requested())
                return;
            job = std::move(m_queue.front());
            m_queue.pop_front();
            running.id = job.id;
            running.tag = job.tag;
            m_running = &running;
            m_busy = true;
        }
        runJob(std::move(job), running);
        std::lock_guard lock(m_mutex);
        m_running = nullptr;
    }
}

} // namespace bitwright
