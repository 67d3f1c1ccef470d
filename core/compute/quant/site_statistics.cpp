// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/site_statistics.h"

#include "tensor/kernels.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {
namespace {

constexpr int kSmallestExponent = -100;   // bins of a narrower range would not be normal floats

/// The smallest power of two above every value: a value on the upper end would sit in another bin after a doubling.
int exponentFor(const Moments &m)
{
    int exponent = kSmallestExponent;
    std::frexp(std::max(std::abs(m.min), std::abs(m.max)), &exponent);
    return std::max(exponent, kSmallestExponent);
}

/// Bin i of the old range becomes bin start + i / 2 of one twice as wide.
void mergePairs(Histogram &h, std::size_t start)
{
    std::vector<std::uint64_t> merged(h.counts.size(), 0);
    for (std::size_t i = 0; i < h.counts.size(); ++i)
        merged[start + i / 2] += h.counts[i];
    h.counts = std::move(merged);
}

/// Ranges are [0, 2^k] while nothing is negative, then [-2^k, 2^k]; each step doubles, so every count stays exact.
void cover(Histogram &h, std::size_t bins, const Moments &batch)
{
    const double needed = std::ldexp(1.0, exponentFor(batch));
    if (h.counts.empty()) {
        h.counts.assign(bins, 0);
        h.lo = batch.min < 0 ? -needed : 0;
        h.hi = needed;
        return;
    }
    if (batch.min < 0 && h.lo == 0) {
        mergePairs(h, bins / 2);
        h.lo = -h.hi;
    }
    while (h.hi < needed) {
        mergePairs(h, h.lo < 0 ? bins / 4 : 0);
        h.lo *= 2;
        h.hi *= 2;
    }
}

} // namespace

SiteCollector::SiteCollector(std::size_t bins, double keep) : m_bins((bins + 3) / 4 * 4), m_keep(keep) {}

void SiteCollector::add(const at::Tensor &x)
{
    const at::Tensor value = floatContiguous(x);
    const Moments batch = momentsOf(value);
    m_state.moments.merge(batch);
    addChannels(value);
    if (value.dim() > 0 && value.size(0) > 0)
        m_state.featuresPerSample = value.numel() / value.size(0);
    if (batch.count == 0) {
        m_state.histogram.nanCount += batch.nanCount;
        return;
    }
    cover(m_state.histogram, m_bins, batch);
    const Histogram counted = histogramOf(value, m_state.histogram.lo, m_state.histogram.hi, m_bins);
    for (std::size_t i = 0; i < m_bins; ++i)
        m_state.histogram.counts[i] += counted.counts[i];
    m_state.histogram.underflow += counted.underflow;
    m_state.histogram.overflow += counted.overflow;
    m_state.histogram.nanCount += counted.nanCount;
    if (m_state.batches++ == 0) {
        m_state.averageMin = batch.min;
        m_state.averageMax = batch.max;
        m_state.firstBatchMeanAbs = batch.sumAbs / double(batch.count);
    } else {
        m_state.averageMin += (1 - m_keep) * (batch.min - m_state.averageMin);
        m_state.averageMax += (1 - m_keep) * (batch.max - m_state.averageMax);
    }
}

void SiteCollector::addChannels(const at::Tensor &value)
{
    constexpr std::int64_t kMost = 8192;   // a weight's rows are no channels
    if (value.dim() < 2 || value.size(1) > kMost || value.numel() == 0)
        return;
    const auto channels = std::size_t(value.size(1));
    if (m_channelSums.empty()) {
        m_channelSums.assign(channels, 0);
        m_channelCounts.assign(channels, 0);
    }
    if (m_channelSums.size() != channels)
        return;
    const std::int64_t inner = value.numel() / (value.size(0) * value.size(1));
    const float *at = value.const_data_ptr<float>();
    for (std::int64_t row = 0; row < value.size(0) * value.size(1); ++row, at += inner) {
        const std::size_t channel = std::size_t(row) % channels;
        float sum = 0;
        std::uint64_t count = 0;
        for (std::int64_t i = 0; i < inner; ++i) {
            const float magnitude = std::abs(at[i]);
            const bool finite = magnitude <= std::numeric_limits<float>::max();
            sum += finite ? magnitude : 0.0f;
            count += finite ? 1 : 0;
        }
        m_channelSums[channel] += double(sum);
        m_channelCounts[channel] += count;
    }
}

SiteStatistics SiteCollector::finish() const
{
    SiteStatistics out = m_state;
    for (std::size_t i = 0; i < m_channelSums.size(); ++i)
        out.channelMeanAbs.push_back(m_channelCounts[i] ? m_channelSums[i] / double(m_channelCounts[i]) : 0);
    if (out.histogram.counts.empty()) {
        out.histogram.counts.assign(m_bins, 0);
        out.histogram.hi = 1;
    }
    return out;
}

} // namespace bitwright
