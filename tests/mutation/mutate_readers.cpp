// SPDX-License-Identifier: GPL-3.0-or-later
// Feeds a reader with files that were damaged at random, each in a child process: what crashes, hangs or takes all
// memory is a finding and kept. The same seed gives the same files.
#include "mutators.h"
#include "probe_reader.h"
#include "tensor/memory.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <thread>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
// A request for more than any damaged file can need is a finding; LibTorch is not instrumented and its tables leak.
extern "C" const char *__asan_default_options() { return "detect_leaks=0:max_allocation_size_mb=4096:allocator_may_return_null=1"; }
extern "C" const char *__ubsan_default_options() { return "halt_on_error=1:print_stacktrace=1"; }
#endif

namespace fs = std::filesystem;
using namespace bitwright;
using namespace bitwright::mutation;
using bitwright::test::ReadStage;

namespace {

constexpr std::uint64_t kBatch = 200;
constexpr rlim_t kMemory = rlim_t(4) << 30;   // above what the process has at its start
constexpr int kEscaped = 99, kTookMemory = 98;
#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;
constexpr unsigned kSecondsEach = 30;
#else
constexpr bool kSanitized = false;
constexpr unsigned kSecondsEach = 10;
#endif

using Mutator = std::string (*)(const std::string &, const std::string &, Random &);

std::string mutatePlain(const std::string &bytes, const std::string &other, Random &random) { return mutateBytes(bytes, other, random); }

Mutator mutatorOf(const std::string &format)
{
    static const std::map<std::string, Mutator> table{
        {"onnx", mutateProtobuf},
        {"pt2", mutateZip},
        {"torchscript", mutateZip},
        {"safetensors", mutateSafetensors},
        {"checkpoint", mutateZip},
        {"npy", mutatePlain},
        {"idx", mutatePlain},
        {"npz", mutateZip},
        {"training", mutateZip},
        {"pack", mutatePack},
        {"assignment", mutateJson}};
    const auto found = table.find(format);
    return found == table.end() ? nullptr : found->second;
}

struct Options {
    std::string format, corpus, out, replay;
    double seconds = 60;
    std::uint64_t seed = 1;
};

std::optional<Options> parseOptions(int count, char **values)
{
    Options options;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string key = values[i], value = values[i + 1];
        if (key == "--format")
            options.format = value;
        else if (key == "--corpus")
            options.corpus = value;
        else if (key == "--out")
            options.out = value;
        else if (key == "--replay")
            options.replay = value;
        else if (key == "--seconds")
            options.seconds = std::strtod(value.c_str(), nullptr);
        else if (key == "--seed")
            options.seed = std::strtoull(value.c_str(), nullptr, 10);
        else
            return {};
    }
    const bool complete = !options.replay.empty() || (!options.corpus.empty() && !options.out.empty());
    return count % 2 == 1 && mutatorOf(options.format) && complete ? std::optional(options) : std::nullopt;
}

std::string readFile(const fs::path &path)
{
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// What a child tells its parent, in memory that both see.
struct Shared {
    std::uint64_t next = 0, read = 0;      ///< index of the input that runs; how many were loaded
    volatile ReadStage stage = ReadStage::Load;
    char why[300] = {};
};

std::string mutated(const Options &options, const std::vector<std::string> &seeds, std::uint64_t index)
{
    Random random(options.seed * 1000003 + index);
    const std::string &seed = seeds[random() % seeds.size()], &other = seeds[random() % seeds.size()];
    std::string bytes = mutatorOf(options.format)(seed, other, random);
    if (random() % 10 == 0)
        bytes = mutatorOf(options.format)(bytes, other, random);
    return bytes;
}

/// The address sanitizer's shadow is larger than any limit on the address space: a thread looks at what is resident.
void watchMemory()
{
    std::thread([] {
        const long page = ::sysconf(_SC_PAGESIZE);
        for (long all = 0, resident = 0;; std::this_thread::sleep_for(std::chrono::milliseconds(50))) {
            std::ifstream("/proc/self/statm") >> all >> resident;
            if (rlim_t(resident) * rlim_t(page) > kMemory)
                ::_exit(kTookMemory);
        }
    }).detach();
}

void limitMemory()
{
    if (kSanitized)
        return watchMemory();
    long pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit limit{rlim_t(pages) * rlim_t(::sysconf(_SC_PAGESIZE)) + kMemory, RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &limit);
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
}

[[noreturn]] void runChild(const Options &options, const std::vector<std::string> &seeds, const std::string &path, Shared &shared)
{
    limitMemory();
    const AllocationLimit smallMachine(kMemory / 4);
    for (std::uint64_t i = 0; i < kBatch; ++i, ++shared.next) {
        {
            std::ofstream out(path, std::ios::binary | std::ios::trunc);
            const std::string bytes = mutated(options, seeds, shared.next);
            out.write(bytes.data(), std::streamsize(bytes.size()));
        }
        ::alarm(kSecondsEach);
        try {
            const Status status = test::probeReader(options.format, path, &shared.stage);
            shared.read += status || shared.stage != ReadStage::Load ? 1 : 0;
        } catch (const std::exception &e) {
            std::strncpy(shared.why, e.what(), sizeof shared.why - 1);   // zero behind it already
            ::_exit(kEscaped);
        }
        ::alarm(0);
    }
    ::_exit(0);
}

std::string nameOf(int status, const Shared &shared)
{
    const char *stage = shared.stage == ReadStage::Load ? "load" : shared.stage == ReadStage::Layers ? "layers" : "run";
    std::string what = "exit" + std::to_string(WEXITSTATUS(status));
    if (WIFSIGNALED(status))
        what = WTERMSIG(status) == SIGALRM ? "hang" : "signal" + std::to_string(WTERMSIG(status));
    else if (WEXITSTATUS(status) == kEscaped)
        what = "exception";
    else if (WEXITSTATUS(status) == kTookMemory)
        what = "memory";
    return what + "-" + stage;
}

int replay(const Options &options)
{
    limitMemory();
    ::alarm(kSecondsEach);
    ReadStage stage = ReadStage::Load;
    const Status status = test::probeReader(options.format, options.replay, &stage);
    std::printf("%s\n", status ? "read" : status.error().message.c_str());
    return 0;
}

int run(const Options &options)
{
    std::vector<std::string> seeds;
    std::vector<fs::path> files;
    for (const auto &entry : fs::directory_iterator(options.corpus))
        if (entry.is_regular_file())
            files.push_back(entry.path());
    std::ranges::sort(files);
    for (const fs::path &file : files) {
        if (const Status status = test::probeReader(options.format, file.string()); !status)
            std::printf("seed %s: %s\n", file.filename().c_str(), status.error().message.c_str());
        seeds.push_back(readFile(file));
    }
    if (seeds.empty()) {
        std::fprintf(stderr, "%s, no seed files in it; put small valid files there\n", options.corpus.c_str());
        return 2;
    }
    fs::create_directories(options.out);
    void *memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 2;
    auto &shared = *new (memory) Shared;
    const std::string current = options.out + "/current-" + options.format;
    int findings = 0;
    const auto start = std::chrono::steady_clock::now();
    const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
    while (elapsed() < options.seconds) {
        std::fflush(stdout);
        const pid_t child = ::fork();
        if (child < 0)
            return 2;
        if (child == 0)
            runChild(options, seeds, current, shared);
        int status = 0;
        ::waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        ++findings;
        const std::string kept = options.out + "/" + options.format + "-" + nameOf(status, shared) + "-" + std::to_string(options.seed) + "-" +
                                 std::to_string(shared.next);
        std::error_code code;
        fs::rename(current, kept, code);
        std::printf("%s %s\n", kept.c_str(), std::string(shared.why, std::strcspn(shared.why, "\n")).c_str());
        shared.why[0] = '\0';
        ++shared.next;
    }
    const double seconds = elapsed();
    std::printf("%s: %llu inputs in %.0f s (%.0f a second), %llu were read, %d findings\n", options.format.c_str(),
                static_cast<unsigned long long>(shared.next), seconds, double(shared.next) / seconds,
                static_cast<unsigned long long>(shared.read), findings);
    std::error_code code;
    fs::remove(current, code);
    return findings > 0 ? 1 : 0;
}

} // namespace

int main(int count, char **values)
{
    at::set_num_threads(1);   // children are forked: no pool may have been started
    const auto options = parseOptions(count, values);
    if (!options) {
        std::fprintf(stderr, "mutate_readers --format onnx|pt2|torchscript|safetensors|checkpoint|training|npy|npz|idx|pack|assignment\n"
                             "               --corpus DIR --out DIR [--seconds N] [--seed S]\n"
                             "mutate_readers --format FORMAT --replay FILE\n");
        return 2;
    }
    return options->replay.empty() ? run(*options) : replay(*options);
}
