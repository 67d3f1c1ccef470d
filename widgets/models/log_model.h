// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <QAbstractTableModel>
#include <QTime>

#include <deque>

namespace bitwright {

/// Messages in the order they came; the oldest fall off. A message may name the layer it is about.
class LogModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { Time, Level, Message, ColumnCount };
    enum Role { LayerRole = Qt::UserRole, LevelRole };

    using QAbstractTableModel::QAbstractTableModel;
    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

    void add(const LogMessage &message);
    void clear();

signals:
    void errorLogged(const QString &text);

private:
    struct Entry {
        QTime time;
        LogMessage message;
    };
    std::deque<Entry> m_entries;
};

} // namespace bitwright
