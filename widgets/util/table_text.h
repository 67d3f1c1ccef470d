// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

class QAbstractItemModel;
class QTableView;
class QWidget;

namespace bitwright {

/// The view's selected rows (all when none is selected) with its visible columns, as text between tabs, header first.
QString selectionAsText(const QTableView &view);
/// The same as CSV (RFC 4180), all rows in the order shown.
QString tableAsCsv(const QTableView &view);
/// Asks for a file name (not blocking) and writes the table there as CSV.
void saveTableAsCsv(QTableView *view, const QString &suggestedName);
/// Gives the view Ctrl+C and a context menu with copy and save, unless it has a menu of its own.
void addCopyActions(QTableView *view, const QString &suggestedName);

} // namespace bitwright
