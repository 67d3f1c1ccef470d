// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/mask_raster.h"

#include "plots/plot_colors.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

constexpr int kMostPerPixel = 4;    // along each axis
constexpr double kHatchFrom = 5;    // pixels of an element
constexpr int kHatchStep = 4;

QRgb mixed(QRgb a, QRgb b, double share)
{
    const auto part = [share](int x, int y) { return int(x + (y - x) * share + 0.5); };
    return qRgb(part(qRed(a), qRed(b)), part(qGreen(a), qGreen(b)), part(qBlue(a), qBlue(b)));
}

/// `share` of 256 parts of b.
QRgb blended(QRgb a, QRgb b, std::uint32_t share)
{
    const std::uint32_t redBlue = ((a & 0xff00ff) * (256 - share) + (b & 0xff00ff) * share) >> 8 & 0xff00ff;
    const std::uint32_t green = ((a & 0x00ff00) * (256 - share) + (b & 0x00ff00) * share) >> 8 & 0x00ff00;
    return 0xff000000 | redBlue | green;
}

void ramp(std::array<QRgb, 256> &table, std::size_t from, std::size_t to, QRgb first, QRgb last)
{
    for (std::size_t i = from; i <= to; ++i)
        table[i] = mixed(first, last, double(i - from) / double(std::max<std::size_t>(1, to - from)));
}

} // namespace

MaskColours maskColours(MaskColouring colouring, const QPalette &palette)
{
    const PlotColors plot = plotColors(palette);
    MaskColours colours;
    colours.pruned = plot.background.rgb();
    colours.hatch = mixed(plot.background.rgb(), plot.text.rgb(), plot.dark ? 0.26 : 0.24);
    const bool dark = plot.dark;
    if (colouring == MaskColouring::Magnitude) {
        ramp(colours.table, 0, 127, dark ? 0xff22405e : 0xffb5d2e8, dark ? 0xff3f86bd : 0xff3a86bf);
        ramp(colours.table, 127, 255, dark ? 0xff3f86bd : 0xff3a86bf, dark ? 0xffdcf0ff : 0xff06264a);
    } else if (colouring == MaskColouring::Importance) {
        ramp(colours.table, 0, 127, dark ? 0xff1f4a3e : 0xffb3dccb, dark ? 0xff279b78 : 0xff1f8a68);
        ramp(colours.table, 127, 255, dark ? 0xff279b78 : 0xff1f8a68, dark ? 0xffd9fbe9 : 0xff04352a);
    } else {
        const QRgb middle = dark ? 0xff3c4149 : 0xffd5d8dd;
        ramp(colours.table, 0, 127, dark ? 0xffffb35a : 0xff9a4300, middle);
        ramp(colours.table, 128, 255, middle, dark ? 0xff6cc4ff : 0xff005a94);
    }
    return colours;
}

void MaskRaster::setStrength(std::vector<std::uint8_t> strength, bool perRow)
{
    m_strength = std::move(strength);
    m_perRow = perRow;
    m_stale = true;
}

void MaskRaster::setView(const MaskScene &scene, QSize size, QPointF origin, QPointF scale)
{
    if (m_scene.layout() == scene.layout() && m_scene.strips() == scene.strips() && m_size == size && m_origin == origin && m_scale == scale)
        return;
    m_scene = scene;
    m_size = size;
    m_origin = origin;
    m_scale = scale;
    m_stale = true;
}

MaskRaster::Axis MaskRaster::columnsOf(int strip) const
{
    const WeightLayout &layout = m_scene.layout();
    const double left = (m_scene.stripLeft(strip) - m_origin.x()) * m_scale.x();
    const std::int64_t count = layout.columns * layout.kernelWidth;
    Axis axis;
    axis.first.assign(std::size_t(m_size.width()) + 1, 0);
    axis.begin = std::clamp(int(std::floor(left + 0.5)), 0, m_size.width());
    axis.end = std::clamp(int(std::floor(left + double(count) * m_scale.x() + 0.5)), axis.begin, m_size.width());
    for (int p = axis.begin; p < axis.end; ++p) {
        axis.first[std::size_t(p)] = std::int32_t(axis.offset.size());
        const auto from = std::clamp<std::int64_t>(std::int64_t((p - left) / m_scale.x()), 0, count - 1);
        const auto to = std::clamp<std::int64_t>(std::int64_t((p + 1 - left) / m_scale.x()), from + 1, std::max(from + 1, count));
        const std::int64_t step = std::max<std::int64_t>(1, (to - from + kMostPerPixel - 1) / kMostPerPixel);
        for (std::int64_t at = from; at < (m_scale.x() >= 1 ? from + 1 : to); at += step)
            axis.offset.push_back(at / layout.kernelWidth * layout.columnStride + at % layout.kernelWidth);
    }
    for (int p = axis.end; p <= m_size.width(); ++p)
        axis.first[std::size_t(p)] = std::int32_t(axis.offset.size());
    return axis;
}

MaskRaster::Axis MaskRaster::rowsOf(int strip) const
{
    const WeightLayout &layout = m_scene.layout();
    const double top = -m_origin.y() * m_scale.y();
    const std::int64_t count = m_scene.rowsIn(strip) * layout.kernelHeight;
    Axis axis;
    axis.first.assign(std::size_t(m_size.height()) + 1, 0);
    axis.begin = std::clamp(int(std::floor(top + 0.5)), 0, m_size.height());
    axis.end = std::clamp(int(std::floor(top + double(count) * m_scale.y() + 0.5)), axis.begin, m_size.height());
    for (int p = axis.begin; p < axis.end; ++p) {
        axis.first[std::size_t(p)] = std::int32_t(axis.offset.size());
        const auto from = std::clamp<std::int64_t>(std::int64_t((p - top) / m_scale.y()), 0, count - 1);
        const auto to = std::clamp<std::int64_t>(std::int64_t((p + 1 - top) / m_scale.y()), from + 1, std::max(from + 1, count));
        const std::int64_t step = std::max<std::int64_t>(1, (to - from + kMostPerPixel - 1) / kMostPerPixel);
        for (std::int64_t at = from; at < (m_scale.y() >= 1 ? from + 1 : to); at += step) {
            const std::int64_t row = strip * m_scene.rowsPerStrip() + at / layout.kernelHeight;
            axis.offset.push_back(row * layout.rowStride + at % layout.kernelHeight * layout.kernelWidth);
            axis.row.push_back(std::int32_t(row));
        }
    }
    for (int p = axis.end; p <= m_size.height(); ++p)
        axis.first[std::size_t(p)] = std::int32_t(axis.offset.size());
    return axis;
}

void MaskRaster::build()
{
    m_base.assign(std::size_t(m_size.width()) * std::size_t(m_size.height()), 0);
    m_strips.clear();
    for (int strip = 0; strip < m_scene.strips(); ++strip) {
        m_strips.push_back({columnsOf(strip), rowsOf(strip)});
        weighStrip(m_strips.back());
    }
    m_stale = false;
}

void MaskRaster::weighStrip(const Strip &strip)
{
    const Axis &x = strip.x, &y = strip.y;
    std::vector<std::uint32_t> sums(std::size_t(m_size.width()));
    for (int py = y.begin; py < y.end; ++py) {
        std::ranges::fill(sums, 0);
        const auto firstRow = std::size_t(y.first[std::size_t(py)]), lastRow = std::size_t(y.first[std::size_t(py) + 1]);
        for (std::size_t row = firstRow; row < lastRow; ++row) {
            for (int px = x.begin; px < x.end; ++px) {
                const auto from = std::size_t(x.first[std::size_t(px)]), to = std::size_t(x.first[std::size_t(px) + 1]);
                std::uint32_t &sum = sums[std::size_t(px)];
                if (m_perRow) {
                    sum += std::uint32_t(to - from) * m_strength[std::size_t(y.row[row])];
                    continue;
                }
                for (std::size_t at = from; at < to; ++at)
                    sum += m_strength[std::size_t(y.offset[row] + x.offset[at])];
            }
        }
        for (int px = x.begin; px < x.end; ++px) {
            const auto count = std::uint32_t(x.first[std::size_t(px) + 1] - x.first[std::size_t(px)]) * std::uint32_t(lastRow - firstRow);
            m_base[std::size_t(py) * std::size_t(m_size.width()) + std::size_t(px)] =
                std::uint8_t(sums[std::size_t(px)] / std::max<std::uint32_t>(1, count));
        }
    }
}

QImage MaskRaster::draw(std::span<const std::uint8_t> kept, const MaskColours &colours, QRgb outside)
{
    QImage image(m_size, QImage::Format_RGB32);
    image.fill(outside);
    if (kept.empty() || m_strength.empty())
        return image;
    if (m_stale)
        build();
    for (const Strip &strip : m_strips)
        drawStrip(image, strip, kept, colours);
    return image;
}

void MaskRaster::drawStrip(QImage &image, const Strip &strip, std::span<const std::uint8_t> kept, const MaskColours &colours)
{
    const Axis &x = strip.x, &y = strip.y;
    const bool single = m_scale.x() >= 1 && m_scale.y() >= 1;
    const bool hatched = m_scale.x() >= kHatchFrom && m_scale.y() >= kHatchFrom;
    std::vector<std::uint32_t> sums(std::size_t(m_size.width()));
    for (int py = y.begin; py < y.end; ++py) {
        auto *line = reinterpret_cast<QRgb *>(image.scanLine(py));
        const std::uint8_t *base = m_base.data() + std::size_t(py) * std::size_t(m_size.width());
        const auto firstRow = std::size_t(y.first[std::size_t(py)]), lastRow = std::size_t(y.first[std::size_t(py) + 1]);
        if (single) {
            const std::uint8_t *row = kept.data() + y.offset[firstRow];
            for (int px = x.begin; px < x.end; ++px) {
                const bool stays = row[x.offset[std::size_t(x.first[std::size_t(px)])]] != 0;
                line[px] = stays ? colours.table[base[px]] : hatched && (px + py) % kHatchStep == 0 ? colours.hatch : colours.pruned;
            }
            continue;
        }
        std::ranges::fill(sums, 0);
        for (std::size_t row = firstRow; row < lastRow; ++row) {
            const std::uint8_t *entries = kept.data() + y.offset[row];
            for (int px = x.begin; px < x.end; ++px) {
                const auto from = std::size_t(x.first[std::size_t(px)]), to = std::size_t(x.first[std::size_t(px) + 1]);
                std::uint32_t sum = 0;
                for (std::size_t at = from; at < to; ++at)
                    sum += entries[x.offset[at]];
                sums[std::size_t(px)] += sum;
            }
        }
        for (int px = x.begin; px < x.end; ++px) {
            const auto count = std::uint32_t(x.first[std::size_t(px) + 1] - x.first[std::size_t(px)]) * std::uint32_t(lastRow - firstRow);
            line[px] = blended(colours.pruned, colours.table[base[px]], sums[std::size_t(px)] * 256 / std::max<std::uint32_t>(1, count));
        }
    }
}

} // namespace bitwright
