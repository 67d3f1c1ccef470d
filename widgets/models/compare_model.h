// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <QAbstractTableModel>
#include <QSortFilterProxyModel>

#include <optional>
#include <vector>

namespace bitwright {

/// Methods and widths on one tensor, a row each: what was asked and, once it has come, what it costs. Filled from outside.
class CompareModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { Method, Bits, Levels, Sqnr, Mse, Entropy, Size, Note, ColumnCount };
    enum Roles {
        SortRole = Qt::UserRole,   ///< invalid where there is no number
        LevelsRole,                ///< QList<double>, shares of the axis from 0 to 1, of the first group
        StripRole,                 ///< QList<double>, the distribution behind them
        PresentRole,               ///< true in the row that the layer has now
        RefusedRole,
    };
    struct Row {
        QuantSpec spec;
        std::optional<CompareReady> result = {};
        [[nodiscard]] bool refused() const { return result && !result->error.empty(); }
    };

    /// `catalog` must outlive the model.
    explicit CompareModel(const Catalog &catalog, QObject *parent = nullptr);

    /// These rows; what is known of a spec stays unless `forget`.
    void setSpecs(const std::vector<QuantSpec> &specs, bool forget);
    /// Into the row with this spec; nothing happens where there is none.
    void setResult(const QuantSpec &spec, const CompareReady &result);
    /// The row that is marked; -1 for none.
    void setPresent(int row);
    [[nodiscard]] int present() const { return m_present; }
    /// The axis that levels are drawn on, and the distribution's heights (0 to 1) over it.
    void setAxis(double lower, double upper, const QList<double> &heights);
    [[nodiscard]] const Row &row(int row) const { return m_rows[std::size_t(row)]; }
    /// Specs whose answer has not come.
    [[nodiscard]] std::vector<QuantSpec> missing() const;
    /// What a row says in words: refusal, warning, or what the method is.
    [[nodiscard]] QString words(int row) const;

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    [[nodiscard]] QString display(const Row &row, Column column, bool present) const;
    [[nodiscard]] QVariant sortValue(const Row &row, Column column) const;
    [[nodiscard]] QString title(const QuantSpec &spec) const;
    [[nodiscard]] QList<double> levels(const Row &row) const;

    const Catalog &m_catalog;
    std::vector<Row> m_rows;
    int m_present = -1;
    double m_lower = 0, m_upper = 0;
    QList<double> m_strip;
};

/// By any column; rows without a number stay at the end whichever way the rest is sorted.
class CompareSortModel : public QSortFilterProxyModel {
    Q_OBJECT
public:
    explicit CompareSortModel(int sortRole, QObject *parent = nullptr);

protected:
    bool lessThan(const QModelIndex &left, const QModelIndex &right) const override;
};

} // namespace bitwright
