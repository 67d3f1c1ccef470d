// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/child_process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace bitwright {

namespace {

constexpr std::size_t kKeptMessages = 8000;

std::string lastLine(std::string text)
{
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
        text.pop_back();
    const std::size_t at = text.rfind('\n');
    return at == std::string::npos ? text : text.substr(at + 1);
}

void closeAll(std::initializer_list<int *> handles)
{
    for (int *handle : handles) {
        if (*handle >= 0)
            ::close(*handle);
        *handle = -1;
    }
}

} // namespace

Status ChildProcess::start(const std::vector<std::string> &arguments)
{
    kill();
    m_program = arguments.at(0);
    m_buffer.clear();
    m_messages.clear();
    // A socket, because writing to one whose reader has died can be told not to raise a signal.
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
        closeAll({&in[0], &in[1], &out[0], &out[1], &err[0], &err[1]});
        return fail(ErrorKind::Io, m_program + ", it cannot be started: " + std::strerror(errno) + "; close some programs");
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[1], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    // A group of its own: Ctrl-C reaches us, and we end the child together with all that it started.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    std::vector<char *> argv;
    for (const std::string &argument : arguments)
        argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    const int problem = posix_spawnp(&m_pid, argv[0], &actions, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    closeAll({&in[1], &out[1], &err[1]});
    if (problem != 0) {
        m_pid = -1;
        closeAll({&in[0], &out[0], &err[0]});
        return fail(ErrorKind::Io, m_program + ", it cannot be started: " + std::strerror(problem) + "; check that it is installed");
    }
    m_input = in[0];
    m_output = out[0];
    m_errors = err[0];
    fcntl(m_errors, F_SETFL, O_NONBLOCK);
    return {};
}

Status ChildProcess::send(const std::string &line)
{
    std::string_view rest = line;
    const std::string whole = line + "\n";
    rest = whole;
    while (!rest.empty()) {
        const ssize_t sent = ::send(m_input, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return std::unexpected(ended("it ended early"));
        rest.remove_prefix(std::size_t(sent));
    }
    return {};
}

Result<std::string> ChildProcess::receive(std::stop_token stop, std::chrono::milliseconds patience)
{
    const auto deadline = std::chrono::steady_clock::now() + patience;
    std::array<char, 65536> chunk;
    for (;;) {
        if (const std::size_t end = m_buffer.find('\n'); end != std::string::npos) {
            std::string line = m_buffer.substr(0, end);
            m_buffer.erase(0, end + 1);
            return line;
        }
        if (stop.stop_requested()) {
            kill();
            return fail(ErrorKind::Cancelled, "cancelled");
        }
        if (std::chrono::steady_clock::now() >= deadline)
            return std::unexpected(ended("it gave no answer for " + std::to_string(patience.count() / 1000) + " s"));
        pollfd wait[2] = {{m_output, POLLIN, 0}, {m_errors, POLLIN, 0}};
        const int ready = poll(wait, 2, 50);
        if (ready < 0 && errno != EINTR)
            return std::unexpected(ended(std::strerror(errno)));
        drainErrors();
        if (ready <= 0 || !(wait[0].revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        const ssize_t got = ::read(m_output, chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return std::unexpected(ended("it ended early"));
        m_buffer.append(chunk.data(), std::size_t(got));
    }
}

void ChildProcess::drainErrors()
{
    std::array<char, 4096> chunk;
    for (ssize_t got; m_errors >= 0 && (got = ::read(m_errors, chunk.data(), chunk.size())) > 0;) {
        m_messages.append(chunk.data(), std::size_t(got));
        if (m_messages.size() > kKeptMessages)
            m_messages.erase(0, m_messages.size() - kKeptMessages);
    }
}

Error ChildProcess::ended(const std::string &why)
{
    drainErrors();
    const std::string said = lastLine(m_messages);
    kill();
    return {ErrorKind::Io, m_program + ", " + why + (said.empty() ? "" : " (" + said + ")") + "; look at the log", m_messages};
}

void ChildProcess::kill()
{
    closeAll({&m_input, &m_output, &m_errors});
    if (m_pid <= 0)
        return;
    ::kill(-m_pid, SIGKILL);
    ::kill(m_pid, SIGKILL);
    while (waitpid(m_pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    m_pid = -1;
}

} // namespace bitwright
