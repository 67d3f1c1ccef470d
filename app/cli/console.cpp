// SPDX-License-Identifier: GPL-3.0-or-later
#include "console.h"

#include "format.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <system_error>

#include <unistd.h>

namespace bitwright::cli {

using Clock = std::chrono::steady_clock;

/// One line that is overwritten on a terminal, a line now and then elsewhere.
struct Console::ProgressLine {
    std::mutex mutex;
    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    std::string phase;
    std::int64_t startDone = 0;
    Clock::time_point phaseStart{}, lastShown{};
    bool visible = false;

    void show(const Progress &progress)
    {
        const std::lock_guard lock(mutex);
        const auto now = Clock::now();
        if (progress.phase != phase || progress.done < startDone) {
            clear();
            phase = progress.phase;
            startDone = progress.done;
            phaseStart = now;
            lastShown = terminal ? Clock::time_point{} : now;   // short phases leave no line in a log
        }
        const auto pause = terminal ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000);
        if (now - lastShown < pause)
            return;
        lastShown = now;
        const double elapsed = std::chrono::duration<double>(now - phaseStart).count();
        const auto text = describe(progress, elapsed);
        std::fprintf(stderr, terminal ? "\r\033[K%s" : "%s\n", text.c_str());
        std::fflush(stderr);
        visible = terminal;
    }

    std::string describe(const Progress &progress, double elapsed) const
    {
        std::string text = progress.phase;
        if (progress.total > 0) {
            const double share = std::clamp(double(progress.done) / double(progress.total), 0.0, 1.0);
            constexpr int kWidth = 24;
            const int filled = int(share * kWidth);
            if (terminal)
                text += "  " + std::string(std::size_t(filled), '#') + std::string(std::size_t(kWidth - filled), '.');
            text += "  " + std::to_string(progress.done) + "/" + std::to_string(progress.total);
        } else if (progress.done > 0) {
            text += "  " + std::to_string(progress.done);
        }
        const auto done = double(progress.done - startDone);
        if (elapsed < 0.5 || done <= 0)
            return text;
        const double rate = done / elapsed;
        text += "  " + fixed(rate, rate < 10 ? 1 : 0) + "/s";
        if (progress.total > progress.done)
            text += "  " + duration(double(progress.total - progress.done) / rate) + " left";
        return text;
    }

    void clear()
    {
        if (visible)
            std::fputs("\r\033[K", stderr);
        visible = false;
    }
};

Console::Console(CommonOptions options, std::stop_token stop)
    : m_options(std::move(options)), m_stop(std::move(stop)), m_progress(std::make_unique<ProgressLine>())
{
}

Console::~Console() = default;

JobContext Console::job()
{
    JobContext context;
    context.stop = m_stop;
    if (!m_options.quiet)
        context.report = [this](const Progress &progress) { m_progress->show(progress); };
    return context;
}

void Console::note(const std::string &text)
{
    if (!m_options.quiet)
        warn(text);
}

void Console::warn(const std::string &text)
{
    const std::lock_guard lock(m_progress->mutex);
    m_progress->clear();
    std::fprintf(stderr, "%s\n", text.c_str());
    std::fflush(stderr);
}

void Console::endProgress()
{
    const std::lock_guard lock(m_progress->mutex);
    m_progress->clear();
    std::fflush(stderr);
}

Status writeOutput(const std::string &text)
{
    std::size_t done = 0;
    while (done < text.size()) {
        const auto written = ::write(STDOUT_FILENO, text.data() + done, text.size() - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail(ErrorKind::Io, "standard output, cannot be written (" + std::generic_category().message(errno) +
                                           "); keep its reader open or choose another file");
        done += std::size_t(written);
    }
    return {};
}

} // namespace bitwright::cli
