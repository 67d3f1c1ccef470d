// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/sorted_values.h"

#include "tensor/kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bitwright {

void sortFloats(std::vector<float> &values)
{
    constexpr int kDigit = 11, kPasses = 3;
    constexpr std::uint32_t kSign = 0x80000000U, kMask = (1U << kDigit) - 1;
    std::vector<std::uint32_t> keys(values.size()), other(values.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const auto bits = std::bit_cast<std::uint32_t>(values[i]);
        keys[i] = bits & kSign ? ~bits : bits | kSign;
    }
    for (int pass = 0; pass < kPasses; ++pass) {
        const int shift = pass * kDigit;
        std::vector<std::size_t> place(std::size_t(kMask) + 2, 0);
        for (const std::uint32_t key : keys)
            ++place[(key >> shift & kMask) + 1];
        for (std::size_t i = 1; i < place.size(); ++i)
            place[i] += place[i - 1];
        for (const std::uint32_t key : keys)
            other[place[key >> shift & kMask]++] = key;
        keys.swap(other);
    }
    for (std::size_t i = 0; i < keys.size(); ++i)
        values[i] = std::bit_cast<float>(keys[i] & kSign ? keys[i] & ~kSign : ~keys[i]);
}

SortedValues::SortedValues(const at::Tensor &x)
{
    const at::Tensor flat = floatContiguous(x);
    for (const float v : floatSpan(flat))
        if (std::isfinite(v))
            m_values.push_back(v);
    sortFloats(m_values);
    // Summed outwards from zero: a huge value at one end then takes no digits from the small ones.
    const auto zero = std::size_t(std::ranges::lower_bound(m_values, 0.0f) - m_values.begin());
    m_sums.assign(m_values.size() + 1, 0.0);
    for (std::size_t i = zero; i < m_values.size(); ++i)
        m_sums[i + 1] = m_sums[i] + double(m_values[i]);
    for (std::size_t i = zero; i > 0; --i)
        m_sums[i - 1] = m_sums[i] - double(m_values[i - 1]);
}

double SortedValues::mean(std::size_t begin, std::size_t end) const
{
    // rounding of the sums must not put a mean outside its values
    return std::clamp(sum(begin, end) / double(end - begin), double(m_values[begin]), double(m_values[end - 1]));
}

double SortedValues::quantile(double share) const
{
    const double at = std::clamp(share, 0.0, 1.0) * double(m_values.size() - 1);
    const auto below = std::size_t(at);
    const std::size_t above = std::min(below + 1, m_values.size() - 1);
    return double(m_values[below]) + (at - double(below)) * (double(m_values[above]) - double(m_values[below]));
}

std::vector<std::size_t> lloydRound(const SortedValues &x, std::vector<float> &centroids)
{
    std::vector<std::size_t> bounds{0};
    for (const float first : nearestLevels(centroids).firsts)
        bounds.push_back(std::size_t(std::ranges::lower_bound(x.values(), first) - x.values().begin()));
    bounds.push_back(x.size());
    for (std::size_t j = 0; j < centroids.size(); ++j)
        if (bounds[j] < bounds[j + 1])   // an empty cluster keeps its centroid
            centroids[j] = float(x.mean(bounds[j], bounds[j + 1]));
    return bounds;
}

} // namespace bitwright
