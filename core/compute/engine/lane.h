// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace bitwright {

/// One unit of work for a lane. `body` runs on the lane's thread; its error is the job's.
struct LaneJob {
    JobId id = 0;
    std::string title;
    std::string tag;            ///< not empty: a newer job with the same tag replaces this one
    std::function<Status(const JobContext &)> body;
};

/// One thread that works off jobs first in, first out, and tells start, progress and exactly one end of each. Progress is
/// passed on at most every 50 ms. Destruction cancels everything and joins.
class Lane {
public:
    using Emit = std::function<void(Event)>;
    /// `setUp` runs first on the thread (thread counts are per thread); `yield` is called between mini-batches.
    Lane(Emit emit, std::function<void()> setUp, std::function<void()> yield = {});
    ~Lane();

    void submit(LaneJob job);
    /// True when the job was here (queued or running).
    bool cancel(JobId id);
    bool setPaused(JobId id, bool paused);
    [[nodiscard]] bool busy() const { return m_busy; }
    /// Blocks until nothing is queued or running, or the token fires.
    void waitIdle(const std::stop_token &stop);

private:
    struct Running {
        JobId id = 0;
        std::string tag;
        std::stop_source stop;
        bool paused = false;
    };
    void loop(const std::stop_token &stop);
    void runJob(LaneJob job, Running &running);
    void breathe(Running &running);
    void end(JobId id, JobOutcome outcome, Error error, double seconds);

    Emit m_emit;
    std::function<void()> m_setUp, m_yield;
    std::mutex m_mutex;
    std::condition_variable_any m_changed;
    std::deque<LaneJob> m_queue;
    Running *m_running = nullptr;
    std::atomic<bool> m_busy = false;
    std::jthread m_thread;
};

} // namespace bitwright
