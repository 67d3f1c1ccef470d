// SPDX-License-Identifier: GPL-3.0-or-later
#include "threads.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <thread>

namespace bitwright::cli {

int usableCores()
{
    int cores = std::max(1, int(std::thread::hardware_concurrency()));   // honours the affinity mask
    std::ifstream quota("/sys/fs/cgroup/cpu.max");
    double microseconds = 0, period = 0;
    if (quota >> microseconds >> period && period > 0)   // "max" is no number: no quota
        cores = std::clamp(int(microseconds / period + 0.5), 1, cores);
    return cores;
}

Status setUpCompute(int threads, const std::string &device)
{
    at::set_num_threads(threads > 0 ? threads : usableCores());
    if (device == "cpu")
        return {};
    const bool cuda = device == "cuda" || device.starts_with("cuda:");
    int index = 0;
    const auto number = device.size() > 5 ? device.substr(5) : device == "cuda:" ? "x" : "0";
    const auto parsed = std::from_chars(number.data(), number.data() + number.size(), index);
    if (!cuda || parsed.ec != std::errc{} || parsed.ptr != number.data() + number.size() || index < 0)
        return fail(ErrorKind::Invalid, "--device " + device + ", no such device; use cpu, cuda or cuda:N");
    if (!at::hasCUDA() || index >= int(at::detail::getCUDAHooks().deviceCount()))
        return fail(ErrorKind::Unsupported, "--device " + device + ", this machine or this LibTorch has no such device; use --device cpu");
    return fail(ErrorKind::Unsupported, "--device " + device + ", the commands run on the processor only; use --device cpu");
}

} // namespace bitwright::cli
