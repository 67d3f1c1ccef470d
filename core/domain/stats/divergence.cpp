// SPDX-License-Identifier: GPL-3.0-or-later
#include "stats/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace bitwright {
namespace {

constexpr double kEpsilon = 1e-4;   // what smoothing gives an empty bin

/// How smoothing changes counts of which `zeros` of `size` are empty.
struct Smoothing {
    double taken = 0;   ///< from each bin that is not empty
    Smoothing(std::size_t zeros, std::size_t size)
        : taken(size > zeros ? kEpsilon * double(zeros) / double(size - zeros) : 0) {}
    [[nodiscard]] double operator()(double count) const { return count == 0 ? kEpsilon : count - taken; }
};

/// KL(P || Q) when `kept` bins stay, infinite when smoothing would leave a negative count.
class Candidate {
public:
    Candidate(std::span<const double> counts, std::size_t levels) : m_counts(counts), m_levels(levels), m_q(counts.size()) {}

    double divergence(std::size_t kept, double clipped)
    {
        const double lastCount = m_counts[kept - 1] + clipped;
        const std::size_t emptyQ = spread(kept);
        std::size_t emptyP = 0;
        for (std::size_t j = 0; j < kept; ++j)
            emptyP += (j + 1 == kept ? lastCount : m_counts[j]) == 0;
        if (emptyP == kept || emptyQ == kept)
            return std::numeric_limits<double>::infinity();
        const Smoothing p(emptyP, kept), q(emptyQ, kept);
        double sumP = 0, sumQ = 0;
        for (std::size_t j = 0; j < kept; ++j) {
            sumP += p(j + 1 == kept ? lastCount : m_counts[j]);
            sumQ += q(m_q[j]);
        }
        double kl = 0, ratio = sumQ / sumP;
        for (std::size_t j = 0; j < kept; ++j) {
            const double a = p(j + 1 == kept ? lastCount : m_counts[j]), b = q(m_q[j]);
            if (a <= 0 || b <= 0)
                return std::numeric_limits<double>::infinity();
            kl += a * std::log(a / b * ratio);
        }
        return kl / sumP;
    }

private:
    /// Merges the kept bins into `levels` groups and spreads each group's mean over its bins that are not empty.
    /// The slice goes in without the clipped mass: with it Q would equal P at the start. Returns the empty bins.
    std::size_t spread(std::size_t kept)
    {
        std::size_t empty = 0, begin = 0;
        for (std::size_t group = 0; group < m_levels && begin < kept; ++group) {
            // bin j belongs to group floor(j * levels / kept)
            const std::size_t end = std::min(kept, ((group + 1) * kept + m_levels - 1) / m_levels);
            double sum = 0;
            std::size_t filled = 0;
            for (std::size_t j = begin; j < end; ++j) {
                sum += m_counts[j];
                filled += m_counts[j] != 0;
            }
            const double mean = filled ? sum / double(filled) : 0;
            for (std::size_t j = begin; j < end; ++j)
                m_q[j] = m_counts[j] != 0 ? mean : 0;
            empty += end - begin - filled;
            begin = end;
        }
        return empty;
    }

    std::span<const double> m_counts;
    std::size_t m_levels;
    std::vector<double> m_q;
};

} // namespace

double signalToNoiseDb(double signal, double noise)
{
    if (!(signal > 0) || !(noise > 0))
        return std::numeric_limits<double>::quiet_NaN();
    return 10 * std::log10(signal / noise);
}

KlThreshold klThreshold(std::span<const double> given, std::size_t levels, bool neutralizeFirst)
{
    std::vector<double> counts(given.begin(), given.end());
    if (neutralizeFirst && counts.size() > 1)
        counts[0] = counts[1];
    KlThreshold best{counts.size(), std::numeric_limits<double>::infinity()};
    std::vector<double> above(counts.size() + 1, 0);
    for (std::size_t i = counts.size(); i-- > 0;)
        above[i] = above[i + 1] + counts[i];
    Candidate candidate(counts, std::max<std::size_t>(1, levels));
    for (std::size_t kept = std::max<std::size_t>(1, levels); kept <= counts.size(); ++kept) {
        const double kl = candidate.divergence(kept, above[kept]);
        if (kl < best.divergence)
            best = {kept, kl};
    }
    if (!std::isfinite(best.divergence))
        best = {counts.size(), 0};
    return best;
}

std::vector<double> foldedMass(const Histogram &histogram, double top, std::size_t bins)
{
    std::vector<double> out(bins, 0);
    const double width = top / double(bins);
    if (!(width > 0))
        return out;
    // [a, b] on the positive axis
    auto add = [&](double a, double b, double mass) {
        if (mass == 0 || b <= a)
            return;
        const double density = mass / (b - a);
        const std::size_t last = bins - 1;
        const std::size_t from = std::min(last, std::size_t(std::max(0.0, a / width)));
        const std::size_t to = std::min(last, std::size_t(std::max(0.0, b / width)));
        double given = 0;
        for (std::size_t i = from; i < to; ++i) {
            const double part = density * (width * double(i + 1) - std::max(a, width * double(i)));
            out[i] += part;
            given += part;
        }
        out[to] += std::max(0.0, mass - given);   // also what lies beyond `top`
    };
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        const double mass = double(histogram.counts[i]);
        if (mass == 0)
            continue;
        const double a = histogram.edge(i), b = histogram.edge(i + 1);
        if (a >= 0) {
            add(a, b, mass);
        } else if (b <= 0) {
            add(-b, -a, mass);
        } else {
            add(0, b, mass * b / (b - a));
            add(0, -a, mass * -a / (b - a));
        }
    }
    return out;
}

} // namespace bitwright
