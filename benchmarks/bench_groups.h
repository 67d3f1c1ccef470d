// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bench.h"

namespace bitwright {

// One function per bench_SUBJECT.cpp; a new subject adds its declaration and its line here.
std::vector<BenchRow> dataBenchmarks();
std::vector<BenchRow> engineBenchmarks();
std::vector<BenchRow> kernelBenchmarks();

inline std::vector<BenchGroup> benchGroups()
{
    return {kernelBenchmarks, engineBenchmarks, dataBenchmarks};
}

} // namespace bitwright
