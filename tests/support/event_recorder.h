// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

namespace bitwright::testing {

/// Takes every event of an engine in order and lets the test wait for ends.
class EventRecorder {
public:
    static constexpr std::chrono::seconds kPatience{60};

    void operator()(Event event)
    {
        {
            std::lock_guard lock(m_mutex);
            m_events.push_back(std::move(event));
        }
        m_changed.notify_all();
    }
    /// Makes `engine` tell this recorder, which forgets what it knew. It has to outlive the engine.
    void listenTo(EngineApi &engine)
    {
        clear();
        engine.setSink([this](Event event) { (*this)(std::move(event)); });
    }
    void clear()
    {
        std::lock_guard lock(m_mutex);
        m_events.clear();
    }
    template <typename T>
    std::vector<T> all() const
    {
        std::lock_guard lock(m_mutex);
        std::vector<T> found;
        for (const Event &event : m_events)
            if (const auto *match = std::get_if<T>(&event))
                found.push_back(*match);
        return found;
    }
    /// The last of its kind, or a default one.
    template <typename T>
    T last() const
    {
        const std::vector<T> found = all<T>();
        return found.empty() ? T{} : found.back();
    }
    /// The end of a job, waited for; an outcome of Failed with "timeout" after the patience.
    JobEnded end(JobId job, std::chrono::seconds patience = kPatience)
    {
        std::unique_lock lock(m_mutex);
        JobEnded found{job, JobOutcome::Failed, {ErrorKind::Internal, "timeout", {}}, 0};
        m_changed.wait_for(lock, patience, [&] {
            for (const Event &event : m_events)
                if (const auto *ended = std::get_if<JobEnded>(&event); ended && ended->job == job) {
                    found = *ended;
                    return true;
                }
            return false;
        });
        return found;
    }
    template <typename T>
    bool waitFor(std::size_t count, std::chrono::seconds patience = kPatience)
    {
        std::unique_lock lock(m_mutex);
        return m_changed.wait_for(lock, patience, [&] {
            std::size_t seen = 0;
            for (const Event &event : m_events)
                seen += std::holds_alternative<T>(event);
            return seen >= count;
        });
    }

private:
    mutable std::mutex m_mutex;
    std::condition_variable m_changed;
    std::vector<Event> m_events;
};

} // namespace bitwright::testing
