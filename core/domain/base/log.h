// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string_view>

// No spdlog here: torch ships another version of the fmt that Debian's spdlog needs, so only log.cpp may include it.
namespace bitwright::log {

enum class Level { Debug, Info, Warning, Error, Off };

/// Messages below this level are dropped; Info at start. Any thread may call any of these functions.
void setLevel(Level level);

/// One line to standard error, with time and level. Safe from any thread and never throws.
void write(Level level, std::string_view text) noexcept;

inline void debug(std::string_view text) noexcept { write(Level::Debug, text); }
inline void info(std::string_view text) noexcept { write(Level::Info, text); }
inline void warning(std::string_view text) noexcept { write(Level::Warning, text); }
inline void error(std::string_view text) noexcept { write(Level::Error, text); }

} // namespace bitwright::log
