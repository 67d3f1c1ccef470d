// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace bitwright::log {

namespace {

spdlog::level::level_enum spdLevel(Level level)
{
    switch (level) {
    case Level::Debug: return spdlog::level::debug;
    case Level::Info: return spdlog::level::info;
    case Level::Warning: return spdlog::level::warn;
    case Level::Error: return spdlog::level::err;
    case Level::Off: return spdlog::level::off;
    }
    return spdlog::level::info;
}

/// The one process-wide thing of the domain: standard error is one, too. Never destroyed, so that a thread that still
/// runs while the program ends may log.
spdlog::logger &logger()
{
    static auto *const instance = [] {
        auto *made = new spdlog::logger("bitwright", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
        made->set_pattern("%H:%M:%S.%e %^%l%$ %v");
        made->set_level(spdlog::level::info);
        made->flush_on(spdlog::level::info);
        return made;
    }();
    return *instance;
}

} // namespace

void setLevel(Level level)
{
    logger().set_level(spdLevel(level));
}

void write(Level level, std::string_view text) noexcept
{
    try {
        logger().log(spdLevel(level), spdlog::string_view_t(text.data(), text.size()));
    } catch (...) {   // a full disk or a closed standard error must not end the work that wanted to tell something
    }
}

} // namespace bitwright::log
