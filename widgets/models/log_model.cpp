// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/log_model.h"

#include "util/format.h"

#include <QGuiApplication>
#include <QPalette>

namespace bitwright {

namespace {

constexpr int kKept = 2000;

QString levelText(LogMessage::Level level)
{
    switch (level) {
    case LogMessage::Level::Info: return LogModel::tr("Info");
    case LogMessage::Level::Warning: return LogModel::tr("Warning");
    case LogMessage::Level::Error: return LogModel::tr("Error");
    }
    return {};
}

} // namespace

int LogModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_entries.size());
}

int LogModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(ColumnCount);
}

QVariant LogModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const Entry &entry = m_entries[std::size_t(index.row())];
    switch (role) {
    case Qt::DisplayRole:
        switch (index.column()) {
        case Time: return entry.time.toString(QStringLiteral("HH:mm:ss"));
        case Level: return levelText(entry.message.level);
        case Message: return toQString(entry.message.text);
        default: return {};
        }
    case Qt::ToolTipRole:
        if (!entry.message.layer.empty())
            return tr("%1\nDouble-click selects the layer %2.").arg(toQString(entry.message.text), toQString(entry.message.layer));
        return toQString(entry.message.text);
    case LayerRole: return toQString(entry.message.layer);
    case LevelRole: return int(entry.message.level);
    default: return {};
    }
}

QVariant LogModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole)
        return {};
    switch (section) {
    case Time: return tr("Time");
    case Level: return tr("Level");
    case Message: return tr("Message");
    default: return {};
    }
}

void LogModel::add(const LogMessage &message)
{
    if (rowCount() >= kKept) {
        beginRemoveRows({}, 0, 0);
        m_entries.pop_front();
        endRemoveRows();
    }
    beginInsertRows({}, rowCount(), rowCount());
    m_entries.push_back({QTime::currentTime(), message});
    endInsertRows();
    if (message.level == LogMessage::Level::Error)
        emit errorLogged(toQString(message.text));
}

void LogModel::clear()
{
    beginResetModel();
    m_entries.clear();
    endResetModel();
}

} // namespace bitwright
