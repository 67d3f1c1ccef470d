// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/dataset.h"

#include "tensor/parallel.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

namespace bitwright {

namespace {

/// value * factor + shift, by channel.
struct Affine { double factor = 1, shift = 0; };

std::vector<Affine> affines(const Preprocessing &preprocessing, std::int64_t channels)
{
    const auto pick = [](const std::vector<double> &list, std::int64_t channel, double none) {
        return list.empty() ? none : list.size() == 1 ? list[0] : list[std::size_t(channel)];
    };
    std::vector<Affine> result;
    for (std::int64_t c = 0; c < channels; ++c) {
        const double mean = pick(preprocessing.mean, c, 0), std = pick(preprocessing.std, c, 1);
        result.push_back({preprocessing.scale / std, -mean / std});
    }
    return result;
}

using ByteTable = std::array<float, 256>;

std::vector<ByteTable> byteTables(const std::vector<Affine> &affine)
{
    std::vector<ByteTable> tables(affine.size());
    for (std::size_t c = 0; c < affine.size(); ++c)
        for (std::size_t v = 0; v < 256; ++v)
            tables[c][v] = float(double(v) * affine[c].factor + affine[c].shift);
    return tables;
}

/// The channels of a sample are its first dimension, but a flat vector is one plane.
std::int64_t channelsOf(const at::Tensor &images)
{
    return images.dim() > 2 ? images.size(1) : 1;
}

/// Rows `index` (or the run from `first`) as float in one pass over the bytes.
at::Tensor convert(const at::Tensor &images, const Preprocessing &preprocessing, const std::int64_t *index,
                   std::int64_t first, std::int64_t count)
{
    auto shape = images.sizes().vec();
    const auto rows = shape[0];
    shape[0] = count;
    auto result = at::empty(shape, at::kFloat);
    if (result.numel() == 0)
        return result;
    const auto channels = channelsOf(images);
    const auto sample = result.numel() / count;
    const auto plane = sample / channels;
    const auto affine = affines(preprocessing, channels);
    const bool bytes = images.scalar_type() == at::kByte;
    const auto tables = bytes ? byteTables(affine) : std::vector<ByteTable>{};
    const auto *source8 = bytes ? images.const_data_ptr<std::uint8_t>() : nullptr;
    const auto *source32 = bytes ? nullptr : images.const_data_ptr<float>();
    auto *target = result.data_ptr<float>();
    const std::int64_t grain = std::max<std::int64_t>(1, 65536 / std::max<std::int64_t>(1, plane));
    parallelRanges(count * channels, grain, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = begin; i < end; ++i) {
            const auto row = index != nullptr ? index[i / channels] : first + i / channels;
            TORCH_CHECK(row >= 0 && row < rows, "sample ", row, " of ", rows);
            const auto c = i % channels;
            const auto offset = row * sample + c * plane;
            auto *out = target + i * plane;
            if (bytes) {
                const auto &table = tables[std::size_t(c)];
                for (std::int64_t k = 0; k < plane; ++k)
                    out[k] = table[source8[offset + k]];
            } else {
                const auto factor = float(affine[std::size_t(c)].factor), shift = float(affine[std::size_t(c)].shift);
                for (std::int64_t k = 0; k < plane; ++k)
                    out[k] = source32[offset + k] * factor + shift;
            }
        }
    });
    return result;
}

} // namespace

std::int64_t Dataset::size() const
{
    return images.defined() ? images.size(0) : 0;
}

Shape Dataset::sampleShape() const
{
    return images.defined() ? images.sizes().slice(1).vec() : Shape{};
}

/// Rows as the network counts them: the batch where it has it, or none where a sample is a pass of its own.
c10::IValue InputColumn::asRead(at::Tensor rows) const
{
    if (rows.scalar_type() != type)
        rows = rows.to(type);
    if (batchAxis > 0)
        return rows.movedim(0, batchAxis).contiguous();
    if (batchAxis < 0) {
        TORCH_CHECK(rows.size(0) == 1, "the network takes one sample at a time");
        return rows.squeeze(0);
    }
    return rows;
}

c10::IValue InputColumn::rows(const at::Tensor &index) const
{
    if (shared)
        return rows(0, 0, 0);
    const auto wanted = index.to(at::kLong).contiguous();
    if (!at::isFloatingType(type))
        return asRead(values.index_select(0, wanted));
    return asRead(convert(values, preprocessing, wanted.const_data_ptr<std::int64_t>(), 0, wanted.numel()));
}

c10::IValue InputColumn::rows(std::int64_t first, std::int64_t count, std::int64_t full) const
{
    if (shared && number)
        return values.scalar_type() == at::kBool ? c10::IValue(values.item<bool>()) : c10::IValue(values.item());
    if (shared)
        return values.to(type);
    at::Tensor rows = at::isFloatingType(type) ? convert(values, preprocessing, nullptr, first, count) : values.narrow(0, first, count);
    if (full > count) {
        auto sizes = rows.sizes().vec();
        sizes[0] = full - count;
        rows = at::cat({rows, rows.narrow(0, count - 1, 1).expand(sizes)});
    }
    return asRead(std::move(rows));
}

std::vector<c10::IValue> Dataset::arguments(std::int64_t first, std::int64_t count, std::int64_t full) const
{
    if (columns.empty())
        return {InputColumn{.values = images, .preprocessing = preprocessing}.rows(first, count, full)};
    std::vector<c10::IValue> arguments;
    arguments.reserve(columns.size());
    for (const InputColumn &column : columns)
        arguments.push_back(column.rows(first, count, full));
    return arguments;
}

std::vector<c10::IValue> Dataset::arguments(const at::Tensor &index) const
{
    if (columns.empty())
        return {inputs(index)};
    std::vector<c10::IValue> arguments;
    for (const InputColumn &column : columns)
        arguments.push_back(column.rows(index));
    return arguments;
}

bool Dataset::isOneByOne() const
{
    return std::ranges::any_of(columns, [](const InputColumn &column) { return column.batchAxis < 0 && !column.shared; });
}

at::Tensor Dataset::inputs(std::int64_t first, std::int64_t count) const
{
    TORCH_CHECK(isSingle(), "the network takes ", columns.size(), " inputs");
    if (!columns.empty())
        return columns.front().rows(first, count, 0).toTensor();
    return convert(images, preprocessing, nullptr, first, count);
}

at::Tensor Dataset::inputs(const at::Tensor &index) const
{
    TORCH_CHECK(isSingle(), "the network takes ", columns.size(), " inputs");
    if (!columns.empty())
        return columns.front().rows(index).toTensor();
    const auto rows = index.to(at::kLong).contiguous();
    return convert(images, preprocessing, rows.const_data_ptr<std::int64_t>(), 0, rows.numel());
}

} // namespace bitwright
