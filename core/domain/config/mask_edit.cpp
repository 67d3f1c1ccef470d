// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/mask_edit.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

namespace bitwright {

namespace {

constexpr const char *kMagnitude = "magnitude";
constexpr const char *kStructured = "l1";
constexpr const char *kChannels = "channels";
constexpr std::uint32_t kSignless = 0x7fffffff, kInfinity = 0x7f800000;
constexpr int kFineBits = 15;

/// Magnitudes as integers: floats without a sign are ordered like their bits. NaN lies above infinity.
std::uint32_t magnitudeBits(float value)
{
    return std::bit_cast<std::uint32_t>(value) & kSignless;
}

bool isHeld(std::span<const std::uint8_t> held, std::size_t index)
{
    return !held.empty() && held[index] != 0;
}

float nthOf(std::vector<std::uint32_t> &bits, std::int64_t n)
{
    std::ranges::nth_element(bits, bits.begin() + n);
    return std::bit_cast<float>(bits[std::size_t(n)]);
}

/// Sum of entries that are 0 or 1, eight at a time: byte lanes hold 255 of them before they run over.
std::int64_t countOnes(const std::uint8_t *entries, std::int64_t size)
{
    constexpr std::uint64_t kPairs = 0x00ff00ff00ff00ffULL;
    std::int64_t count = 0, at = 0;
    while (size - at >= 8) {
        std::uint64_t lanes = 0;
        for (int words = 0; words < 255 && size - at >= 8; ++words, at += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, entries + at, 8);
            lanes += word;
        }
        count += std::int64_t((((lanes & kPairs) + (lanes >> 8 & kPairs)) * 0x0001000100010001ULL) >> 48);
    }
    return std::accumulate(entries + at, entries + size, count);
}

void keepOne(std::vector<std::uint8_t> &kept, std::span<const float> values, std::span<const std::uint8_t> held)
{
    if (std::ranges::find(kept, 1) != kept.end() || kept.empty())
        return;
    std::size_t best = 0;
    bool found = false;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (isHeld(held, i) || (found && !(std::abs(values[i]) > std::abs(values[best]))))
            continue;
        best = i;
        found = true;
    }
    kept[best] = 1;
}

} // namespace

WeightLayout weightLayout(const Shape &shape, int channelAxis)
{
    WeightLayout layout;
    if (shape.size() < 2 || channelAxis < 0 || channelAxis > 1)
        return layout;
    for (std::size_t axis = 2; axis < shape.size(); ++axis)
        (axis + 1 == shape.size() ? layout.kernelWidth : layout.kernelHeight) *= shape[axis];
    const std::int64_t inner = layout.kernel(), outer = shape[1] * inner;
    layout.rows = shape[std::size_t(channelAxis)];
    layout.columns = shape[std::size_t(1 - channelAxis)];
    layout.rowStride = channelAxis == 0 ? outer : inner;
    layout.columnStride = channelAxis == 0 ? inner : outer;
    return layout;
}

WeightRegion rowsRegion(const WeightLayout &layout, std::int64_t first, std::int64_t last)
{
    return {first, last, 0, layout.columns - 1, 0, layout.kernelHeight - 1, 0, layout.kernelWidth - 1};
}

WeightRegion columnsRegion(const WeightLayout &layout, std::int64_t first, std::int64_t last)
{
    return {0, layout.rows - 1, first, last, 0, layout.kernelHeight - 1, 0, layout.kernelWidth - 1};
}

void setRegion(std::vector<std::uint8_t> &kept, const WeightLayout &layout, const WeightRegion &region, bool keep)
{
    for (std::int64_t row = region.firstRow; row <= region.lastRow; ++row) {
        const std::int64_t top = row == region.firstRow ? region.top : 0;
        const std::int64_t bottom = row == region.lastRow ? region.bottom : layout.kernelHeight - 1;
        for (std::int64_t column = region.firstColumn; column <= region.lastColumn; ++column) {
            const std::int64_t left = column == region.firstColumn ? region.left : 0;
            const std::int64_t right = column == region.lastColumn ? region.right : layout.kernelWidth - 1;
            for (std::int64_t y = top; y <= bottom; ++y)
                for (std::int64_t x = left; x <= right; ++x)
                    kept[std::size_t(layout.index(row, column, y * layout.kernelWidth + x))] = keep;
        }
    }
}

std::vector<std::int64_t> keptByRow(std::span<const std::uint8_t> kept, const WeightLayout &layout)
{
    std::vector<std::int64_t> counts(std::size_t(layout.rows), 0);
    const bool together = layout.rowStride == layout.columns * layout.kernel();   // a row's elements stand side by side
    for (std::int64_t row = 0; row < layout.rows; ++row) {
        std::int64_t &count = counts[std::size_t(row)];
        const std::uint8_t *first = kept.data() + row * layout.rowStride;
        if (together) {
            count = countOnes(first, layout.rowStride);
            continue;
        }
        for (std::int64_t column = 0; column < layout.columns; ++column)
            count = std::accumulate(first + column * layout.columnStride, first + column * layout.columnStride + layout.kernel(), count);
    }
    return counts;
}

std::vector<std::uint8_t> keptEntries(const Mask &mask, std::int64_t size)
{
    return mask.size() == size ? mask.kept() : std::vector<std::uint8_t>(std::size_t(size), 1);
}

double LeastCut::threshold() const
{
    return std::isfinite(value) ? double(std::nextafter(value, std::numeric_limits<float>::infinity())) : 0;
}

LeastCut leastCut(std::span<const float> values, std::span<const std::uint8_t> held, std::int64_t count)
{
    LeastCut cut;
    // A coarse count by the leading bits finds the few among which the last one to go must be.
    std::vector<std::uint32_t> coarse(std::size_t(kSignless >> kFineBits) + 1, 0);
    std::int64_t able = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint32_t bits = magnitudeBits(values[i]);
        if (isHeld(held, i) || bits > kInfinity)
            continue;
        ++coarse[bits >> kFineBits];
        ++able;
    }
    count = std::min(count, able);
    if (count <= 0)
        return cut;
    std::int64_t below = 0;
    std::size_t bin = 0;
    while (below + std::int64_t(coarse[bin]) < count)
        below += std::int64_t(coarse[bin++]);
    std::vector<std::uint32_t> near;
    near.reserve(coarse[bin]);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint32_t bits = magnitudeBits(values[i]);
        if (bits <= kInfinity && bits >> kFineBits == bin && !isHeld(held, i))
            near.push_back(bits);
    }
    const std::int64_t wanted = count - below;
    cut.value = nthOf(near, wanted - 1);
    const std::uint32_t last = magnitudeBits(cut.value);
    cut.ties = wanted - std::ranges::count_if(near, [last](std::uint32_t bits) { return bits < last; });
    return cut;
}

std::vector<std::uint8_t> heldByHand(std::span<const float> values, std::span<const std::uint8_t> kept, const WeightLayout &layout,
                                     bool cells)
{
    std::vector<std::uint8_t> emptied(values.size(), 0);
    const auto counts = keptByRow(kept, layout);
    std::int64_t pruned = 0;
    for (std::int64_t row = 0; row < layout.rows; ++row) {
        if (counts[std::size_t(row)] == 0)
            setRegion(emptied, layout, rowsRegion(layout, row, row), true);
        else
            pruned += layout.columns * layout.kernel() - counts[std::size_t(row)];
    }
    // The threshold that the rest amounts to lies between the last that is gone and the first that is kept.
    const float least = leastCut(values, emptied, pruned).value;
    const float next = pruned == 0 ? least : leastCut(values, emptied, pruned + 1).value;
    std::vector<std::uint8_t> held(values.size(), 0);
    for (std::int64_t row = 0; row < layout.rows; ++row) {
        float greatest = 0;
        for (std::int64_t column = 0; column < layout.columns; ++column) {
            for (std::int64_t cell = 0; cell < layout.kernel(); ++cell) {
                const auto at = std::size_t(layout.index(row, column, cell));
                greatest = std::max(greatest, std::abs(values[at]));
                held[at] = cells && !kept[at] && !emptied[at] && std::abs(values[at]) > least;
            }
        }
        if (counts[std::size_t(row)] == 0 && greatest >= next)
            setRegion(held, layout, rowsRegion(layout, row, row), true);
    }
    return held;
}

std::vector<std::uint8_t> keptAbove(std::span<const float> values, std::span<const std::uint8_t> held, double threshold)
{
    std::vector<std::uint8_t> kept(values.size());
    const float least = float(threshold);
    // Plain loops, so that the compiler makes vectors of them; NaN is not below anything and stays.
    if (held.empty())
        for (std::size_t i = 0; i < values.size(); ++i)
            kept[i] = !(std::abs(values[i]) < least);
    else
        for (std::size_t i = 0; i < values.size(); ++i)
            kept[i] = std::uint8_t(!(std::abs(values[i]) < least) & (held[i] == 0));
    keepOne(kept, values, held);
    return kept;
}

std::vector<std::uint8_t> keptAtShare(std::span<const float> values, std::span<const std::uint8_t> held, double share)
{
    const std::int64_t wanted = std::llround(std::clamp(share, 0.0, 1.0) * double(values.size()));
    const std::int64_t byHand = held.empty() ? 0 : std::ranges::count_if(held, [](std::uint8_t entry) { return entry != 0; });
    const LeastCut cut = leastCut(values, held, wanted - byHand);
    std::vector<std::uint8_t> kept(values.size());
    std::int64_t ties = cut.ties;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const float magnitude = std::abs(values[i]);
        const bool goes = isHeld(held, i) || magnitude < cut.value || (magnitude == cut.value && ties-- > 0);
        kept[i] = !goes;
    }
    keepOne(kept, values, held);
    return kept;
}

Result<PruneSpec> handMadeSpec(const PruneSpec &before, const Mask &mask, const WeightLayout &layout, HandEdit edit, const Catalog &catalog)
{
    PruneSpec spec;
    if (mask.empty() || mask.keptCount() == mask.size())
        return spec;
    const std::int64_t perRow = layout.columns * layout.kernel();
    // Asked for only where it matters: a threshold that is dragged has no time for it.
    const auto wholeChannels = [&] {
        return std::ranges::all_of(keptByRow(mask.kept(), layout), [perRow](std::int64_t count) { return count == 0 || count == perRow; });
    };
    const MethodTraits *method = catalog.pruner(before.method);
    const bool structured = method && method->structured;
    if (structured ? !wholeChannels() : method && edit == HandEdit::Threshold && before.method != kMagnitude)
        method = nullptr;   // what was there before was made in another way than what is there now
    spec.method = method ? before.method : kMagnitude;
    if (!method)
        method = catalog.pruner(spec.method);
    if (!method)
        return fail(ErrorKind::Unsupported, "masks made by hand are stored as pruned by magnitude, which this program lacks; build it with all methods");
    if (spec.method == before.method)
        spec.options = before.options;
    const bool channels = edit == HandEdit::Channels || structured || boolParam(before.options, kChannels);
    if (!method->structured && channels && method->option(kChannels)) {
        spec.options[kChannels] = true;
    } else if (!method->structured && edit == HandEdit::Channels && catalog.pruner(kStructured) && wholeChannels()) {
        method = catalog.pruner(kStructured);
        spec.method = kStructured;
        spec.options.clear();
    }
    BW_ASSIGN(spec.options, completeParams(method->options, spec.options, spec.method));
    spec.sparsity = 1 - double(mask.keptCount()) / double(mask.size());
    spec.mask = mask;
    return spec;
}

} // namespace bitwright
