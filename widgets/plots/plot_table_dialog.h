// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/plot_data.h"

#include <QAbstractTableModel>
#include <QDialog>

class QTableView;

namespace bitwright {

/// A plot's table for item views; read-only.
class PlotTableModel : public QAbstractTableModel {
    Q_OBJECT
public:
    explicit PlotTableModel(PlotTable table, QObject *parent = nullptr);
    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    [[nodiscard]] const PlotTable &table() const { return m_table; }

private:
    PlotTable m_table;
};

/// The table behind a plot, beside the window and not in its way.
class PlotTableDialog : public QDialog {
    Q_OBJECT
public:
    PlotTableDialog(const QString &title, PlotTable table, QWidget *parent);
    [[nodiscard]] const PlotTableModel &model() const { return *m_model; }

private:
    void copySelection();
    PlotTableModel *m_model;
    QTableView *m_view;
};

} // namespace bitwright
