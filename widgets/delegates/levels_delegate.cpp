// SPDX-License-Identifier: GPL-3.0-or-later
#include "delegates/levels_delegate.h"

#include "models/compare_model.h"
#include "plots/plot_colors.h"
#include "util/theme.h"

#include <QApplication>
#include <QPainter>
#include <QPainterPath>

#include <cmath>

namespace bitwright {

namespace {

/// Ticks closer than this are one band.
constexpr double kLeastGap = 2.5;

void fillStrip(QPainter *painter, const QRectF &area, const QList<double> &heights, const QColor &colour)
{
    if (heights.isEmpty())
        return;
    QPainterPath path(area.bottomLeft());
    const double step = area.width() / double(heights.size());
    for (qsizetype i = 0; i < heights.size(); ++i) {
        const double y = area.bottom() - heights[i] * area.height();
        path.lineTo(area.left() + double(i) * step, y);
        path.lineTo(area.left() + double(i + 1) * step, y);
    }
    path.lineTo(area.bottomRight());
    painter->fillPath(path, colour);
}

} // namespace

void LevelsDelegate::paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const
{
    QStyleOptionViewItem opt(option);
    initStyleOption(&opt, index);
    opt.text.clear();
    const QStyle *style = opt.widget ? opt.widget->style() : QApplication::style();
    style->drawControl(QStyle::CE_ItemViewItem, &opt, painter, opt.widget);
    const auto levels = index.data(CompareModel::LevelsRole).value<QList<double>>();
    const QRectF area = QRectF(opt.rect).adjusted(5, 3, -5, -3);
    const bool selected = opt.state & QStyle::State_Selected;
    const PlotColors colours = plotColors(opt.palette);
    const QColor text = opt.palette.color(QPalette::HighlightedText);
    painter->save();
    painter->setClipRect(opt.rect);
    fillStrip(painter, area, index.data(CompareModel::StripRole).value<QList<double>>(),
              selected ? withAlpha(text, 70) : withAlpha(signalColours(opt.palette).weight, 70));
    painter->setPen(QPen(selected ? withAlpha(text, 160) : colours.axis, 1));
    const double base = std::floor(area.bottom()) + 0.5;
    painter->drawLine(QPointF(area.left(), base), QPointF(area.right(), base));
    QColor ink = selected ? text : colours.level;
    if (levels.size() > 2 && (levels.back() - levels.front()) * area.width() / double(levels.size() - 1) < kLeastGap) {
        ink.setAlpha(90);
        const double from = area.left() + std::clamp(levels.front(), 0.0, 1.0) * area.width();
        const double to = area.left() + std::clamp(levels.back(), 0.0, 1.0) * area.width();
        painter->fillRect(QRectF(QPointF(from, area.top() + 2), QPointF(to, base)), ink);
    } else {
        painter->setPen(QPen(ink, levels.size() > 16 ? 1 : 1.5));
        for (const double level : levels) {
            // Beyond the values, so outside the axis: a short mark at its end says that there is more.
            const bool outside = level < -0.001 || level > 1.001;
            const double x = std::floor(area.left() + std::clamp(level, 0.0, 1.0) * area.width()) + 0.5;
            painter->drawLine(QPointF(x, outside ? base - area.height() * 0.3 : area.top() + 1), QPointF(x, base));
        }
    }
    painter->restore();
}

void PresentDelegate::paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const
{
    QStyledItemDelegate::paint(painter, option, index);
    if (index.data(CompareModel::PresentRole).toBool())
        painter->fillRect(QRect(option.rect.left(), option.rect.top(), 3, option.rect.height()), plotColors(option.palette).present);
}

} // namespace bitwright
