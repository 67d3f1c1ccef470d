// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "trial/trial_record.h"

#include <ATen/core/Tensor.h>

#include <string>

namespace bitwright {

/// What an evaluation measures. Shares are 0 to 1; sqnr is in dB.
enum class Metric { Top1, Top5, Agreement, Sqnr };
Result<Metric> metricFromName(const std::string &name);
const char *metricName(Metric metric);
/// True when the metric compares with the float network instead of with labels.
bool needsReference(Metric metric);

/// Adds up one metric batch by batch; every count is exact, so the order of batches does not matter.
class MetricSum {
public:
    explicit MetricSum(Metric metric) : m_metric(metric) {}
    /// `scores` [N, classes] (any shape for sqnr), `labels` int64 [N] or undefined, `reference` the float network's
    /// scores or undefined. Errors: the shape does not fit the metric, labels or reference missing.
    Status add(const at::Tensor &scores, const at::Tensor &labels, const at::Tensor &reference);
    [[nodiscard]] double value() const;
    /// 95 %: Wilson's for shares; for sqnr the delta method over samples.
    [[nodiscard]] Interval interval() const;
    [[nodiscard]] double loss() const;         ///< mean cross entropy, NaN without labels
    [[nodiscard]] double sqnrDb() const;       ///< of the scores against the reference; NaN without one
    [[nodiscard]] std::int64_t samples() const { return m_samples; }
    [[nodiscard]] std::int64_t nonFinite() const { return m_nonFinite; }   ///< samples with NaN or infinite scores

private:
    Metric m_metric;
    std::int64_t m_samples = 0, m_hits = 0, m_lossSamples = 0, m_nonFinite = 0;
    double m_loss = 0;
    double m_signal = 0, m_noise = 0;                       // sums over samples, and of squares and products
    double m_signal2 = 0, m_noise2 = 0, m_cross = 0;
    bool m_hasReference = false;
};

} // namespace bitwright
