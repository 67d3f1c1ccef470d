// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/optimal_levels.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace bitwright {
namespace {

constexpr double kWork = 2e7;          // evaluations of a stretch's error that are worth their time
constexpr int kRounds = 100;
constexpr std::size_t kFewest = 2048;  // points, however many levels

/// Squared error of points i to j - 1 about their mean, from prefix sums.
class Stretches {
public:
    Stretches(std::span<const double> points, std::span<const double> weights)
        : m_weight(points.size() + 1, 0), m_sum(points.size() + 1, 0), m_squares(points.size() + 1, 0)
    {
        double all = 0, sum = 0;
        for (std::size_t i = 0; i < points.size(); ++i) {
            all += weights[i];
            sum += weights[i] * points[i];
        }
        m_center = all > 0 ? sum / all : 0;   // differences of squares keep their digits about the mean
        for (std::size_t i = 0; i < points.size(); ++i) {
            const double v = points[i] - m_center;
            m_weight[i + 1] = m_weight[i] + weights[i];
            m_sum[i + 1] = m_sum[i] + weights[i] * v;
            m_squares[i + 1] = m_squares[i] + weights[i] * v * v;
        }
    }
    [[nodiscard]] double error(std::size_t i, std::size_t j) const
    {
        const double weight = m_weight[j] - m_weight[i], sum = m_sum[j] - m_sum[i];
        return weight > 0 ? std::max(0.0, m_squares[j] - m_squares[i] - sum * sum / weight) : 0;
    }
    [[nodiscard]] double mean(std::size_t i, std::size_t j) const
    {
        return m_center + (m_sum[j] - m_sum[i]) / (m_weight[j] - m_weight[i]);
    }

private:
    double m_center = 0;
    std::vector<double> m_weight, m_sum, m_squares;
};

/// One more level: best[j] for the first j points; where the last stretch begins never falls as j grows, so halves suffice.
void addLevel(const Stretches &x, const std::vector<double> &before, std::vector<double> &best, std::vector<std::uint32_t> &from,
              std::size_t low, std::size_t high, std::size_t first, std::size_t last)
{
    if (low > high)
        return;
    const std::size_t middle = low + (high - low) / 2;
    double least = std::numeric_limits<double>::infinity();
    std::size_t at = first;
    for (std::size_t i = first; i <= std::min(middle, last); ++i)
        if (const double error = before[i] + x.error(i, middle); error < least) {
            least = error;
            at = i;
        }
    best[middle] = least;
    from[middle] = std::uint32_t(at);
    if (middle > low)
        addLevel(x, before, best, from, low, middle - 1, first, at);
    addLevel(x, before, best, from, middle + 1, high, at, last);
}

} // namespace

std::vector<float> optimalLevels(std::span<const double> points, std::span<const double> weights, std::size_t count)
{
    const std::size_t n = points.size();
    std::vector<float> levels;
    if (n <= count) {
        for (const double p : points)
            levels.push_back(float(p));
        levels.resize(count, levels.empty() ? 0.0f : levels.back());
        return levels;
    }
    const Stretches x(points, weights);
    std::vector<double> before(n + 1, std::numeric_limits<double>::infinity()), best(n + 1);
    before[0] = 0;
    std::vector<std::vector<std::uint32_t>> from(count, std::vector<std::uint32_t>(n + 1, 0));
    for (std::size_t level = 0; level < count; ++level) {
        best.assign(n + 1, std::numeric_limits<double>::infinity());
        best[0] = 0;
        addLevel(x, before, best, from[level], 1, n, 0, n);
        before.swap(best);
    }
    std::size_t end = n;
    for (std::size_t level = count; level-- > 0;) {
        const std::size_t begin = from[level][end];
        if (begin < end)
            levels.push_back(float(x.mean(begin, end)));
        end = begin;
    }
    std::ranges::sort(levels);
    levels.resize(count, levels.back());
    return levels;
}

std::vector<float> optimalLevels(const SortedValues &x, std::size_t count)
{
    const double most = kWork / double(count);
    const auto room = std::max(kFewest, std::size_t(most / std::max(1.0, std::log2(most))));
    std::vector<double> points, weights;
    for (const float v : x.values()) {
        if (!points.empty() && float(points.back()) == v) {
            ++weights.back();
            continue;
        }
        points.push_back(double(v));
        weights.push_back(1);
        if (points.size() > room)
            break;
    }
    if (points.size() <= room)
        return optimalLevels(points, weights, count);
    // Neighbours together: half of the points by count, half by width, so that neither the middle nor the tails get coarse.
    points.clear();
    weights.clear();
    const double low = double(x.values().front()), width = (double(x.values().back()) - low) / double(room / 2);
    const std::size_t share = std::max<std::size_t>(1, 2 * x.size() / room);
    for (std::size_t begin = 0; begin < x.size();) {
        const double edge = low + (std::floor((double(x.values()[begin]) - low) / width) + 1) * width;
        const auto wide = std::size_t(std::ranges::lower_bound(x.values(), float(edge)) - x.values().begin());
        const std::size_t end = std::min(x.size(), std::max(begin + 1, std::min(wide, begin + share)));
        points.push_back(x.mean(begin, end));
        weights.push_back(double(end - begin));
        begin = end;
    }
    std::vector<float> levels = optimalLevels(points, weights, count);
    std::vector<std::size_t> before;
    for (int round = 0; round < kRounds; ++round) {
        auto bounds = lloydRound(x, levels);
        if (bounds == before)
            break;
        before = std::move(bounds);
    }
    return levels;
}

} // namespace bitwright
