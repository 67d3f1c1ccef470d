// SPDX-License-Identifier: GPL-3.0-or-later
#include "delegates/importance_delegate.h"

#include "models/channel_list_model.h"
#include "plots/plot_colors.h"

#include <QPainter>

namespace bitwright {

void ImportanceDelegate::paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const
{
    QStyledItemDelegate::paint(painter, option, index);
    const PlotColors colours = plotColors(option.palette);
    if (index.column() == ChannelListModel::Importance) {
        const QRectF cell = QRectF(option.rect).adjusted(2, 0, -2, -2);
        const double width = cell.width() * index.data(ChannelListModel::ShareRole).toDouble();
        painter->fillRect(QRectF(cell.left(), cell.bottom() - 4, cell.width(), 4), withAlpha(colours.axis, 70));
        painter->fillRect(QRectF(cell.left(), cell.bottom() - 4, width, 4),
                          option.state & QStyle::State_Selected ? option.palette.color(QPalette::HighlightedText) : colours.series(2));
    }
    if (index.column() == ChannelListModel::Channel && index.data(ChannelListModel::MarkedRole).toBool())
        painter->fillRect(QRect(option.rect.left(), option.rect.top(), 3, option.rect.height()), colours.present);
}

} // namespace bitwright
