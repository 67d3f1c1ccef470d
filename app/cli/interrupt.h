// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stop_token>
#include <thread>

namespace bitwright::cli {

/// Turns SIGINT, SIGTERM and SIGHUP into a stop request while it lives; a second signal ends the program with 130. Faults
/// (SIGSEGV and its kin) end it with 1 and an error line; a closed pipe is an error of the write, not a death.
/// At most one at a time.
class Interrupt {
public:
    Interrupt();
    ~Interrupt();
    Interrupt(const Interrupt &) = delete;
    [[nodiscard]] std::stop_token token() const { return m_source.get_token(); }

private:
    void watch(int readEnd);
    std::stop_source m_source;
    std::thread m_watcher;
};

} // namespace bitwright::cli
