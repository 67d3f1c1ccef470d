// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractTableModel>

#include <cstdint>
#include <vector>

namespace bitwright {

/// The output channels of one weight: number with a check box (kept or removed), importance, share of what is kept.
/// Shows what it is given; ticking asks by `checked`.
class ChannelListModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { Channel, Importance, Kept, ColumnCount };
    enum Roles { SortRole = Qt::UserRole + 1, ShareRole /**< importance against the greatest */, MarkedRole };

    explicit ChannelListModel(QObject *parent = nullptr);

    /// One importance per channel; `title` says what it is ("L1 norm"). Resets the model.
    void setChannels(std::vector<float> importance, const QString &title);
    /// Kept elements of each channel out of `perChannel`.
    void setKept(const std::vector<std::int64_t> &kept, std::int64_t perChannel);
    /// Channels that go with what the pointer is on.
    void setMarked(const std::vector<std::int64_t> &channels);

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    bool setData(const QModelIndex &index, const QVariant &value, int role = Qt::EditRole) override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    Qt::ItemFlags flags(const QModelIndex &index) const override;

signals:
    void checked(qint64 channel, bool keep);

private:
    std::vector<float> m_importance;
    std::vector<std::int64_t> m_kept;
    std::vector<bool> m_marked;
    std::int64_t m_perChannel = 0;
    float m_greatest = 0;
    QString m_title;
};

} // namespace bitwright
