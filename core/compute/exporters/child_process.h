// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <chrono>
#include <stop_token>
#include <string>
#include <sys/types.h>
#include <vector>

namespace bitwright {

/// Another program that answers lines with lines. Ended, with all that it started, when this goes away.
class ChildProcess {
public:
    ChildProcess() = default;
    ~ChildProcess() { kill(); }
    ChildProcess(const ChildProcess &) = delete;
    ChildProcess &operator=(const ChildProcess &) = delete;

    /// `arguments[0]` is the program, looked up in PATH. Its standard error is kept for messages.
    Status start(const std::vector<std::string> &arguments);
    /// Sends one line. An error when the child has ended.
    Status send(const std::string &line);
    /// Waits for one line. Cancelled when `stop` fires, an error when the child ends or says nothing for `patience`;
    /// in all three cases the child is killed.
    Result<std::string> receive(std::stop_token stop, std::chrono::milliseconds patience);
    void kill();
    [[nodiscard]] bool running() const { return m_pid > 0; }

private:
    Error ended(const std::string &why);
    void drainErrors();

    pid_t m_pid = -1;
    int m_input = -1, m_output = -1, m_errors = -1;
    std::string m_program, m_buffer, m_messages;
};

} // namespace bitwright
