// SPDX-License-Identifier: GPL-3.0-or-later
#include "window/keys_dialog.h"

#include <QAction>
#include <QDialogButtonBox>
#include <QHeaderView>
#include <QTableWidget>
#include <QVBoxLayout>

namespace bitwright {

KeysDialog::KeysDialog(const QList<QAction *> &actions, QWidget *parent) : QDialog(parent)
{
    setWindowTitle(tr("Keys"));
    setAccessibleName(tr("Keys"));
    setAttribute(Qt::WA_DeleteOnClose);
    auto *table = new QTableWidget(0, 3);
    table->setAccessibleName(tr("List of keys"));
    table->setHorizontalHeaderLabels({tr("Key"), tr("Action"), tr("What it does")});
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setShowGrid(false);
    table->setAlternatingRowColors(true);
    table->setTabKeyNavigation(false);
    table->verticalHeader()->hide();
    for (const QAction *action : actions) {
        if (action->shortcut().isEmpty())
            continue;
        const int row = table->rowCount();
        table->insertRow(row);
        table->setItem(row, 0, new QTableWidgetItem(action->shortcut().toString(QKeySequence::NativeText)));
        table->setItem(row, 1, new QTableWidgetItem(action->text().remove(QChar(u'&')).remove(QChar(u'…'))));
        table->setItem(row, 2, new QTableWidgetItem(action->statusTip()));
    }
    const std::pair<QString, QString> others[] = {
        {tr("F2, double click"), tr("Edit bits or method of a row in place")},
        {tr("Wheel, drag, double click"), tr("In a plot: zoom, move, show everything")},
    };
    for (const auto &[key, what] : others) {
        const int row = table->rowCount();
        table->insertRow(row);
        table->setItem(row, 0, new QTableWidgetItem(key));
        table->setItem(row, 2, new QTableWidgetItem(what));
    }
    table->resizeColumnsToContents();
    table->horizontalHeader()->setStretchLastSection(true);
    table->setWordWrap(true);
    table->resizeRowsToContents();
    auto *buttons = new QDialogButtonBox(QDialogButtonBox::Close);
    buttons->setAccessibleName(tr("Close"));
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto *layout = new QVBoxLayout(this);
    layout->addWidget(table);
    layout->addWidget(buttons);
    resize(820, 640);
}

} // namespace bitwright
