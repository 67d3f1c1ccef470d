// SPDX-License-Identifier: GPL-3.0-or-later
#include "trial/trial_record.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

Interval wilsonInterval(double correct, double total)
{
    if (!(total > 0))
        return {0, 1};
    constexpr double z = 1.959963984540054;   // 97.5 % point of the normal distribution
    const double share = std::clamp(correct / total, 0.0, 1.0);
    const double denominator = 1 + z * z / total;
    const double center = (share + z * z / (2 * total)) / denominator;
    const double half = z / denominator * std::sqrt(share * (1 - share) / total + z * z / (4 * total * total));
    // The ends are exact at 0 and 1, where the difference above leaves a rounding error.
    return {share > 0 ? std::max(0.0, center - half) : 0.0, share < 1 ? std::min(1.0, center + half) : 1.0};
}

} // namespace bitwright
