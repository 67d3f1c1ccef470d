// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/mask_scene.h"

#include <QImage>
#include <QPalette>

#include <array>
#include <span>
#include <vector>

namespace bitwright {

/// What the colour of an element says.
enum class MaskColouring { Magnitude, Importance, Sign };

/// Colours by strength, 0 to 1 (sign: -1 to 1 over the table), and those of what is pruned. Made for either theme: more
/// weight is more ink. Blue and orange are told apart by the colour-blind, and pruned elements are hatched besides.
struct MaskColours {
    std::array<QRgb, 256> table{};
    QRgb pruned = 0, hatch = 0;
    friend bool operator==(const MaskColours &, const MaskColours &) = default;
};
[[nodiscard]] MaskColours maskColours(MaskColouring colouring, const QPalette &palette);

/// Draws a weight with its mask into an image. What an element is worth and where it lies is worked out once for a view;
/// a new mask only weighs the colours anew. Where several elements share a pixel it shows their mean and how many of
/// them are kept. Above sixteen a pixel it takes a regular sample of them: no eye can tell.
class MaskRaster {
public:
    /// Strength of one element, by storage index: 0 to 255. `perRow`: one entry per output channel.
    void setStrength(std::vector<std::uint8_t> strength, bool perRow);
    /// What pixels see: `size` in device pixels, `origin` the scene's place of the upper left one, `scale` pixels per
    /// element in x and y.
    void setView(const MaskScene &scene, QSize size, QPointF origin, QPointF scale);
    [[nodiscard]] QImage draw(std::span<const std::uint8_t> kept, const MaskColours &colours, QRgb outside);

private:
    /// The elements along an axis that fall on each pixel, in order; a pixel has those from first[p] to first[p + 1].
    struct Axis {
        std::vector<std::int32_t> first;
        std::vector<std::int64_t> offset;     ///< storage offset
        std::vector<std::int32_t> row;        ///< rows only: the output channel
        int begin = 0, end = 0;               ///< pixels that have elements
    };
    struct Strip { Axis x, y; };
    Axis columnsOf(int strip) const;
    Axis rowsOf(int strip) const;
    void build();
    void weighStrip(const Strip &strip);
    void drawStrip(QImage &image, const Strip &strip, std::span<const std::uint8_t> kept, const MaskColours &colours);

    MaskScene m_scene;
    QSize m_size;
    QPointF m_origin, m_scale{1, 1};
    std::vector<std::uint8_t> m_strength;
    bool m_perRow = false, m_stale = true;
    std::vector<Strip> m_strips;
    std::vector<std::uint8_t> m_base;   ///< mean strength by pixel
};

} // namespace bitwright
