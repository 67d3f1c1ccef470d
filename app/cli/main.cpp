// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "interrupt.h"
#include "threads.h"

#include "base/json_util.h"
#include "base/printable.h"
#include "tensor/guarded.h"
#include "tensor/process_setup.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>

#ifndef BITWRIGHT_VERSION
#define BITWRIGHT_VERSION "0"
#endif

namespace bitwright::cli {

namespace {

constexpr int kDone = 0, kFailed = 1, kUsage = 2, kInterrupted = 130;

/// The last line on standard error, on one line whatever the message holds.
int sayError(std::string message, int code)
{
    std::replace(message.begin(), message.end(), '\n', ' ');
    std::replace(message.begin(), message.end(), '\r', ' ');
    message = printable(message, 4000);
    std::fprintf(stderr, "error: %s\n", message.c_str());
    std::fflush(stderr);
    return code;
}

void declareCommon(CLI::App &app, CommonOptions &options)
{
    app.add_flag("--json", options.json, "One JSON document on standard output");
    app.add_flag("--quiet", options.quiet, "No progress on standard error");
    app.add_option("--seed", options.seed, "Seed of everything random")
        ->check(CLI::Range(std::int64_t(0), std::numeric_limits<std::int64_t>::max()))->capture_default_str();
    constexpr int kMostThreads = 1024;
    app.add_option("--threads", options.threads, "Threads to compute with (default: all cores)")
        ->check(CLI::Range(1, kMostThreads));
    app.add_option("--device", options.device, "cpu or cuda[:i]")->capture_default_str();
}

int runWork(const Work &work, const CommonOptions &options)
{
    const Interrupt interrupt;
    Console console(options, interrupt.token());
    if (auto ready = setUpCompute(options.threads, options.device); !ready)
        return sayError(ready.error().message, kFailed);
    auto output = guarded("the command could not be done", ErrorKind::Internal, [&] { return work(console); });
    console.endProgress();
    if (!output && (isCancelled(output.error()) || interrupt.token().stop_requested()))
        return sayError("interrupted; what was finished is saved", kInterrupted);
    if (!output)
        return sayError(output.error().message, kFailed);
    const auto text = options.json ? prettyJson(output->json, output->firstKeys) : printableLines(output->text);
    if (auto written = writeOutput(text); !written)
        return sayError(written.error().message, kFailed);
    return kDone;
}

int run(int argc, char **argv)
{
    CLI::App app("Bitwright without a window: inspect, quantize, measure, train and export networks.", "bitwright-cli");
    app.set_version_flag("--version", "bitwright-cli " BITWRIGHT_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    CommonOptions options;
    declareCommon(app, options);
    Work chosen;
    for (const auto &command : commands()) {
        auto *sub = app.add_subcommand(command.name, command.summary);
        sub->footer("Common options: --json --quiet --seed N --threads N --device cpu|cuda[:i]");
        auto work = command.declare(*sub);
        sub->callback([&chosen, work = std::move(work)] { chosen = work; });
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &e) {
        if (e.get_exit_code() == 0)   // --help, --version
            return app.exit(e) == 0 && std::fflush(stdout) == 0 ? kDone : kFailed;
        const auto parsed = app.get_subcommands();
        // What neither an option nor its value took is the word that should have been a command.
        const auto words = app.remaining();
        const auto word = std::ranges::find_if(words, [](const std::string &each) { return !each.starts_with('-'); });
        if (parsed.empty() && word != words.end())
            return sayError(*word + ", there is no such command; see bitwright-cli --help", kUsage);
        return sayError(std::string(e.what()) + "; see bitwright-cli " +
                            (parsed.empty() ? "" : parsed.front()->get_name() + " ") + "--help", kUsage);
    }
    return runWork(chosen, options);
}

} // namespace

} // namespace bitwright::cli

int main(int argc, char **argv)
{
    bitwright::setUpProcess();
    try {
        return bitwright::cli::run(argc, argv);
    } catch (const std::exception &e) {
        return bitwright::cli::sayError(std::string("bitwright-cli, ") + bitwright::firstLine(e.what()) + "; report it", 1);
    }
}
