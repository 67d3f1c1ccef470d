// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "stats/histogram.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace bitwright {

/// What was streamed over one tensor site: fixed memory, however many images pass.
struct SiteStatistics {
    Moments moments;
    Histogram histogram;            ///< fine (at least 8192 bins), on a range that covers every finite value
    double averageMin = 0, averageMax = 0;   ///< moving average of batch extremes (A3.2), first batch initialises
    double firstBatchMeanAbs = 0;   ///< for LSQ's start
    std::int64_t batches = 0;
    std::vector<double> channelMeanAbs;    ///< mean |x| over the finite values by index of dimension 1; empty where there is none
    std::int64_t featuresPerSample = 0;   ///< elements of one sample
};

/// Collects SiteStatistics batch by batch. The range grows by doubling; old counts are merged pairwise.
class SiteCollector {
public:
    explicit SiteCollector(std::size_t bins = 16384, double keep = 0.99);
    /// Adds a float tensor whose dimension 0 counts samples. NaN and infinity are counted, not fatal.
    void add(const at::Tensor &x);
    [[nodiscard]] SiteStatistics finish() const;
private:
    void addChannels(const at::Tensor &value);

    SiteStatistics m_state;
    std::vector<double> m_channelSums;
    std::vector<std::uint64_t> m_channelCounts;
    std::size_t m_bins;
    double m_keep;
};

} // namespace bitwright
