// SPDX-License-Identifier: GPL-3.0-or-later
#include "interrupt.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

namespace bitwright::cli {

namespace {

constexpr int kInterrupted = 130;
constexpr char kEnd = 'e', kSignal = 's';

// A signal handler reaches nothing but globals; this is the pipe it writes to.
volatile std::sig_atomic_t wakePipe = -1;

void say(std::string_view text)
{
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

extern "C" void onStop(int)
{
    const int saved = errno;
    if (wakePipe < 0 || ::write(int(wakePipe), &kSignal, 1) != 1)
        _exit(kInterrupted);
    errno = saved;
}

extern "C" void onEarlyStop(int)
{
    say("error: interrupted before the work began; start it again\n");
    _exit(kInterrupted);
}

extern "C" void onFault(int)
{
    say("\nerror: bitwright-cli, a fault inside the program; report the command that led here\n");
    _exit(1);
}

void onTerminate()
{
    say("\nerror: bitwright-cli, an unexpected exception; report the command that led here\n");
    _exit(1);
}

void handle(int signal, void (*handler)(int), int flags)
{
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, nullptr);
}

/// Ctrl-C while the libraries are still loading must not be a signal death either.
void guardStart(int, char **, char **)
{
    for (int signal : {SIGINT, SIGTERM, SIGHUP})
        handle(signal, onEarlyStop, 0);
}
__attribute__((section(".preinit_array"), used)) void (*const kGuard)(int, char **, char **) = guardStart;

} // namespace

Interrupt::Interrupt()
{
    std::set_terminate(onTerminate);
    std::signal(SIGPIPE, SIG_IGN);
    static std::array<char, 64 * 1024> faultStack;   // a stack overflow leaves no room on the ordinary one
    stack_t stack{};
    stack.ss_sp = faultStack.data();
    stack.ss_size = faultStack.size();
    sigaltstack(&stack, nullptr);
    for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
        handle(signal, onFault, SA_ONSTACK);
    std::array<int, 2> ends{-1, -1};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
        return;
    m_watcher = std::thread([this, readEnd = ends[0]] { watch(readEnd); });
    wakePipe = ends[1];
    for (int signal : {SIGINT, SIGTERM, SIGHUP})
        handle(signal, onStop, SA_RESTART);
}

Interrupt::~Interrupt()
{
    if (!m_watcher.joinable())
        return;
    [[maybe_unused]] const auto written = ::write(int(wakePipe), &kEnd, 1);
    m_watcher.join();
    const int end = int(wakePipe);
    wakePipe = -1;
    ::close(end);
}

void Interrupt::watch(int readEnd)
{
    // the signals are for the handler on any thread; this one only waits for its byte
    char what = 0;
    int seen = 0;
    while (true) {
        const auto got = ::read(readEnd, &what, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || what == kEnd)
            break;
        if (++seen > 1)
            _exit(kInterrupted);
        m_source.request_stop();
    }
    ::close(readEnd);
}

} // namespace bitwright::cli
