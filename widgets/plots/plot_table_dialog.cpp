// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/plot_table_dialog.h"

#include <QClipboard>
#include <QDialogButtonBox>
#include <QGuiApplication>
#include <QHeaderView>
#include <QLocale>
#include <QPushButton>
#include <QShortcut>
#include <QTableView>
#include <QVBoxLayout>

#include <set>

namespace bitwright {

PlotTableModel::PlotTableModel(PlotTable table, QObject *parent) : QAbstractTableModel(parent), m_table(std::move(table)) {}

int PlotTableModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_table.rows.size());
}

int PlotTableModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_table.header.size());
}

QVariant PlotTableModel::data(const QModelIndex &index, int role) const
{
    const auto &row = m_table.rows[std::size_t(index.row())];
    if (std::size_t(index.column()) >= row.size())
        return {};
    const QVariant &value = row[std::size_t(index.column())];
    if (role == Qt::DisplayRole)
        return value.typeId() == QMetaType::Double ? QLocale().toString(value.toDouble(), 'g', 6) : value.toString();
    if (role == Qt::EditRole)
        return value;
    if (role == Qt::TextAlignmentRole)
        return QVariant::fromValue(Qt::Alignment(value.typeId() == QMetaType::QString ? Qt::AlignLeft : Qt::AlignRight)
                                   | Qt::AlignVCenter);
    return {};
}

QVariant PlotTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (role != Qt::DisplayRole)
        return {};
    return orientation == Qt::Horizontal ? QVariant(m_table.header.value(section)) : QVariant(section + 1);
}

PlotTableDialog::PlotTableDialog(const QString &title, PlotTable table, QWidget *parent)
    : QDialog(parent), m_model(new PlotTableModel(std::move(table), this)), m_view(new QTableView(this))
{
    setWindowTitle(tr("%1 as a table").arg(title));
    m_view->setModel(m_model);
    m_view->setAccessibleName(windowTitle());
    m_view->setAlternatingRowColors(true);
    m_view->verticalHeader()->setDefaultSectionSize(m_view->fontMetrics().height() + 6);
    m_view->horizontalHeader()->setStretchLastSection(true);
    m_view->resizeColumnsToContents();
    auto *buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
    auto *copy = buttons->addButton(tr("&Copy"), QDialogButtonBox::ActionRole);
    copy->setToolTip(tr("Copies the selected rows, or all of them"));
    auto *layout = new QVBoxLayout(this);
    layout->addWidget(m_view);
    layout->addWidget(buttons);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::close);
    connect(copy, &QPushButton::clicked, this, &PlotTableDialog::copySelection);
    auto *shortcut = new QShortcut(QKeySequence::Copy, m_view);
    shortcut->setContext(Qt::WidgetShortcut);
    connect(shortcut, &QShortcut::activated, this, &PlotTableDialog::copySelection);
    resize(520, 420);
}

void PlotTableDialog::copySelection()
{
    std::set<int> rows;
    for (const QModelIndex &index : m_view->selectionModel()->selectedIndexes())
        rows.insert(index.row());
    PlotTable chosen{m_model->table().header, {}};
    for (const int row : rows)
        chosen.rows.push_back(m_model->table().rows[std::size_t(row)]);
    QGuiApplication::clipboard()->setText(csvText(rows.empty() ? m_model->table() : chosen));
}

} // namespace bitwright
