// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

/// Of each `m` neighbours along a row of an output channel the largest n stay; a row's short last group keeps its share.
/// Among equals the lower index goes first.
Result<PruneScores> score(const PruneSite &site, const ParamValues &options, double sparsity)
{
    const std::int64_t m = intParam(options, "m", 4);
    const std::int64_t n = hasParam(options, "n") ? intParam(options, "n") : std::llround((1 - sparsity) * double(m));
    if (n < 1 || n > m)
        return fail(ErrorKind::Invalid, site.layer + ", " + std::to_string(n) + " of " + std::to_string(m) +
                                            " is no pattern; give n from 1 to m, or a sparsity that leaves one");
    const at::Tensor magnitude = site.weight.abs().contiguous();
    const std::int64_t rows = site.weight.dim() > 1 ? site.weight.size(0) : 1, length = site.weight.numel() / std::max<std::int64_t>(1, rows);
    at::Tensor goes = at::zeros({site.weight.numel()}, at::kBool);
    const float *value = magnitude.const_data_ptr<float>();
    bool *gone = goes.mutable_data_ptr<bool>();
    std::vector<std::int64_t> order;
    for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t begin = 0; begin < length; begin += m) {
            const std::int64_t count = std::min(m, length - begin);
            const std::int64_t keep = count == m ? n : std::max<std::int64_t>(1, std::llround(double(n) * double(count) / double(m)));
            const std::int64_t first = row * length + begin;
            order.resize(std::size_t(count));
            for (std::int64_t i = 0; i < count; ++i)
                order[std::size_t(i)] = first + i;
            std::ranges::stable_sort(order, {}, [&](std::int64_t i) { return value[i]; });
            for (std::int64_t i = 0; i < count - keep; ++i)
                gone[order[std::size_t(i)]] = true;
        }
    return PruneScores{magnitude, goes};
}

} // namespace

PrunerRow nmRow()
{
    return {prunerTraits("nm", "N:M pattern", "Mishra et al., 2021; Zhou et al., ICLR 2021", 2021,
                         "Of every m neighbouring weights the n largest stay, the pattern that sparse tensor cores run (2:4).",
                         {{"n", ParamType::Int, ParamValue(std::int64_t(2)), 1, 64, {}, {}, "How many stay. Not given: it follows from the sparsity.", true},
                          {"m", ParamType::Int, ParamValue(std::int64_t(4)), 2, 64, {}, {}, "Of how many.", false}}),
            false, score};
}

} // namespace bitwright
