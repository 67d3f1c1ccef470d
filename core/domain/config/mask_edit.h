// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace bitwright {

/// A weight seen as a matrix of kernels: rows are output channels, columns input channels (of a group), each crossing a
/// kernel of height x width elements. Indices are those of the storage.
struct WeightLayout {
    std::int64_t rows = 0, columns = 0, kernelHeight = 1, kernelWidth = 1;
    std::int64_t rowStride = 0, columnStride = 0;
    [[nodiscard]] std::int64_t kernel() const { return kernelHeight * kernelWidth; }
    [[nodiscard]] std::int64_t size() const { return rows * columns * kernel(); }
    [[nodiscard]] std::int64_t index(std::int64_t row, std::int64_t column, std::int64_t cell) const
    {
        return row * rowStride + column * columnStride + cell;
    }
    friend bool operator==(const WeightLayout &, const WeightLayout &) = default;
};
/// Of a weight as it is stored; `channelAxis` (0 or 1) counts the output channels. Empty for fewer than two dimensions.
[[nodiscard]] WeightLayout weightLayout(const Shape &shape, int channelAxis);

/// A block of elements: rows, columns and kernel cells, each from its first to its last.
struct WeightRegion {
    std::int64_t firstRow = 0, lastRow = 0, firstColumn = 0, lastColumn = 0;
    std::int64_t top = 0, bottom = 0, left = 0, right = 0;   ///< in the kernels at the block's corners
    friend bool operator==(const WeightRegion &, const WeightRegion &) = default;
};
/// All of these rows (columns).
[[nodiscard]] WeightRegion rowsRegion(const WeightLayout &layout, std::int64_t first, std::int64_t last);
[[nodiscard]] WeightRegion columnsRegion(const WeightLayout &layout, std::int64_t first, std::int64_t last);
/// Sets a region's entries to `keep`. A region over several kernels begins at `top`, `left` of its first kernel and ends
/// at `bottom`, `right` of its last one; kernels between are covered whole.
void setRegion(std::vector<std::uint8_t> &kept, const WeightLayout &layout, const WeightRegion &region, bool keep);

/// Kept elements of each output channel.
[[nodiscard]] std::vector<std::int64_t> keptByRow(std::span<const std::uint8_t> kept, const WeightLayout &layout);
/// One entry per element of `mask`, or all 1 where it is empty.
[[nodiscard]] std::vector<std::uint8_t> keptEntries(const Mask &mask, std::int64_t size);

/// The `count` least magnitudes: all below `value`, and the first `ties` that equal it.
struct LeastCut {
    float value = -std::numeric_limits<float>::infinity();   ///< the greatest that goes
    std::int64_t ties = 0;
    /// Prunes what the cut does, ties apart, as "|w| < threshold".
    [[nodiscard]] double threshold() const;
};
/// Entries that `held` marks do not count; `held` may be empty. NaN never goes.
[[nodiscard]] LeastCut leastCut(std::span<const float> values, std::span<const std::uint8_t> held, std::int64_t count);

/// What a threshold has to leave pruned because somebody pruned it by hand: emptied channels with something above the
/// threshold that the rest of the mask amounts to and, with `cells`, single elements above it.
[[nodiscard]] std::vector<std::uint8_t> heldByHand(std::span<const float> values, std::span<const std::uint8_t> kept,
                                                   const WeightLayout &layout, bool cells);

/// Keeps |w| >= threshold where `held` (may be empty) is not set; always at least the greatest element.
[[nodiscard]] std::vector<std::uint8_t> keptAbove(std::span<const float> values, std::span<const std::uint8_t> held, double threshold);
/// Prunes held elements and as many of the least others as make round(share x size), at least one stays.
[[nodiscard]] std::vector<std::uint8_t> keptAtShare(std::span<const float> values, std::span<const std::uint8_t> held, double share);

/// How a mask came about that a person made or changed.
enum class HandEdit { Threshold, Parts, Channels };
/// The spec that stores it: none where everything is kept; else the method that made what was there before if it still
/// says the truth, magnitude otherwise. Channels taken away by hand set the method's option `channels` where it has
/// one; a method without it falls back on a structured one where the mask is nothing but whole channels.
[[nodiscard]] Result<PruneSpec> handMadeSpec(const PruneSpec &before, const Mask &mask, const WeightLayout &layout, HandEdit edit,
                                             const Catalog &catalog);

} // namespace bitwright
