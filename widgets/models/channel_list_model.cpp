// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/channel_list_model.h"

#include "util/format.h"

#include <QFont>

#include <algorithm>
#include <cmath>

namespace bitwright {

ChannelListModel::ChannelListModel(QObject *parent) : QAbstractTableModel(parent)
{
}

void ChannelListModel::setChannels(std::vector<float> importance, const QString &title)
{
    beginResetModel();
    m_importance = std::move(importance);
    m_title = title;
    m_greatest = 0;
    for (const float value : m_importance)
        if (std::isfinite(value))
            m_greatest = std::max(m_greatest, value);
    m_kept.assign(m_importance.size(), 0);
    m_marked.assign(m_importance.size(), false);
    endResetModel();
}

void ChannelListModel::setKept(const std::vector<std::int64_t> &kept, std::int64_t perChannel)
{
    if (kept.size() != m_importance.size() || (m_kept == kept && m_perChannel == perChannel))
        return;
    m_kept = kept;
    m_perChannel = perChannel;
    if (!kept.empty())
        emit dataChanged(index(0, 0), index(rowCount() - 1, ColumnCount - 1));
}

void ChannelListModel::setMarked(const std::vector<std::int64_t> &channels)
{
    std::vector<bool> marked(m_importance.size(), false);
    for (const std::int64_t channel : channels)
        if (channel >= 0 && channel < std::int64_t(marked.size()))
            marked[std::size_t(channel)] = true;
    if (marked == m_marked)
        return;
    m_marked.swap(marked);
    emit dataChanged(index(0, 0), index(rowCount() - 1, ColumnCount - 1), {MarkedRole, Qt::FontRole});
}

int ChannelListModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_importance.size());
}

int ChannelListModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(ColumnCount);
}

QVariant ChannelListModel::data(const QModelIndex &index, int role) const
{
    if (!index.isValid())
        return {};
    const auto row = std::size_t(index.row());
    const double share = m_perChannel > 0 ? double(m_kept[row]) / double(m_perChannel) : 1;
    switch (role) {
    case Qt::DisplayRole:
        return index.column() == Channel ? QString::number(row)
               : index.column() == Importance ? formatReal(m_importance[row], 3) : formatShare(share, 0);
    case SortRole:
        return index.column() == Channel ? QVariant(qlonglong(row))
               : index.column() == Importance ? QVariant(double(m_importance[row])) : QVariant(share);
    case Qt::CheckStateRole: return index.column() == Channel ? QVariant(m_kept[row] > 0 ? Qt::Checked : Qt::Unchecked) : QVariant();
    case ShareRole: return m_greatest > 0 ? std::clamp(double(m_importance[row] / m_greatest), 0.0, 1.0) : 0.0;
    case MarkedRole: return bool(m_marked[row]);
    case Qt::FontRole: {
        QFont font;
        font.setBold(m_marked[row]);
        return m_marked[row] ? QVariant(font) : QVariant();
    }
    case Qt::TextAlignmentRole: return index.column() == Kept ? QVariant(int(Qt::AlignRight | Qt::AlignVCenter)) : QVariant();
    case Qt::ToolTipRole:
        return tr("channel %1: %2 %3, %L4 of %L5 weights kept%6").arg(row).arg(m_title, formatReal(m_importance[row]))
            .arg(m_kept[row]).arg(m_perChannel).arg(m_marked[row] ? tr("; goes with the channel under the pointer") : QString());
    case Qt::AccessibleTextRole:
        return index.column() == Channel ? tr("channel %1, %2").arg(row).arg(m_kept[row] > 0 ? tr("kept") : tr("removed")) : QVariant();
    default: return {};
    }
}

bool ChannelListModel::setData(const QModelIndex &index, const QVariant &value, int role)
{
    if (role != Qt::CheckStateRole || index.column() != Channel)
        return false;
    emit checked(index.row(), value.toInt() == Qt::Checked);
    return true;
}

QVariant ChannelListModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::ToolTipRole)
        return section == Channel ? tr("Output channel; ticked: at least a part of it is kept")
               : section == Importance ? tr("How much the channel matters: %1").arg(m_title) : tr("Share of its weights that is kept");
    if (role != Qt::DisplayRole)
        return {};
    return section == Channel ? tr("Out") : section == Importance ? m_title : tr("Kept");
}

Qt::ItemFlags ChannelListModel::flags(const QModelIndex &index) const
{
    Qt::ItemFlags flags = QAbstractTableModel::flags(index);
    if (!index.isValid())
        return flags;
    if (index.column() == Channel)
        flags |= Qt::ItemIsUserCheckable;
    return flags | Qt::ItemNeverHasChildren;
}

} // namespace bitwright
