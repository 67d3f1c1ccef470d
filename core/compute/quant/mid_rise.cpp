// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/mid_rise.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

LevelTable midRise(double limit, int bits)
{
    const int n = (1 << bits) - 1;
    LevelTable table;
    for (int i = 0; i <= n; ++i)
        table.levels.push_back(float(limit * (2.0 * i / n - 1)));
    for (int i = 0; i < n; ++i) {
        const double tie = limit * ((2.0 * i + 1) / n - 1);
        const float first = i % 2 == 0 ? firstAbove(tie) : firstFrom(tie);   // the tie goes to the even code
        table.firsts.push_back(i == 0 ? first : std::max(first, table.firsts.back()));   // all of them at 0 where the limit is
    }
    return table;
}

float unitStep(int n)
{
    const auto step = 1.0f / float(n);
    return double(step) * n > 1 ? std::nextafter(step, 0.0f) : step;
}

} // namespace bitwright
