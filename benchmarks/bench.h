// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "base/result.h"

#include <functional>
#include <string>
#include <vector>

namespace bitwright {

/// What a benchmark is handed. It sets and restores the thread count it needs (one, unless its row says otherwise).
struct BenchContext {
    JobContext job;
    int threads = 0;          ///< as given on the command line, 0 for all cores
};

/// Seconds of one repetition of the subject and of what it is measured against, from the same run.
struct BenchTimes { double seconds = 0, yardstickSeconds = 0; };

struct BenchRow {
    std::string name;         ///< "histogram", "executor-batch64", …
    std::string yardstick;    ///< "torch.histc", "TorchScript", …
    double aim = 0;           ///< greatest ratio seconds / yardstick seconds that is good enough; 0: none
    std::function<Result<BenchTimes>(const BenchContext &)> run;
};

/// Rows of one subject, each group in bench_SUBJECT.cpp and listed in bench.cpp.
using BenchGroup = std::vector<BenchRow> (*)();

/// All rows of all groups.
std::vector<BenchRow> allBenchmarks();

/// Runs both in turn `rounds` times after one warm-up of each and gives the medians; taking turns keeps a drift of the
/// machine out of the ratio.
BenchTimes timeInTurns(const std::function<void()> &subject, const std::function<void()> &yardstick, int rounds);
/// Seconds that one call takes.
double timeOnce(const std::function<void()> &body);

} // namespace bitwright
