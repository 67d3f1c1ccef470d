// SPDX-License-Identifier: GPL-3.0-or-later
#include "cost/entropy.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitwright {

namespace {

/// One row of the package-merge scheme: leaves and pairs of the row below, ascending.
struct Row {
    std::vector<std::uint64_t> weights;
    std::vector<bool> leaf;
};

Row rowAbove(const Row &below, const std::vector<std::uint64_t> &leaves)
{
    Row row;
    std::size_t next = 0;
    const auto addLeaf = [&] {
        row.weights.push_back(leaves[next++]);
        row.leaf.push_back(true);
    };
    for (std::size_t i = 0; i + 1 < below.weights.size(); i += 2) {
        const std::uint64_t pair = below.weights[i] + below.weights[i + 1];
        // Leaves first among equals keep the words short.
        while (next < leaves.size() && leaves[next] <= pair)
            addLeaf();
        row.weights.push_back(pair);
        row.leaf.push_back(false);
    }
    while (next < leaves.size())
        addLeaf();
    return row;
}

} // namespace

std::vector<int> huffmanLengths(std::span<const std::uint64_t> counts, int limit)
{
    std::vector<int> lengths(counts.size(), 0);
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < counts.size(); ++i)
        if (counts[i] > 0)
            order.push_back(i);
    if (order.size() < 2) {
        for (const std::size_t only : order)
            lengths[only] = 1;
        return lengths;
    }
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return counts[i]; });
    std::vector<std::uint64_t> leaves;
    for (const std::size_t i : order)
        leaves.push_back(counts[i]);
    std::vector<Row> rows{{leaves, std::vector<bool>(leaves.size(), true)}};
    for (int i = 1; i < limit; ++i)
        rows.push_back(rowAbove(rows.back(), leaves));
    // The cheapest 2n - 2 of the top row make the code; a symbol's length is how often its leaf is among what they hold.
    std::size_t taken = 2 * leaves.size() - 2;
    for (auto row = rows.rbegin(); row != rows.rend() && taken > 0; ++row) {
        taken = std::min(taken, row->leaf.size());
        const auto leavesTaken = std::size_t(std::count(row->leaf.begin(), row->leaf.begin() + std::ptrdiff_t(taken), true));
        for (std::size_t i = 0; i < leavesTaken; ++i)
            ++lengths[order[i]];
        taken = 2 * (taken - leavesTaken);
    }
    return lengths;
}

std::vector<std::uint32_t> canonicalCodes(std::span<const int> lengths)
{
    std::vector<std::uint32_t> codes(lengths.size(), 0);
    const int longest = lengths.empty() ? 0 : *std::ranges::max_element(lengths);
    std::uint32_t next = 0;
    for (int length = 1; length <= longest; ++length) {
        next <<= 1;
        for (std::size_t i = 0; i < lengths.size(); ++i)
            if (lengths[i] == length)
                codes[i] = next++;
    }
    return codes;
}

bool isPrefixCode(std::span<const int> lengths, int limit)
{
    std::uint64_t used = 0, symbols = 0;   // in units of the longest word
    for (const int length : lengths) {
        if (length < 0 || length > limit)
            return false;
        if (length == 0)
            continue;
        used += std::uint64_t(1) << (limit - length);
        ++symbols;
    }
    return symbols == 1 ? std::ranges::max(lengths) == 1 : used == std::uint64_t(1) << limit;
}

std::uint64_t messageBits(std::span<const std::uint64_t> counts, std::span<const int> lengths)
{
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < counts.size(); ++i)
        bits += counts[i] * std::uint64_t(lengths[i]);
    return bits;
}

std::uint64_t tableBits(std::span<const int> lengths)
{
    return 16 * std::uint64_t(std::ranges::count_if(lengths, [](int length) { return length > 0; }));
}

double entropyBits(std::span<const std::uint64_t> counts)
{
    const double total = std::accumulate(counts.begin(), counts.end(), 0.0, [](double sum, std::uint64_t n) { return sum + double(n); });
    double bits = 0;
    for (const std::uint64_t n : counts)
        if (n > 0)
            bits += double(n) / total * std::log2(total / double(n));
    return bits;
}

} // namespace bitwright
