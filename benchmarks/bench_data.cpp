// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench_groups.h"

#include "data/dataset.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace bitwright {

namespace {

/// Bytes to preprocessed floats, against the same in LibTorch's operators.
Result<BenchTimes> preprocess(const BenchContext &)
{
    const int threads = at::get_num_threads();
    at::set_num_threads(1);
    Dataset data;
    data.images = at::randint(0, 256, {1024, 1, 28, 28}, at::kByte);
    data.preprocessing = {1 / 255.0, {0.286}, {0.353}};
    constexpr int kRounds = 50;
    const auto times = timeInTurns([&] { (void)data.inputs(0, 1024); },
                                   [&] { data.images.to(at::kFloat).div_(255).sub_(0.286).div_(0.353); }, kRounds);
    at::set_num_threads(threads);
    return times;
}

} // namespace

std::vector<BenchRow> dataBenchmarks()
{
    return {{"preprocess", "to, div, sub, div of LibTorch", 1.0, preprocess}};
}

} // namespace bitwright
