// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/metrics.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {

namespace {

constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();

std::string shapeText(const at::Tensor &tensor)
{
    std::string text = "[";
    for (std::int64_t i = 0; i < tensor.dim(); ++i)
        text += (i ? ", " : "") + std::to_string(tensor.size(i));
    return text + "]";
}

} // namespace

Result<Metric> metricFromName(const std::string &name)
{
    for (Metric metric : {Metric::Top1, Metric::Top5, Metric::Agreement, Metric::Sqnr}) {
        if (name == metricName(metric))
            return metric;
    }
    return fail(ErrorKind::Invalid, "metric " + name + ", no such metric; use top1, top5, agreement or sqnr");
}

const char *metricName(Metric metric)
{
    switch (metric) {
    case Metric::Top1: return "top1";
    case Metric::Top5: return "top5";
    case Metric::Agreement: return "agreement";
    case Metric::Sqnr: return "sqnr";
    }
    return "top1";
}

bool needsReference(Metric metric)
{
    return metric == Metric::Agreement || metric == Metric::Sqnr;
}

Status MetricSum::add(const at::Tensor &scores, const at::Tensor &labels, const at::Tensor &reference)
{
    return guarded("metric", ErrorKind::Invalid, [&]() -> Status {
        const bool classifies = scores.dim() == 2;
        if (!classifies && m_metric != Metric::Sqnr) {
            return fail(ErrorKind::Invalid, std::string(metricName(m_metric)) + ", it needs scores of shape [samples, classes] but the "
                                                "network gives " + shapeText(scores) + "; use the metric sqnr");
        }
        if (!labels.defined() && (m_metric == Metric::Top1 || m_metric == Metric::Top5))
            return fail(ErrorKind::Invalid, std::string(metricName(m_metric)) + ", the data has no labels; use agreement or sqnr");
        if (!reference.defined() && needsReference(m_metric))
            return fail(ErrorKind::Internal, "metric, the float network's scores are missing");
        const std::int64_t count = scores.size(0);
        if (labels.defined() && classifies) {
            const std::int64_t classes = scores.size(1);
            if (labels.numel() && (labels.min().item<std::int64_t>() < 0 || labels.max().item<std::int64_t>() >= classes)) {
                return fail(ErrorKind::Invalid, "labels, they go up to " + std::to_string(labels.max().item<std::int64_t>()) +
                                                    " but the network has " + std::to_string(classes) + " classes; use data of this task");
            }
            m_loss += at::cross_entropy_loss(scores, labels, {}, at::Reduction::Sum).item<double>();
            m_lossSamples += count;
        }
        // An answer that is no number is no answer: it never counts as right, not even against the same of the float network.
        const at::Tensor finite = scores.isfinite().reshape({count, -1}).all(1);
        m_nonFinite += count - finite.sum().item<std::int64_t>();
        at::Tensor hits;
        if (m_metric == Metric::Top1)
            hits = scores.argmax(1).eq(labels);
        else if (m_metric == Metric::Top5)
            hits = std::get<1>(scores.topk(std::min<std::int64_t>(5, scores.size(1)), 1)).eq(labels.unsqueeze(1)).any(1);
        else if (m_metric == Metric::Agreement)
            hits = scores.argmax(1).eq(reference.argmax(1));
        if (hits.defined())
            m_hits += hits.logical_and(finite).sum().item<std::int64_t>();
        if (reference.defined()) {
            m_hasReference = true;
            const at::Tensor both = finite.logical_and(reference.isfinite().reshape({count, -1}).all(1));
            const auto perSample = [&](const at::Tensor &values) {
                return at::where(both, values.square().reshape({count, -1}).sum(1), 0.0);
            };
            const at::Tensor signal = perSample(reference.to(at::kDouble));
            const at::Tensor noise = perSample(reference.to(at::kDouble) - scores.to(at::kDouble));
            m_signal += signal.sum().item<double>();
            m_noise += noise.sum().item<double>();
            m_signal2 += signal.square().sum().item<double>();
            m_noise2 += noise.square().sum().item<double>();
            m_cross += (signal * noise).sum().item<double>();
        }
        m_samples += count;
        return {};
    });
}

double MetricSum::sqnrDb() const
{
    if (!m_hasReference)
        return kNoNumber;
    constexpr double kCeiling = 200;   // identical outputs: a number stands for "no noise at all"
    if (m_noise <= 0)
        return kCeiling;
    return std::min(kCeiling, 10 * std::log10(std::max(m_signal, std::numeric_limits<double>::min()) / m_noise));
}

double MetricSum::value() const
{
    if (m_metric == Metric::Sqnr)
        return sqnrDb();
    return m_samples ? double(m_hits) / double(m_samples) : 0;
}

Interval MetricSum::interval() const
{
    if (m_metric != Metric::Sqnr)
        return wilsonInterval(double(m_hits), double(m_samples));
    const double db = sqnrDb();
    if (m_samples < 2 || m_noise <= 0 || m_signal <= 0)
        return {db, db};
    // Variance of ln(S / N) for two sums over the same n samples.
    const double n = double(m_samples), s = m_signal / n, e = m_noise / n;
    const double vs = m_signal2 / n - s * s, ve = m_noise2 / n - e * e, cov = m_cross / n - s * e;
    const double variance = std::max(0.0, (vs / (s * s) + ve / (e * e) - 2 * cov / (s * e)) / n);
    const double half = 1.959964 * std::sqrt(variance) * 10 / std::log(10.0);
    return {db - half, db + half};
}

double MetricSum::loss() const
{
    return m_lossSamples ? m_loss / double(m_lossSamples) : kNoNumber;
}

} // namespace bitwright
