// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"
#include "session/engine_api.h"

#include <QAbstractTableModel>
#include <QSortFilterProxyModel>

#include <map>

namespace bitwright {

class EngineController;

/// One row per layer of the network: what it is, how it is quantized, what that costs. Bits and methods are set in
/// place; an edit of a selected row acts on all selected rows, as one undo step.
class LayerTableModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column {
        Name, Operator, WeightShape, Parameters, Macs, Distribution, WeightMethod, WeightBits, ActivationMethod,
        ActivationBits, WeightSqnr, AccuracyChange, Sensitivity, Kept, SizeNow, SizeBefore, ColumnCount
    };
    enum DataRole {
        SortRole = Qt::UserRole,
        LayerRole,      ///< the layer's name
        StripRole,      ///< QList<double>: heights 0 to 1 of the small distribution
        CurveRole,      ///< QList<QPointF>: the metric against sparsity, both 0 to 1
        MethodsRole,    ///< QStringList of ids that the cell may take
        DiffersRole,    ///< the cell's choice is not the pinned baseline's
        KeptRole,       ///< the policy keeps the cell's tensor out of low bits
    };

    /// Both must outlive the model.
    LayerTableModel(Document &document, EngineController &controller, QObject *parent = nullptr);
    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    Qt::ItemFlags flags(const QModelIndex &index) const override;
    bool setData(const QModelIndex &index, const QVariant &value, int role = Qt::EditRole) override;

    [[nodiscard]] int rowOf(const std::string &layer) const;
    [[nodiscard]] const LayerInfo *layerAt(int row) const;

private:
    void reset();
    void onChanged(const ChangeEvent &event);
    void touch(const std::string &layer, Column first, Column last);
    void touchAll(Column first, Column last);
    [[nodiscard]] QVariant display(const LayerInfo &info, Column column) const;
    [[nodiscard]] QVariant sortValue(const LayerInfo &info, Column column) const;
    [[nodiscard]] QString toolTip(const LayerInfo &info, Column column) const;
    [[nodiscard]] std::optional<double> sqnr(const LayerInfo &info) const;
    [[nodiscard]] double keptShare(const LayerInfo &info) const;
    [[nodiscard]] const SweepPoint *sweepPoint(const LayerInfo &info) const;
    /// Of the last pruning sensitivity, by sparsity.
    [[nodiscard]] std::vector<SensitivityPoint> sensitivityOf(const LayerInfo &info) const;
    [[nodiscard]] QList<QPointF> sensitivityCurve(const LayerInfo &info) const;
    [[nodiscard]] QString sensitivityTip(const LayerInfo &info) const;
    [[nodiscard]] std::optional<double> bearableSparsity(const LayerInfo &info) const;
    [[nodiscard]] QList<double> strip(const std::string &layer) const;
    [[nodiscard]] QStringList methods(Role role) const;
    [[nodiscard]] bool differs(const LayerInfo &info, Column column) const;
    [[nodiscard]] QString keptText(const LayerInfo &info, Role role) const;
    [[nodiscard]] QString fileText(const LayerInfo &info, Role role) const;

    Document &m_document;
    EngineController &m_controller;
    std::map<std::string, int> m_rows;
    mutable std::map<std::string, QList<double>> m_strips;
};

/// Sorts by the sort role and keeps rows whose name, operator or method holds the text.
class LayerFilterModel : public QSortFilterProxyModel {
    Q_OBJECT
public:
    explicit LayerFilterModel(QObject *parent = nullptr);
    void setFilterText(const QString &text);
    void setOnlyQuantizable(bool only);

protected:
    bool filterAcceptsRow(int row, const QModelIndex &parent) const override;
    bool lessThan(const QModelIndex &left, const QModelIndex &right) const override;

private:
    QString m_text;
    bool m_onlyQuantizable = false;
};

} // namespace bitwright
