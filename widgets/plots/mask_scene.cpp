// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/mask_scene.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

constexpr int kMostStrips = 32;

} // namespace

MaskScene::MaskScene(const WeightLayout &layout, double aspect) : m_layout(layout), m_rowsPerStrip(layout.rows)
{
    if (layout.size() == 0 || !(aspect > 0))
        return;
    const double width = stripWidth(), height = double(layout.rows * layout.kernelHeight);
    m_gap = std::max(1.0, double(layout.kernelWidth));
    double best = std::abs(std::log(width / height / aspect));
    for (int strips = 2; strips <= std::min<std::int64_t>(kMostStrips, layout.rows); ++strips) {
        const std::int64_t rows = (layout.rows + strips - 1) / strips;
        if ((layout.rows + rows - 1) / rows != strips)
            continue;   // the last strip would be empty
        const double now = (strips * (width + m_gap) - m_gap) / double(rows * layout.kernelHeight);
        // Strips are harder to read than one matrix: they have to fill the area clearly better.
        const double miss = std::abs(std::log(now / aspect)) + std::log(1.5);
        if (miss < best) {
            best = miss - std::log(1.5) + 0.05;
            m_strips = strips;
            m_rowsPerStrip = rows;
        }
    }
}

std::int64_t MaskScene::rowsIn(int strip) const
{
    return std::clamp<std::int64_t>(m_layout.rows - strip * m_rowsPerStrip, 0, m_rowsPerStrip);
}

QSizeF MaskScene::size() const
{
    return {stripLeft(m_strips - 1) + stripWidth(), double(m_rowsPerStrip * m_layout.kernelHeight)};
}

std::int64_t MaskScene::indexOf(const Place &place) const
{
    return m_layout.index(place.row, place.column, place.y * m_layout.kernelWidth + place.x);
}

int MaskScene::stripAt(double x) const
{
    return std::clamp(int(std::floor(x / (stripWidth() + m_gap))), 0, m_strips - 1);
}

std::optional<MaskScene::Place> MaskScene::placeAt(QPointF position) const
{
    if (m_layout.size() == 0 || position.x() < 0 || position.y() < 0)
        return std::nullopt;
    const int strip = stripAt(position.x());
    if (position.x() - stripLeft(strip) >= stripWidth() || position.y() >= double(rowsIn(strip) * m_layout.kernelHeight))
        return std::nullopt;
    return nearestIn(strip, position);
}

MaskScene::Place MaskScene::nearestIn(int strip, QPointF position) const
{
    const auto x = std::int64_t(std::clamp(position.x() - stripLeft(strip), 0.0, stripWidth() - 1));
    const auto y = std::int64_t(std::clamp(position.y(), 0.0, double(rowsIn(strip) * m_layout.kernelHeight) - 1));
    return {strip * m_rowsPerStrip + y / m_layout.kernelHeight, x / m_layout.kernelWidth, y % m_layout.kernelHeight, x % m_layout.kernelWidth};
}

QRectF MaskScene::kernelRect(std::int64_t row, std::int64_t column) const
{
    const int strip = int(row / std::max<std::int64_t>(1, m_rowsPerStrip));
    return {stripLeft(strip) + double(column * m_layout.kernelWidth), double((row % m_rowsPerStrip) * m_layout.kernelHeight),
            double(m_layout.kernelWidth), double(m_layout.kernelHeight)};
}

QRectF MaskScene::cellRect(const Place &place) const
{
    return {kernelRect(place.row, place.column).topLeft() + QPointF(double(place.x), double(place.y)), QSizeF(1, 1)};
}

QRectF MaskScene::rowRect(std::int64_t row) const
{
    QRectF rect = kernelRect(row, 0);
    rect.setWidth(stripWidth());
    return rect;
}

} // namespace bitwright
