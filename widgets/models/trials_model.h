// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "trial/trial_record.h"

#include <QAbstractTableModel>

#include <vector>

namespace bitwright {

class EngineController;

/// The measured configurations as a table: the view behind the trade-off plot.
class TrialsModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { Number, Kind, Metric, Value, Low, High, Size, Bops, Data, Samples, Seconds, Created, ColumnCount };
    enum Role { SortRole = Qt::UserRole };

    /// Follows the controller's trials; it must outlive the model.
    explicit TrialsModel(EngineController &controller, QObject *parent = nullptr);
    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    [[nodiscard]] const TrialRecord &trial(int row) const { return m_trials[std::size_t(row)]; }

private:
    void reload();
    void add(const TrialRecord &trial);
    std::vector<TrialRecord> m_trials;
    EngineController &m_controller;
};

} // namespace bitwright
