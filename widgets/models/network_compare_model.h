// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <QAbstractTableModel>

#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// Assignments of the whole network, a row each: accuracy after calibration and after training. Filled from outside.
class NetworkCompareModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { Method, WeightBits, ActivationBits, Calibrated, Trained, Size, Note, ColumnCount };
    enum Roles { SortRole = Qt::UserRole };
    struct Row {
        std::string title;
        int weightBits = 32, activationBits = 32;   ///< 32 is float
        std::optional<NetworkCompared> calibrated = {}, trained = {};
        [[nodiscard]] bool failed() const;
        /// What a person takes: the trained one where there is one. Null while nothing has come or it failed.
        [[nodiscard]] const NetworkCompared *best() const;
    };

    using QAbstractTableModel::QAbstractTableModel;
    void setRows(std::vector<Row> rows);
    void setResult(const NetworkCompared &result);
    [[nodiscard]] const Row &row(int row) const { return m_rows[std::size_t(row)]; }

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    std::vector<Row> m_rows;
};

} // namespace bitwright
