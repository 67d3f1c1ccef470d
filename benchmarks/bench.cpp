// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench.h"

#include "bench_groups.h"

#include <algorithm>
#include <chrono>

namespace bitwright {

namespace {

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values.empty() ? 0 : values[values.size() / 2];
}

} // namespace

std::vector<BenchRow> allBenchmarks()
{
    std::vector<BenchRow> rows;
    for (const BenchGroup group : benchGroups())
        for (auto &row : group())
            rows.push_back(std::move(row));
    return rows;
}

double timeOnce(const std::function<void()> &body)
{
    const auto start = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

BenchTimes timeInTurns(const std::function<void()> &subject, const std::function<void()> &yardstick, int rounds)
{
    subject();
    yardstick();
    std::vector<double> subjectTimes, yardstickTimes;
    for (int i = 0; i < rounds; ++i) {
        subjectTimes.push_back(timeOnce(subject));
        yardstickTimes.push_back(timeOnce(yardstick));
    }
    return {median(std::move(subjectTimes)), median(std::move(yardstickTimes))};
}

} // namespace bitwright
