// SPDX-License-Identifier: GPL-3.0-or-later
#include "grid/quant_grid.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

std::size_t QuantGrid::levelCount(std::size_t group) const
{
    if (groups.empty())
        return 0;
    return uniform ? std::size_t(qmax - qmin + 1) : groups[group].levels.size();
}

double QuantGrid::level(std::size_t group, std::size_t index) const
{
    const Group &g = groups[group];
    if (!uniform)
        return g.levels[index];
    // as the kernels do it: one product in single precision
    return double(float(qmin + std::int64_t(index) - g.zeroPoint) * float(g.scale));
}

std::vector<double> QuantGrid::levels(std::size_t group) const
{
    if (!uniform)
        return groups[group].levels;
    std::vector<double> out(levelCount(group));
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = level(group, i);
    return out;
}

std::vector<double> QuantGrid::thresholds(std::size_t group) const
{
    if (!uniform)
        return groups[group].thresholds;
    const Group &g = groups[group];
    const std::size_t count = levelCount(group);
    std::vector<double> out(count > 0 ? count - 1 : 0);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = (double(qmin + std::int64_t(i) - g.zeroPoint) + 0.5) * g.scale;
    return out;
}

double QuantGrid::quantize(std::size_t group, double x) const
{
    if (std::isnan(x))
        return x;
    const Group &g = groups[group];
    if (uniform) {
        const float q = std::rint(float(x) / float(g.scale)) + float(g.zeroPoint);
        const float clamped = std::max(float(qmin), std::min(float(qmax), q));
        return double((clamped - float(g.zeroPoint)) * float(g.scale));
    }
    if (g.levels.empty())
        return 0;
    if (!g.answers.empty())
        return g.answers[std::size_t(std::ranges::upper_bound(g.breaks, x) - g.breaks.begin())];
    const auto above = std::ranges::upper_bound(g.thresholds, x);
    return g.levels[std::min(g.levels.size() - 1, std::size_t(above - g.thresholds.begin()))];
}

} // namespace bitwright
