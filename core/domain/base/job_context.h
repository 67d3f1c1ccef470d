// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

namespace bitwright {

/// How far a long function has come; `total` 0 means unknown.
struct Progress {
    std::string phase;
    std::int64_t done = 0;
    std::int64_t total = 0;
    friend bool operator==(const Progress &, const Progress &) = default;
};

/// What each long function gets: cancellation, progress, and a place to wait while paused or while lighter work runs.
/// Default constructed it never stops and reports to nobody.
struct JobContext {
    std::stop_token stop;
    std::function<void(const Progress &)> report;
    /// Called between mini-batches: blocks while the job is paused or a light job wants the cores.
    std::function<void()> yield;

    [[nodiscard]] bool stopped() const { return stop.stop_requested(); }
    void progress(const std::string &phase, std::int64_t done, std::int64_t total) const
    {
        if (report)
            report({phase, done, total});
    }
    void breathe() const
    {
        if (yield)
            yield();
    }
};

/// The error a function returns after it saw its stop token.
[[nodiscard]] inline std::unexpected<Error> cancelled()
{
    return fail(ErrorKind::Cancelled, "cancelled");
}

} // namespace bitwright
