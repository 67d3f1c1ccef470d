// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"

#include <QWidget>

class QLabel;
class QLineEdit;
class QMenu;
class QTableView;
class QToolButton;

namespace bitwright {

class EngineController;
class LayerFilterModel;
class LayerTableModel;

/// The table of layers with its filter; its selection is the document's.
class LayersPanel : public QWidget {
    Q_OBJECT
public:
    LayersPanel(Document &document, EngineController &controller, QWidget *parent = nullptr);

    [[nodiscard]] QTableView *table() const { return m_table; }
    [[nodiscard]] QLineEdit *filter() const { return m_filter; }
    /// Actions that the window also has, shown in the context menu above the table's own.
    void setContextActions(const QList<QAction *> &actions) { m_contextActions = actions; }
    /// Menus that set what is kept out of low bits, shown by the button beside the number of layers.
    void setPolicyMenus(QMenu *firstLast, QMenu *shortcuts);
    [[nodiscard]] QToolButton *policyButton() const { return m_policy; }
    [[nodiscard]] QByteArray saveState() const;
    void restoreState(const QByteArray &state);

protected:
    bool eventFilter(QObject *watched, QEvent *event) override;

private:
    void fitName();
    void setupTable();
    QWidget *makeToolRow();
    void showColumns();
    void pullSelection();
    void pushSelection();
    void updateSummary();
    void updateRoles();
    void updatePolicy();
    void showContextMenu(const QPoint &where);

    Document &m_document;
    LayerTableModel *m_model;
    LayerFilterModel *m_filtered;
    QTableView *m_table;
    QLineEdit *m_filter = nullptr;
    QToolButton *m_weights = nullptr, *m_activations = nullptr;
    QToolButton *m_policy = nullptr;
    QMenu *m_columns = nullptr;
    QLabel *m_summary;
    QList<QAction *> m_contextActions;
    bool m_syncing = false;
};

} // namespace bitwright
