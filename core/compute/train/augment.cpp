// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/augment.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

namespace bitwright {

namespace {

/// Uniform in [0, bound): unlike std::uniform_int_distribution the same on every standard library.
std::int64_t below(std::mt19937_64 &random, std::int64_t bound)
{
    return std::int64_t(random() % std::uint64_t(bound));
}

float padValue(const Preprocessing &preprocessing, std::size_t channel)
{
    auto pick = [&](const std::vector<double> &list, double none) {
        return list.empty() ? none : list[std::min(channel, list.size() - 1)];
    };
    return float((0 - pick(preprocessing.mean, 0)) / pick(preprocessing.std, 1));
}

} // namespace

std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed, std::int64_t epoch)
{
    std::vector<std::int64_t> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::seed_seq sequence{std::uint32_t(seed), std::uint32_t(seed >> 32), std::uint32_t(epoch), 0x5aU};
    std::mt19937_64 random(sequence);
    for (std::int64_t i = count - 1; i > 0; --i)
        std::swap(order[std::size_t(i)], order[std::size_t(below(random, i + 1))]);
    return order;
}

at::Tensor shiftAndFlip(const at::Tensor &batch, const Preprocessing &preprocessing, int pixels, bool flip,
                        std::mt19937_64 &random)
{
    if (batch.dim() != 4 || batch.scalar_type() != at::kFloat || (pixels == 0 && !flip))
        return batch;
    const at::Tensor source = batch.contiguous();
    at::Tensor target = at::empty_like(source);
    const std::int64_t count = source.size(0), channels = source.size(1), height = source.size(2), width = source.size(3);
    const float *from = source.const_data_ptr<float>();
    float *to = target.mutable_data_ptr<float>();
    for (std::int64_t n = 0; n < count; ++n) {
        const std::int64_t dy = pixels ? below(random, 2 * pixels + 1) - pixels : 0;
        const std::int64_t dx = pixels ? below(random, 2 * pixels + 1) - pixels : 0;
        const bool mirrored = flip && (random() & 1U);
        for (std::int64_t c = 0; c < channels; ++c) {
            const float pad = padValue(preprocessing, std::size_t(c));
            for (std::int64_t y = 0; y < height; ++y, to += width) {
                const std::int64_t sourceRow = y + dy;
                if (sourceRow < 0 || sourceRow >= height) {
                    std::fill(to, to + width, pad);
                    continue;
                }
                const float *row = from + ((n * channels + c) * height + sourceRow) * width;
                for (std::int64_t x = 0; x < width; ++x) {
                    const std::int64_t column = (mirrored ? width - 1 - x : x) + dx;
                    to[x] = column < 0 || column >= width ? pad : row[column];
                }
            }
        }
    }
    return target;
}

} // namespace bitwright
