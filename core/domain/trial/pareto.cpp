// SPDX-License-Identifier: GPL-3.0-or-later
#include "trial/pareto.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

std::vector<std::size_t> paretoFront(const std::vector<SizeValue> &points, bool higherIsBetter)
{
    const double sign = higherIsBetter ? 1 : -1;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < points.size(); ++i)
        if (std::isfinite(points[i].size) && std::isfinite(points[i].value))
            order.push_back(i);
    // Smallest first, best first among equals; then a point is on the front when it betters everything before it.
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
        if (points[a].size != points[b].size)
            return points[a].size < points[b].size;
        return sign * points[a].value > sign * points[b].value;
    });
    std::vector<std::size_t> front;
    for (const std::size_t i : order)
        if (front.empty() || sign * points[i].value > sign * points[front.back()].value)
            front.push_back(i);
    return front;
}

} // namespace bitwright
