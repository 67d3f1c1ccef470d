// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/mask_edit.h"

#include <QPointF>
#include <QRectF>
#include <QSizeF>

#include <cstdint>
#include <optional>

namespace bitwright {

/// Where the elements of a weight lie in its picture, in units of one element: x counts inputs and kernel columns, y
/// outputs and kernel rows. A matrix much higher than wide (depthwise layers, first layers) is cut into strips of rows
/// that stand side by side.
class MaskScene {
public:
    struct Place {
        std::int64_t row = 0, column = 0, y = 0, x = 0;   ///< y, x: in the kernel
        friend bool operator==(const Place &, const Place &) = default;
    };
    MaskScene() = default;
    /// Strips are chosen so that the picture fills an area of this shape (width over height) best.
    MaskScene(const WeightLayout &layout, double aspect);

    [[nodiscard]] const WeightLayout &layout() const { return m_layout; }
    [[nodiscard]] int strips() const { return m_strips; }
    [[nodiscard]] std::int64_t rowsPerStrip() const { return m_rowsPerStrip; }
    [[nodiscard]] std::int64_t rowsIn(int strip) const;
    /// One strip's left edge and width, in elements.
    [[nodiscard]] double stripLeft(int strip) const { return double(strip) * (stripWidth() + m_gap); }
    [[nodiscard]] double stripWidth() const { return double(m_layout.columns * m_layout.kernelWidth); }
    [[nodiscard]] QSizeF size() const;
    [[nodiscard]] std::int64_t indexOf(const Place &place) const;
    /// Nothing between strips and outside.
    [[nodiscard]] std::optional<Place> placeAt(QPointF position) const;
    /// The nearest element of a strip, for a rubber band that leaves it.
    [[nodiscard]] Place nearestIn(int strip, QPointF position) const;
    [[nodiscard]] int stripAt(double x) const;
    /// What a kernel (cell) covers.
    [[nodiscard]] QRectF kernelRect(std::int64_t row, std::int64_t column) const;
    [[nodiscard]] QRectF cellRect(const Place &place) const;
    /// A channel over all its inputs.
    [[nodiscard]] QRectF rowRect(std::int64_t row) const;

private:
    WeightLayout m_layout;
    int m_strips = 1;
    std::int64_t m_rowsPerStrip = 0;
    double m_gap = 0;
};

} // namespace bitwright
