// SPDX-License-Identifier: GPL-3.0-or-later
#include "util/table_text.h"

#include <QAction>
#include <QClipboard>
#include <QFileDialog>
#include <QGuiApplication>
#include <QHeaderView>
#include <QSaveFile>
#include <QTableView>

#include <functional>

namespace bitwright {

namespace {

QList<int> visibleColumns(const QTableView &view)
{
    QList<int> columns;
    for (int visual = 0; visual < view.horizontalHeader()->count(); ++visual) {
        const int logical = view.horizontalHeader()->logicalIndex(visual);
        if (!view.isColumnHidden(logical))
            columns << logical;
    }
    return columns;
}

QString quoted(const QString &cell)
{
    static const QString special = QStringLiteral(",\"\n\r");
    const bool needed = std::any_of(cell.begin(), cell.end(), [](QChar c) { return special.contains(c); });
    return needed ? QStringLiteral("\"") + QString(cell).replace(QStringLiteral("\""), QStringLiteral("\"\"")) + QStringLiteral("\"")
                  : cell;
}

QString lines(const QTableView &view, const QList<int> &rows, const QString &separator,
              const std::function<QString(const QString &)> &cell)
{
    const QAbstractItemModel *model = view.model();
    const QList<int> columns = visibleColumns(view);
    QStringList parts;
    for (const int column : columns)
        parts << cell(model->headerData(column, Qt::Horizontal).toString());
    QStringList text{parts.join(separator)};
    for (const int row : rows) {
        parts.clear();
        for (const int column : columns)
            parts << cell(model->index(row, column).data().toString());
        text << parts.join(separator);
    }
    return text.join(QChar(u'\n')) + QChar(u'\n');
}

QList<int> allRows(const QTableView &view)
{
    QList<int> rows;
    for (int row = 0; row < view.model()->rowCount(); ++row)
        rows << row;
    return rows;
}

} // namespace

QString selectionAsText(const QTableView &view)
{
    QList<int> rows;
    if (view.selectionModel()) {
        for (const QModelIndex &index : view.selectionModel()->selectedRows())
            rows << index.row();
    }
    std::sort(rows.begin(), rows.end());
    return lines(view, rows.isEmpty() ? allRows(view) : rows, QStringLiteral("\t"), [](const QString &cell) { return cell; });
}

QString tableAsCsv(const QTableView &view)
{
    return lines(view, allRows(view), QStringLiteral(","), quoted);
}

void saveTableAsCsv(QTableView *view, const QString &suggestedName)
{
    auto *dialog = new QFileDialog(view, QTableView::tr("Save table"), suggestedName + QStringLiteral(".csv"),
                                   QTableView::tr("Comma-separated values (*.csv)"));
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setAcceptMode(QFileDialog::AcceptSave);
    dialog->setDefaultSuffix(QStringLiteral("csv"));
    QObject::connect(dialog, &QFileDialog::fileSelected, view, [view](const QString &path) {
        QSaveFile file(path);
        if (file.open(QIODevice::WriteOnly)) {
            file.write(tableAsCsv(*view).toUtf8());
            file.commit();
        }
    });
    dialog->open();
}

void addCopyActions(QTableView *view, const QString &suggestedName)
{
    auto *copy = new QAction(QTableView::tr("Copy rows"), view);
    copy->setShortcut(QKeySequence::Copy);
    copy->setShortcutContext(Qt::WidgetShortcut);
    QObject::connect(copy, &QAction::triggered, view, [view] { QGuiApplication::clipboard()->setText(selectionAsText(*view)); });
    auto *save = new QAction(QTableView::tr("Save table as CSV…"), view);
    QObject::connect(save, &QAction::triggered, view, [view, suggestedName] { saveTableAsCsv(view, suggestedName); });
    view->addActions({copy, save});
    if (view->contextMenuPolicy() == Qt::DefaultContextMenu)
        view->setContextMenuPolicy(Qt::ActionsContextMenu);
}

} // namespace bitwright
