// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/layers_panel.h"

#include "bridge/engine_controller.h"
#include "delegates/layer_delegates.h"
#include "models/layer_table_model.h"
#include "util/format.h"
#include "util/policy_text.h"
#include "util/table_text.h"
#include "util/theme.h"

#include <QContextMenuEvent>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QScopedValueRollback>
#include <QTableView>
#include <QToolButton>

#include <algorithm>

namespace bitwright {

namespace {

/// Wide enough for usual content in the window's font; the user's own widths are kept afterwards.
constexpr std::pair<LayerTableModel::Column, int> kWidths[] = {
    {LayerTableModel::Name, 15},       {LayerTableModel::Operator, 9},        {LayerTableModel::WeightShape, 14},
    {LayerTableModel::Parameters, 7},  {LayerTableModel::Macs, 7},            {LayerTableModel::Distribution, 6},
    {LayerTableModel::WeightMethod, 9}, {LayerTableModel::WeightBits, 6},     {LayerTableModel::ActivationMethod, 9},
    {LayerTableModel::ActivationBits, 6}, {LayerTableModel::WeightSqnr, 8},  {LayerTableModel::AccuracyChange, 11},
    {LayerTableModel::Sensitivity, 11},
    {LayerTableModel::Kept, 6},             {LayerTableModel::SizeNow, 7},     {LayerTableModel::SizeBefore, 9}};

QToolButton *toggle(const QString &text, const QString &name, const QString &tip)
{
    auto *button = new QToolButton;
    button->setText(text);
    button->setCheckable(true);
    button->setAccessibleName(name);
    button->setToolTip(tip);
    return button;
}

} // namespace

LayersPanel::LayersPanel(Document &document, EngineController &controller, QWidget *parent)
    : QWidget(parent), m_document(document), m_model(new LayerTableModel(document, controller, this)),
      m_filtered(new LayerFilterModel(this)), m_table(new QTableView(this)), m_summary(new QLabel(this))
{
    setAccessibleName(tr("Layers"));
    m_filtered->setSourceModel(m_model);
    setupTable();
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(6, 6, 6, 4);
    layout->setSpacing(6);
    layout->addWidget(makeToolRow());
    layout->addWidget(m_table, 1);
    m_summary->setAccessibleName(tr("Number of layers"));
    m_summary->setEnabled(false);
    m_policy = new QToolButton;
    m_policy->setAccessibleName(tr("What is kept out of low bits"));
    m_policy->setPopupMode(QToolButton::InstantPopup);
    m_policy->setAutoRaise(true);
    auto *below = new QHBoxLayout;
    below->addWidget(m_summary);
    below->addStretch(1);
    below->addWidget(m_policy);
    layout->addLayout(below);

    connect(&document, &Document::changed, this, &LayersPanel::updatePolicy);
    connect(&document, &Document::modelChanged, this, &LayersPanel::updatePolicy);
    connect(m_table->selectionModel(), &QItemSelectionModel::selectionChanged, this, &LayersPanel::pushSelection);
    connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this, &LayersPanel::pushSelection);
    connect(&document, &Document::selectionChanged, this, &LayersPanel::pullSelection);
    connect(&document, &Document::modelChanged, this, &LayersPanel::updateSummary);
    connect(&document, &Document::editedRolesChanged, this, &LayersPanel::updateRoles);
    connect(m_filtered, &QAbstractItemModel::rowsInserted, this, &LayersPanel::updateSummary);
    connect(m_filtered, &QAbstractItemModel::rowsRemoved, this, &LayersPanel::updateSummary);
    // What a sweep finds is worth its column.
    connect(&controller, &EngineController::sweepStarted, this, [this] {
        m_table->setColumnHidden(LayerTableModel::AccuracyChange, false);
        fitName();
    });
    connect(&controller, &EngineController::sensitivityStarted, this, [this] {
        m_table->setColumnHidden(LayerTableModel::Sensitivity, false);
        fitName();
    });
    updateRoles();
    updateSummary();
    updatePolicy();
}

void LayersPanel::setPolicyMenus(QMenu *firstLast, QMenu *shortcuts)
{
    auto *menu = new QMenu(m_policy);
    menu->addMenu(firstLast);
    menu->addMenu(shortcuts);
    m_policy->setMenu(menu);
}

void LayersPanel::updatePolicy()
{
    const LayerPolicy &policy = m_document.config().policy;
    m_policy->setText(tr("Policy: %1").arg(policyText(policy)));
    m_policy->setToolTip(tr("What papers keep out of low bits: the first and the last layer, 1×1 convolutions on shortcuts. It acts on layers "
                            "whose method comes from the whole assignment; what is set on a layer by hand counts more."));
    m_policy->setEnabled(m_document.model() != nullptr);
}

QWidget *LayersPanel::makeToolRow()
{
    auto *row = new QWidget;
    auto *layout = new QHBoxLayout(row);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(4);

    m_filter = new QLineEdit;
    m_filter->setPlaceholderText(tr("Filter by name, operator or method"));
    m_filter->setAccessibleName(tr("Filter of the layers"));
    m_filter->setClearButtonEnabled(true);
    m_filter->addAction(themedIcon(QStringLiteral("filter")), QLineEdit::LeadingPosition);
    connect(m_filter, &QLineEdit::textChanged, m_filtered, &LayerFilterModel::setFilterText);
    layout->addWidget(m_filter, 1);

    m_weights = toggle(tr("W"), tr("Keys set weights"), tr("The keys 0 to 8, [ and ] set the bits of the weights (W)"));
    m_activations = toggle(tr("A"), tr("Keys set activations"), tr("The keys 0 to 8, [ and ] set the bits of the activations (A)"));
    connect(m_weights, &QToolButton::clicked, this, [this](bool on) { m_document.setEditsRole(Role::Weight, on); updateRoles(); });
    connect(m_activations, &QToolButton::clicked, this, [this](bool on) { m_document.setEditsRole(Role::Activation, on); updateRoles(); });
    layout->addWidget(m_weights);
    layout->addWidget(m_activations);

    auto *columns = new QToolButton;
    columns->setIcon(themedIcon(QStringLiteral("columns")));
    columns->setAccessibleName(tr("Columns"));
    columns->setToolTip(tr("Which columns the table shows"));
    columns->setPopupMode(QToolButton::InstantPopup);
    m_columns = new QMenu(columns);
    connect(m_columns, &QMenu::aboutToShow, this, &LayersPanel::showColumns);
    columns->setMenu(m_columns);
    layout->addWidget(columns);
    return row;
}

void LayersPanel::setupTable()
{
    m_table->setModel(m_filtered);
    m_table->setAccessibleName(tr("Table of layers"));
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setSelectionMode(QAbstractItemView::ExtendedSelection);
    m_table->setEditTriggers(QAbstractItemView::DoubleClicked | QAbstractItemView::EditKeyPressed);
    m_table->setAlternatingRowColors(true);
    m_table->setShowGrid(false);
    m_table->setWordWrap(false);
    m_table->setTextElideMode(Qt::ElideLeft);   // the end of a qualified name tells layers apart
    m_table->setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    m_table->verticalHeader()->hide();
    m_table->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 9);
    m_table->setTabKeyNavigation(false);
    for (const auto column : {LayerTableModel::WeightMethod, LayerTableModel::ActivationMethod})
        m_table->setItemDelegateForColumn(column, new MethodDelegate(m_table));
    for (const auto column : {LayerTableModel::WeightBits, LayerTableModel::ActivationBits})
        m_table->setItemDelegateForColumn(column, new BitsDelegate(m_table));
    m_table->setItemDelegateForColumn(LayerTableModel::Distribution, new StripDelegate(m_table));
    m_table->setItemDelegateForColumn(LayerTableModel::Sensitivity, new CurveDelegate(m_table));

    QHeaderView *header = m_table->horizontalHeader();
    header->setSectionsMovable(true);
    header->setHighlightSections(false);
    header->setMinimumSectionSize(36);
    for (const auto &[column, characters] : kWidths)
        // The header in bold, with its sort arrow, must fit as well.
        m_table->setColumnWidth(column, std::max(fontMetrics().averageCharWidth() * characters + 16,
                                                 header->sectionSizeHint(column) + 8));
    for (const auto column : {LayerTableModel::WeightShape, LayerTableModel::WeightMethod, LayerTableModel::ActivationMethod,
                              LayerTableModel::SizeBefore, LayerTableModel::AccuracyChange, LayerTableModel::Operator,
                              LayerTableModel::Parameters, LayerTableModel::Macs, LayerTableModel::Kept, LayerTableModel::Sensitivity})
        m_table->setColumnHidden(column, true);
    // What a person looks at while choosing bits comes first.
    const LayerTableModel::Column order[] = {
        LayerTableModel::Name, LayerTableModel::Distribution, LayerTableModel::WeightBits, LayerTableModel::ActivationBits,
        LayerTableModel::SizeNow, LayerTableModel::WeightSqnr};
    for (int visual = 0; visual < int(std::size(order)); ++visual)
        header->moveSection(header->visualIndex(order[visual]), visual);
    m_table->setSortingEnabled(true);
    m_table->sortByColumn(LayerTableModel::Name, Qt::AscendingOrder);
    m_table->setContextMenuPolicy(Qt::CustomContextMenu);
    connect(m_table, &QWidget::customContextMenuRequested, this, &LayersPanel::showContextMenu);
    header->setContextMenuPolicy(Qt::CustomContextMenu);
    connect(header, &QWidget::customContextMenuRequested, this, [this, header](const QPoint &where) {
        showColumns();
        m_columns->popup(header->mapToGlobal(where));
    });
    addCopyActions(m_table, QStringLiteral("layers"));
    m_table->viewport()->installEventFilter(this);
}

/// The name takes what the other columns leave.
void LayersPanel::fitName()
{
    int others = 0;
    for (int column = 0; column < LayerTableModel::ColumnCount; ++column)
        if (column != LayerTableModel::Name && !m_table->isColumnHidden(column))
            others += m_table->columnWidth(column);
    const int least = fontMetrics().averageCharWidth() * 15 + 16;
    m_table->setColumnWidth(LayerTableModel::Name, std::max(least, m_table->viewport()->width() - others));
}

bool LayersPanel::eventFilter(QObject *watched, QEvent *event)
{
    if (watched == m_table->viewport() && event->type() == QEvent::Resize)
        fitName();
    return QWidget::eventFilter(watched, event);
}

void LayersPanel::showColumns()
{
    m_columns->clear();
    for (int column = 1; column < LayerTableModel::ColumnCount; ++column) {
        QAction *action = m_columns->addAction(m_model->headerData(column, Qt::Horizontal).toString());
        action->setToolTip(m_model->headerData(column, Qt::Horizontal, Qt::ToolTipRole).toString());
        action->setCheckable(true);
        action->setChecked(!m_table->isColumnHidden(column));
        connect(action, &QAction::toggled, this, [this, column](bool on) {
            m_table->setColumnHidden(column, !on);
            fitName();
        });
    }
    m_columns->addSeparator();
    QAction *only = m_columns->addAction(tr("Hide layers that cannot be quantized"));
    only->setCheckable(true);
    only->setChecked(m_filtered->property("onlyQuantizable").toBool());
    connect(only, &QAction::toggled, this, [this](bool on) {
        m_filtered->setProperty("onlyQuantizable", on);
        m_filtered->setOnlyQuantizable(on);
    });
}

void LayersPanel::pushSelection()
{
    if (m_syncing)
        return;
    const QScopedValueRollback guard(m_syncing, true);
    LayerNames names;
    QModelIndexList rows = m_table->selectionModel()->selectedRows();
    std::ranges::sort(rows, {}, [](const QModelIndex &index) { return index.row(); });
    for (const QModelIndex &index : rows)
        names.push_back(index.data(LayerTableModel::LayerRole).toString().toStdString());
    const QModelIndex current = m_table->currentIndex();
    m_document.setSelection(names, current.data(LayerTableModel::LayerRole).toString().toStdString());
    updateSummary();
}

void LayersPanel::pullSelection()
{
    if (m_syncing)
        return;
    const QScopedValueRollback guard(m_syncing, true);
    QItemSelection selection;
    QModelIndex current;
    for (const std::string &name : m_document.selection()) {
        const QModelIndex index = m_filtered->mapFromSource(m_model->index(m_model->rowOf(name), 0));
        if (!index.isValid())
            continue;
        selection.select(index, index);
        if (name == m_document.currentLayer())
            current = index;
    }
    auto *selectionModel = m_table->selectionModel();
    if (current.isValid())
        selectionModel->setCurrentIndex(current, QItemSelectionModel::NoUpdate);
    selectionModel->select(selection, QItemSelectionModel::ClearAndSelect | QItemSelectionModel::Rows);
    if (current.isValid())
        m_table->scrollTo(current);
    updateSummary();
}

void LayersPanel::updateSummary()
{
    const int all = m_model->rowCount(), shown = m_filtered->rowCount();
    QString text = shown == all ? counted(all, tr("%1 layer"), tr("%1 layers")) : tr("%1 of %2 layers").arg(shown).arg(all);
    if (m_document.selection().size() > 1)
        text += tr(", %1 selected").arg(m_document.selection().size());
    m_summary->setText(text);
}

void LayersPanel::updateRoles()
{
    m_weights->setChecked(m_document.editsRole(Role::Weight));
    m_activations->setChecked(m_document.editsRole(Role::Activation));
}

void LayersPanel::showContextMenu(const QPoint &where)
{
    auto *menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    menu->addActions(m_contextActions);
    menu->addSeparator();
    menu->addActions(m_table->actions());
    menu->popup(m_table->viewport()->mapToGlobal(where));
}

QByteArray LayersPanel::saveState() const
{
    return m_table->horizontalHeader()->saveState();
}

void LayersPanel::restoreState(const QByteArray &state)
{
    if (!state.isEmpty())
        m_table->horizontalHeader()->restoreState(state);
}

} // namespace bitwright
