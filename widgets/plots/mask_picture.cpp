// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/mask_picture.h"

#include "plots/plot_colors.h"
#include "plots/plot_table_dialog.h"
#include "util/format.h"

#include <QApplication>
#include <QClipboard>
#include <QContextMenuEvent>
#include <QFile>
#include <QFileDialog>
#include <QHelpEvent>
#include <QLocale>
#include <QMenu>
#include <QMouseEvent>
#include <QPainter>
#include <QSaveFile>
#include <QToolTip>

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

constexpr double kLeftMargin = 40, kMarkMargin = 11, kTopMargin = 18, kEdge = 4;
constexpr double kMostPixels = 56;      // of one element
constexpr double kMostStretch = 3;      // of the shorter side against the longer
constexpr double kKernelLines = 6, kCellLines = 9, kWideLines = 16;
constexpr double kLabelPitch = 30;
constexpr double kWheelStep = 1.25;
/// What is brighter than all but one in two hundred is as bright as can be.
constexpr double kTopShare = 0.005;

/// The magnitude that only `kTopShare` of the values exceed, at least something above zero.
float topOf(std::span<const float> values)
{
    const auto above = std::int64_t(kTopShare * double(values.size()));
    float top = leastCut(values, {}, std::int64_t(values.size()) - above).value;
    if (!(top > 0) || !std::isfinite(top)) {
        top = 0;
        for (const float value : values)
            if (std::isfinite(value))
                top = std::max(top, std::abs(value));
    }
    return top > 0 ? top : 1;
}

/// A round step of labels so that they do not touch.
std::int64_t labelStep(double pitch)
{
    std::int64_t step = 1;
    for (const int factor : {2, 2, 2, 2}) {
        if (double(step) * pitch >= kLabelPitch)
            return step;
        step *= factor;
    }
    while (double(step) * pitch < kLabelPitch)
        step *= 2;
    return step;
}

} // namespace

MaskPicture::MaskPicture(QWidget *parent) : QWidget(parent)
{
    setAccessibleName(tr("Weight and its mask"));
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setMinimumSize(180, 120);
    setAttribute(Qt::WA_OpaquePaintEvent);
    m_colours = maskColours(m_colouring, palette());
    describe();
}

MaskPicture::~MaskPicture() = default;

// ---- what is shown ----

void MaskPicture::setWeight(std::shared_ptr<const std::vector<float>> values, std::shared_ptr<const std::vector<float>> scores,
                            const WeightLayout &layout)
{
    const bool same = m_values && m_scene.layout() == layout;
    m_values = std::move(values);
    m_scores = std::move(scores);
    m_message.clear();
    if (!same) {
        m_kept.assign(std::size_t(layout.size()), 1);
        m_keptByRow = keptByRow(m_kept, layout);
        m_cursor.reset();
        m_lastClicked.reset();
        m_chosenRows.clear();
        m_markedRows.clear();
        m_scene = MaskScene(layout, 1);
        layOut(true);
    }
    m_weighed = false;
    invalidate();
    describe();
}

void MaskPicture::showMessage(const QString &message)
{
    m_values.reset();
    m_scores.reset();
    m_kept.clear();
    m_scene = {};
    m_cursor.reset();
    m_message = message;
    invalidate();
    describe();
}

void MaskPicture::setKept(std::vector<std::uint8_t> kept, std::vector<std::int64_t> byRow)
{
    m_kept = std::move(kept);
    m_keptByRow = std::move(byRow);
    invalidate();
    describe();
}

void MaskPicture::setColouring(MaskColouring colouring)
{
    m_colouring = colouring;
    m_colours = maskColours(colouring, palette());
    m_weighed = false;
    invalidate();
}

void MaskPicture::setUnit(MaskUnit unit)
{
    m_unit = unit;
    m_lastClicked.reset();
    update();
}

void MaskPicture::setChosenRows(std::vector<std::int64_t> rows)
{
    m_chosenRows = std::move(rows);
    update();
}

void MaskPicture::setMarkedRows(std::vector<std::int64_t> rows)
{
    if (m_markedRows == rows)
        return;
    m_markedRows = std::move(rows);
    update();
}

void MaskPicture::describe()
{
    if (!m_values) {
        setAccessibleDescription(m_message);
        return;
    }
    std::int64_t kept = 0;
    for (const std::int64_t count : m_keptByRow)
        kept += count;
    const auto emptied = std::ranges::count(m_keptByRow, 0);
    setAccessibleDescription(tr("%L1 output by %L2 input channels, %L3 of %L4 weights kept, %L5 channels without any")
                                 .arg(m_scene.layout().rows).arg(m_scene.layout().columns).arg(kept).arg(m_scene.layout().size()).arg(emptied));
}

// ---- geometry ----

QRectF MaskPicture::area() const
{
    return QRectF(rect()).adjusted(kLeftMargin, kTopMargin, -kEdge, -kEdge);
}

void MaskPicture::layOut(bool reset)
{
    const QRectF space = area();
    if (m_scene.layout().size() == 0 || space.width() < 10 || space.height() < 10)
        return;
    const QPointF middle = toScene(space.center());
    m_scene = MaskScene(m_scene.layout(), space.width() / space.height());
    const QSizeF size = m_scene.size();
    const double x = space.width() / size.width(), y = space.height() / size.height();
    m_fit = {std::min({x, y * kMostStretch, kMostPixels}), std::min({y, x * kMostStretch, kMostPixels})};
    if (reset || m_zoom <= 1) {
        m_zoom = 1;
        m_origin = {};
    } else {
        m_origin = {middle.x() - space.width() / 2 / scale().x(), middle.y() - space.height() / 2 / scale().y()};
    }
    clampOrigin();
    invalidate();
}

void MaskPicture::clampOrigin()
{
    const QSizeF size = m_scene.size();
    const QRectF space = area();
    const double freeX = size.width() - space.width() / scale().x(), freeY = size.height() - space.height() / scale().y();
    m_origin = {std::clamp(m_origin.x(), 0.0, std::max(0.0, freeX)), std::clamp(m_origin.y(), 0.0, std::max(0.0, freeY))};
}

QPointF MaskPicture::toScene(QPointF position) const
{
    const QPointF inside = position - area().topLeft();
    return {m_origin.x() + inside.x() / scale().x(), m_origin.y() + inside.y() / scale().y()};
}

QRectF MaskPicture::toPixels(const QRectF &rect) const
{
    const QPointF corner = area().topLeft();
    return {corner.x() + (rect.x() - m_origin.x()) * scale().x(), corner.y() + (rect.y() - m_origin.y()) * scale().y(),
            rect.width() * scale().x(), rect.height() * scale().y()};
}

QRectF MaskPicture::pixelRect(const MaskScene::Place &place) const
{
    return toPixels(m_scene.cellRect(place));
}

void MaskPicture::resetView()
{
    layOut(true);
}

void MaskPicture::zoomAt(QPointF position, double factor)
{
    if (!m_values)
        return;
    const QPointF before = toScene(position);
    const double most = std::max(1.0, kMostPixels / std::max(m_fit.x(), m_fit.y()));
    m_zoom = std::clamp(m_zoom * factor, 1.0, most);
    const QPointF inside = position - area().topLeft();
    m_origin = {before.x() - inside.x() / scale().x(), before.y() - inside.y() / scale().y()};
    clampOrigin();
    invalidate();
}

// ---- painting ----

void MaskPicture::invalidate()
{
    m_imageStale = true;
    update();
}

/// Strengths of all elements as bytes: what the raster averages over.
void MaskPicture::weigh()
{
    m_weighed = true;
    const bool scored = m_colouring == MaskColouring::Importance && m_scores && !m_scores->empty();
    const std::vector<float> &source = scored ? *m_scores : *m_values;
    const float top = topOf(source);
    std::vector<std::uint8_t> strength(source.size());
    const bool perRow = scored && std::int64_t(source.size()) != m_scene.layout().size();
    if (perRow) {
        // Channels differ little from each other: the colours go from the least to the greatest of them.
        const auto [least, greatest] = std::ranges::minmax(source);
        const float spread = greatest > least ? greatest - least : 1;
        for (std::size_t i = 0; i < source.size(); ++i)
            strength[i] = std::isfinite(source[i]) ? std::uint8_t(std::clamp(255 * (source[i] - least) / spread, 0.0F, 255.0F)) : 0;
    } else if (m_colouring == MaskColouring::Sign) {
        for (std::size_t i = 0; i < source.size(); ++i)
            strength[i] = std::uint8_t(std::clamp(128 + 127 * source[i] / top, 0.0F, 255.0F));
    } else {
        // The root gives the many small ones more of the colours.
        for (std::size_t i = 0; i < source.size(); ++i)
            strength[i] = std::uint8_t(std::min(255.0F, 255 * std::sqrt(std::min(1.0F, std::abs(source[i]) / top))));
    }
    m_raster.setStrength(std::move(strength), perRow);
}

void MaskPicture::render()
{
    m_imageStale = false;
    if (!m_weighed)
        weigh();
    const double ratio = devicePixelRatioF();
    const QSize size = (area().size() * ratio).toSize().expandedTo({1, 1});
    m_raster.setView(m_scene, size, m_origin, scale() * ratio);
    m_image = m_raster.draw(m_kept, m_colours, palette().color(QPalette::Window).rgb());
    m_image.setDevicePixelRatio(ratio);
}

void MaskPicture::paintEvent(QPaintEvent *)
{
    QPainter painter(this);
    painter.fillRect(rect(), palette().color(QPalette::Window));
    if (!m_values) {
        painter.setPen(palette().color(QPalette::PlaceholderText));
        painter.drawText(rect().adjusted(16, 8, -16, -8), int(Qt::AlignCenter) | int(Qt::TextWordWrap), m_message);
        return;
    }
    if (m_imageStale)
        render();
    painter.drawImage(area().topLeft(), m_image);
    painter.save();
    painter.setClipRect(area());
    paintLines(painter);
    paintRowMarks(painter);
    paintBand(painter);
    painter.restore();
    paintLabels(painter);
    if (hasFocus()) {
        painter.setPen(QPen(palette().color(QPalette::Highlight), 1));
        painter.drawRect(QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5));
    }
}

void MaskPicture::paintLines(QPainter &painter) const
{
    const WeightLayout &layout = m_scene.layout();
    const QPointF pixels = scale();
    const bool kernels = pixels.x() * double(layout.kernelWidth) >= kKernelLines && pixels.y() * double(layout.kernelHeight) >= kKernelLines;
    if (!kernels)
        return;
    const bool cells = pixels.x() >= kCellLines && pixels.y() >= kCellLines && layout.kernel() > 1;
    const QColor strong = palette().color(QPalette::Window), faint = withAlpha(strong, 90);
    const QRectF view = area();
    for (int strip = 0; strip < m_scene.strips(); ++strip) {
        const QRectF all = toPixels({m_scene.stripLeft(strip), 0, m_scene.stripWidth(), double(m_scene.rowsIn(strip) * layout.kernelHeight)});
        if (!all.intersects(view))
            continue;
        const auto draw = [&](double from, double to, double pitch, std::int64_t each, bool vertical) {
            const double low = vertical ? view.left() : view.top(), high = vertical ? view.right() : view.bottom();
            const auto first = std::max<std::int64_t>(1, std::int64_t((low - from) / pitch));
            for (std::int64_t i = first; from + double(i) * pitch < std::min(to - 0.5, high); ++i) {
                const bool border = i % each == 0;
                if (!border && !cells)
                    continue;
                const double at = std::floor(from + double(i) * pitch), wide = border && each > 1 && pitch >= kWideLines ? 3 : 1;
                painter.fillRect(vertical ? QRectF(at, all.top(), wide, all.height()) : QRectF(all.left(), at, all.width(), wide), border ? strong : faint);
            }
        };
        if (cells || layout.kernelWidth == 1) {
            draw(all.left(), all.right(), pixels.x(), layout.kernelWidth, true);
            draw(all.top(), all.bottom(), pixels.y(), layout.kernelHeight, false);
        } else {
            draw(all.left(), all.right(), pixels.x() * double(layout.kernelWidth), 1, true);
            draw(all.top(), all.bottom(), pixels.y() * double(layout.kernelHeight), 1, false);
        }
    }
}

void MaskPicture::paintRowMarks(QPainter &painter) const
{
    const PlotColors plot = plotColors(palette());
    painter.setBrush(Qt::NoBrush);
    const auto frame = [&](std::int64_t row, const QColor &colour, Qt::PenStyle style) {
        if (row < 0 || row >= m_scene.layout().rows)
            return;
        const QRectF rect = toPixels(m_scene.rowRect(row));
        if (!rect.intersects(area()))
            return;
        painter.setPen(QPen(colour, 2, style));
        painter.drawRect(rect.adjusted(0.5, 0.5, -0.5, -0.5));
    };
    for (const std::int64_t row : m_chosenRows)
        frame(row, palette().color(QPalette::Highlight), Qt::SolidLine);
    for (const std::int64_t row : m_markedRows)
        frame(row, plot.present, Qt::SolidLine);
    if (m_cursor && (m_unit != MaskUnit::Channel || m_markedRows.empty())) {
        painter.setPen(QPen(plot.handle, 1.5));
        painter.drawRect(toPixels(regionRect(regionOf(*m_cursor, *m_cursor))));
    }
}

void MaskPicture::paintBand(QPainter &painter) const
{
    if (!m_banding || !m_pressed || !m_bandTo)
        return;
    // Light and dark dashes over a tint that no element has: seen on any weight.
    const PlotColors plot = plotColors(palette());
    const QRectF band = toPixels(regionRect(regionOf(*m_pressed, *m_bandTo)));
    painter.fillRect(band, withAlpha(plot.present, 80));
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(plot.background, 2));
    painter.drawRect(band);
    painter.setPen(QPen(plot.handle, 2, Qt::DashLine));
    painter.drawRect(band);
}

void MaskPicture::paintLabels(QPainter &painter) const
{
    const WeightLayout &layout = m_scene.layout();
    const PlotColors plot = plotColors(palette());
    QFont small = font();
    small.setPointSizeF(std::max(7.0, small.pointSizeF() * 0.85));
    painter.setFont(small);
    const QRectF view = area();
    const double rowPitch = scale().y() * double(layout.kernelHeight), columnPitch = scale().x() * double(layout.kernelWidth);
    if (m_scene.strips() > 1) {
        for (int strip = 0; strip < m_scene.strips(); ++strip) {
            const QRectF rect = toPixels({m_scene.stripLeft(strip), 0, m_scene.stripWidth(), 1});
            const QString text = tr("from %1").arg(strip * m_scene.rowsPerStrip());
            painter.setPen(plot.mutedText);
            if (rect.left() >= view.left() - 1 && rect.left() < view.right())
                painter.drawText(QRectF(rect.left(), 0, 200, kTopMargin - 2), Qt::AlignLeft | Qt::AlignBottom,
                                 painter.fontMetrics().elidedText(text, Qt::ElideNone, int(rect.width())).left(rect.width() > 34 ? -1 : 0));
        }
    }
    const std::int64_t rowStep = labelStep(rowPitch), columnStep = labelStep(columnPitch * 0.8);
    for (std::int64_t row = 0; row < m_scene.rowsPerStrip(); ++row) {
        const QRectF rect = toPixels(m_scene.rowRect(row));
        if (rect.bottom() < view.top() || rect.top() > view.bottom())
            continue;
        const bool gone = m_scene.strips() == 1 && m_keptByRow[std::size_t(row)] == 0;
        const double middle = std::clamp(rect.center().y(), view.top(), view.bottom());
        if (gone) {   // a cross beside a channel of which nothing is left
            painter.setPen(QPen(plot.error, 1.6));
            const double half = std::clamp(rect.height() / 2 - 1, 0.8, 3.0);
            painter.drawLine(QPointF(kLeftMargin - 6 - half, middle - half), QPointF(kLeftMargin - 6 + half, middle + half));
            painter.drawLine(QPointF(kLeftMargin - 6 - half, middle + half), QPointF(kLeftMargin - 6 + half, middle - half));
        }
        if (row % rowStep == 0 && m_scene.strips() == 1) {
            painter.setPen(gone ? plot.error : plot.mutedText);
            painter.drawText(QRectF(0, middle - 9, kLeftMargin - kMarkMargin, 18), Qt::AlignRight | Qt::AlignVCenter, QString::number(row));
        }
    }
    if (m_scene.strips() > 1)
        return;
    painter.setPen(plot.mutedText);
    for (std::int64_t column = 0; column < layout.columns; column += columnStep) {
        const QRectF rect = toPixels(m_scene.kernelRect(0, column));
        if (rect.right() < view.left() || rect.left() > view.right())
            continue;
        const double left = std::max(rect.left(), view.left()), right = std::min(rect.right(), view.right());
        if (columnStep == 1 && right - left < kLabelPitch / 3)
            continue;   // hardly anything of the column is in sight
        const double middle = (left + right) / 2;
        painter.drawText(QRectF(middle - 20, 0, 40, kTopMargin - 2), Qt::AlignHCenter | Qt::AlignBottom, QString::number(column));
    }
}

// ---- regions ----

WeightRegion MaskPicture::regionOf(MaskScene::Place from, MaskScene::Place to) const
{
    const WeightLayout &layout = m_scene.layout();
    const auto [firstRow, lastRow] = std::minmax(from.row, to.row);
    const auto [firstColumn, lastColumn] = std::minmax(from.column, to.column);
    switch (m_unit) {
    case MaskUnit::Filter:
    case MaskUnit::Channel: return rowsRegion(layout, firstRow, lastRow);
    case MaskUnit::Column: return columnsRegion(layout, firstColumn, lastColumn);
    case MaskUnit::Kernel: return {firstRow, lastRow, firstColumn, lastColumn, 0, layout.kernelHeight - 1, 0, layout.kernelWidth - 1};
    case MaskUnit::Weight: break;
    }
    const auto y = [&](const MaskScene::Place &place) { return place.row * layout.kernelHeight + place.y; };
    const auto x = [&](const MaskScene::Place &place) { return place.column * layout.kernelWidth + place.x; };
    const auto [top, bottom] = std::minmax({y(from), y(to)});   // a list: the numbers are temporary
    const auto [left, right] = std::minmax({x(from), x(to)});
    return {firstRow, lastRow, firstColumn, lastColumn, top % layout.kernelHeight, bottom % layout.kernelHeight,
            left % layout.kernelWidth, right % layout.kernelWidth};
}

/// In one strip; regions over several strips (all rows of a column) are shown by their first.
QRectF MaskPicture::regionRect(const WeightRegion &region) const
{
    const MaskScene::Place first{region.firstRow, region.firstColumn, region.top, region.left};
    std::int64_t lastRow = region.lastRow, bottom = region.bottom;
    const std::int64_t strip = region.firstRow / std::max<std::int64_t>(1, m_scene.rowsPerStrip());
    if (lastRow / std::max<std::int64_t>(1, m_scene.rowsPerStrip()) != strip) {
        lastRow = (strip + 1) * m_scene.rowsPerStrip() - 1;
        bottom = m_scene.layout().kernelHeight - 1;
    }
    return m_scene.cellRect(first).united(m_scene.cellRect({lastRow, region.lastColumn, bottom, region.right}));
}

bool MaskPicture::isAllPruned(const WeightRegion &region) const
{
    std::vector<std::uint8_t> touched(m_kept.size(), 0);
    setRegion(touched, m_scene.layout(), region, true);
    for (std::size_t i = 0; i < touched.size(); ++i)
        if (touched[i] && m_kept[i])
            return false;
    return true;
}

void MaskPicture::turnOver(MaskScene::Place from, MaskScene::Place to, std::optional<bool> keep)
{
    const WeightRegion region = regionOf(from, to);
    m_lastKeep = keep ? *keep : isAllPruned(region);
    emit edited(region, m_lastKeep);
}

// ---- mouse and keys ----

void MaskPicture::setCursorPlace(std::optional<MaskScene::Place> place)
{
    const auto before = m_cursor ? m_cursor->row : -1;
    if (m_cursor == place)
        return;
    m_cursor = place;
    const auto now = m_cursor ? m_cursor->row : -1;
    if (before != now)
        emit rowHovered(now);
    update();
}

void MaskPicture::wheelEvent(QWheelEvent *event)
{
    const double steps = event->angleDelta().y() / 120.0;
    if (steps != 0)
        zoomAt(event->position(), std::pow(kWheelStep, steps));
    event->accept();
}

void MaskPicture::mousePressEvent(QMouseEvent *event)
{
    if (!m_values)
        return;
    const bool left = event->button() == Qt::LeftButton;
    if (event->button() == Qt::MiddleButton || (left && m_space)) {
        m_panning = true;
        m_panFrom = event->position();
        setCursor(Qt::ClosedHandCursor);
    } else if (left) {
        m_pressed = m_scene.placeAt(toScene(event->position()));
        m_pressedAt = event->position();
        m_banding = false;
    }
}

void MaskPicture::mouseMoveEvent(QMouseEvent *event)
{
    if (!m_values)
        return;
    if (m_panning) {
        const QPointF moved = event->position() - m_panFrom;
        m_panFrom = event->position();
        m_origin -= QPointF(moved.x() / scale().x(), moved.y() / scale().y());
        clampOrigin();
        invalidate();
        return;
    }
    if (m_pressed && event->buttons() & Qt::LeftButton) {
        if ((event->position() - m_pressedAt).manhattanLength() >= QApplication::startDragDistance())
            m_banding = true;
        const int strip = int(m_pressed->row / std::max<std::int64_t>(1, m_scene.rowsPerStrip()));
        m_bandTo = m_scene.nearestIn(strip, toScene(event->position()));
        update();
        return;
    }
    setCursorPlace(m_scene.placeAt(toScene(event->position())));
}

void MaskPicture::mouseReleaseEvent(QMouseEvent *event)
{
    if (m_panning) {
        m_panning = false;
        setCursor(m_space ? Qt::OpenHandCursor : Qt::ArrowCursor);
        return;
    }
    if (event->button() != Qt::LeftButton || !m_pressed)
        return;
    const MaskScene::Place from = *std::exchange(m_pressed, std::nullopt);
    m_clicked = false;
    if (std::exchange(m_banding, false) && m_bandTo) {
        // As the first one under the band goes, so go all.
        turnOver(from, *m_bandTo, isAllPruned(regionOf(from, from)));
        m_lastClicked.reset();
    } else if (event->modifiers() & Qt::ShiftModifier && m_lastClicked) {
        turnOver(*m_lastClicked, from, m_lastKeep);
        m_lastClicked = from;
    } else {
        turnOver(from, from, std::nullopt);
        m_lastClicked = from;
        m_clicked = true;
    }
    m_bandTo.reset();
    update();
}

void MaskPicture::mouseDoubleClickEvent(QMouseEvent *event)
{
    if (event->button() != Qt::LeftButton)
        return;
    if (std::exchange(m_clicked, false))
        emit clickTakenBack();
    resetView();
}

void MaskPicture::moveCursor(int key)
{
    const WeightLayout &layout = m_scene.layout();
    MaskScene::Place place = m_cursor.value_or(MaskScene::Place{});
    std::int64_t y = place.row * layout.kernelHeight + place.y, x = place.column * layout.kernelWidth + place.x;
    const std::int64_t stepY = m_unit == MaskUnit::Weight ? 1 : layout.kernelHeight, stepX = m_unit == MaskUnit::Weight ? 1 : layout.kernelWidth;
    if (m_cursor) {
        y += key == Qt::Key_Down ? stepY : key == Qt::Key_Up ? -stepY : 0;
        x += key == Qt::Key_Right ? stepX : key == Qt::Key_Left ? -stepX : 0;
    }
    y = std::clamp<std::int64_t>(y, 0, layout.rows * layout.kernelHeight - 1);
    x = std::clamp<std::int64_t>(x, 0, layout.columns * layout.kernelWidth - 1);
    setCursorPlace(MaskScene::Place{y / layout.kernelHeight, x / layout.kernelWidth, y % layout.kernelHeight, x % layout.kernelWidth});
    // What the keys are on has to be in sight.
    const QRectF cell = m_scene.cellRect(*m_cursor);
    const double wide = area().width() / scale().x(), high = area().height() / scale().y();
    m_origin.setX(std::clamp(m_origin.x(), cell.right() - wide, cell.left()));
    m_origin.setY(std::clamp(m_origin.y(), cell.bottom() - high, cell.top()));
    clampOrigin();
    invalidate();
}

void MaskPicture::keyPressEvent(QKeyEvent *event)
{
    if (!m_values) {
        QWidget::keyPressEvent(event);
        return;
    }
    switch (event->key()) {
    case Qt::Key_Space:
        m_space = true;
        setCursor(Qt::OpenHandCursor);
        break;
    case Qt::Key_Up:
    case Qt::Key_Down:
    case Qt::Key_Left:
    case Qt::Key_Right: moveCursor(event->key()); break;
    case Qt::Key_Plus:
    case Qt::Key_Equal: zoomAt(m_cursor ? pixelRect(*m_cursor).center() : area().center(), kWheelStep); break;
    case Qt::Key_Minus: zoomAt(m_cursor ? pixelRect(*m_cursor).center() : area().center(), 1 / kWheelStep); break;
    case Qt::Key_Home: resetView(); break;
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Delete:
        if (!m_cursor)
            break;
        if (event->modifiers() & Qt::ShiftModifier && m_lastClicked)
            turnOver(*m_lastClicked, *m_cursor, m_lastKeep);
        else
            turnOver(*m_cursor, *m_cursor, event->key() == Qt::Key_Delete ? std::optional(false) : std::nullopt);
        m_lastClicked = m_cursor;
        break;
    default: QWidget::keyPressEvent(event);
    }
}

void MaskPicture::keyReleaseEvent(QKeyEvent *event)
{
    if (event->key() == Qt::Key_Space && !event->isAutoRepeat()) {
        m_space = false;
        setCursor(Qt::ArrowCursor);
    }
    QWidget::keyReleaseEvent(event);
}

void MaskPicture::focusOutEvent(QFocusEvent *event)
{
    m_space = false;
    setCursor(Qt::ArrowCursor);
    QWidget::focusOutEvent(event);
}

void MaskPicture::leaveEvent(QEvent *event)
{
    setCursorPlace(std::nullopt);
    QWidget::leaveEvent(event);
}

bool MaskPicture::event(QEvent *event)
{
    // While the picture has the focus these keys are its own, not the window's shortcuts.
    if (event->type() == QEvent::ShortcutOverride) {
        const int key = static_cast<QKeyEvent *>(event)->key();
        if (m_values && (key == Qt::Key_Space || key == Qt::Key_Delete)) {
            event->accept();
            return true;
        }
    }
    if (event->type() == QEvent::ToolTip) {
        const auto *help = static_cast<QHelpEvent *>(event);
        QToolTip::showText(help->globalPos(), tipAt(help->pos()), this);
        return true;
    }
    return QWidget::event(event);
}

void MaskPicture::resizeEvent(QResizeEvent *event)
{
    QWidget::resizeEvent(event);
    layOut(false);
}

void MaskPicture::changeEvent(QEvent *event)
{
    if (event->type() == QEvent::PaletteChange) {
        m_colours = maskColours(m_colouring, palette());
        invalidate();
    }
    QWidget::changeEvent(event);
}

QString MaskPicture::tipAt(QPointF position) const
{
    const auto place = m_values ? m_scene.placeAt(toScene(position)) : std::nullopt;
    if (!place)
        return {};
    const auto index = std::size_t(m_scene.indexOf(*place));
    QString text = tr("output channel %1, input %2").arg(place->row).arg(place->column);
    if (m_scene.layout().kernel() > 1)
        text += tr(", kernel cell %1, %2").arg(place->y).arg(place->x);
    text += u'\n' + tr("value %1").arg(formatReal((*m_values)[index]));
    if (m_colouring == MaskColouring::Importance && m_scores && !m_scores->empty())
        text += tr(", importance %1").arg(formatReal((*m_scores)[m_scores->size() == m_values->size() ? index : std::size_t(place->row)]));
    return text + u'\n' + (m_kept[index] ? tr("kept") : tr("pruned"));
}

// ---- pictures and numbers ----

PlotTable MaskPicture::table() const
{
    PlotTable result{{tr("output channel"), tr("weights"), tr("kept"), tr("L1 norm")}, {}};
    if (!m_values)
        return result;
    const WeightLayout &layout = m_scene.layout();
    for (std::int64_t row = 0; row < layout.rows; ++row) {
        double norm = 0;
        for (std::int64_t column = 0; column < layout.columns; ++column)
            for (std::int64_t cell = 0; cell < layout.kernel(); ++cell)
                norm += std::abs((*m_values)[std::size_t(layout.index(row, column, cell))]);
        result.rows.push_back({qlonglong(row), qlonglong(layout.columns * layout.kernel()), qlonglong(m_keptByRow[std::size_t(row)]), norm});
    }
    return result;
}

void MaskPicture::contextMenuEvent(QContextMenuEvent *event)
{
    QMenu menu(this);
    menu.addAction(tr("Show &everything"), this, &MaskPicture::resetView);
    menu.addSeparator();
    menu.addAction(tr("&Copy picture"), this, [this] { QApplication::clipboard()->setPixmap(grab()); });
    menu.addAction(tr("&Save picture or data…"), this, &MaskPicture::save);
    menu.addAction(tr("Show as &table"), this, &MaskPicture::showTable);
    for (QAction *action : menu.actions())
        action->setEnabled(m_values != nullptr);
    menu.exec(event->globalPos());
}

void MaskPicture::save()
{
    auto *dialog = new QFileDialog(window(), tr("Save picture or data"), {}, tr("Picture (*.png);;Channels as CSV (*.csv)"));
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setAcceptMode(QFileDialog::AcceptSave);
    dialog->setDefaultSuffix(QStringLiteral("png"));
    connect(dialog, &QFileDialog::fileSelected, this, [this](const QString &file) {
        bool written = false;
        if (file.endsWith(QStringLiteral(".csv"), Qt::CaseInsensitive)) {
            QSaveFile out(file);
            written = out.open(QIODevice::WriteOnly) && out.write(csvText(table()).toUtf8()) >= 0 && out.commit();
        } else {
            written = grab().save(file);
        }
        if (!written)
            QToolTip::showText(mapToGlobal(QPoint(8, 8)), tr("%1 cannot be written; choose another file").arg(file), this);
    });
    dialog->open();
}

void MaskPicture::showTable()
{
    auto *dialog = new PlotTableDialog(accessibleName(), table(), this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
}

} // namespace bitwright
