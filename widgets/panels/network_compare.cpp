// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/network_compare.h"

#include "config/presets.h"
#include "models/compare_model.h"
#include "models/network_compare_model.h"
#include "panels/bit_toggles.h"
#include "util/format.h"
#include "util/method_box.h"
#include "util/table_text.h"
#include "util/theme.h"

#include <QComboBox>
#include <QGridLayout>
#include <QHeaderView>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QTableView>
#include <QToolButton>
#include <QTreeWidget>
#include <QVBoxLayout>
#include <QWidgetAction>

#include <algorithm>

namespace bitwright {

namespace {

constexpr int kSameBits = 0;

QuantPatch patchOf(const QuantSpec &spec)
{
    return {.method = spec.method, .bits = spec.bits, .options = spec.options, .values = {}};
}

QLabel *labelFor(const QString &text, QWidget *buddy)
{
    auto *label = new QLabel(text);
    label->setBuddy(buddy);
    return label;
}

} // namespace

void fillKeepBox(QComboBox *box)
{
    box->addItem(NetworkCompare::tr("same as the others"), int(LayerPolicy::Keep::Same));
    box->addItem(NetworkCompare::tr("8 bit"), int(LayerPolicy::Keep::EightBit));
    box->addItem(NetworkCompare::tr("float"), int(LayerPolicy::Keep::Float));
}

NetworkCompare::NetworkCompare(Document &document, EngineController &controller, QWidget *parent)
    : QWidget(parent), m_document(document), m_controller(controller), m_tree(new QTreeWidget), m_methods(makeMethodsButton()),
      m_bits(new BitToggles({2, 4})), m_activation(new QComboBox), m_activationBits(new QComboBox), m_firstLast(new QComboBox),
      m_shortcuts(new QComboBox), m_samples(new QSpinBox), m_epochs(new QSpinBox),
      m_start(new QPushButton(themedIcon(QStringLiteral("evaluate")), tr("Compare"))),
      m_cancel(new QPushButton(themedIcon(QStringLiteral("cancel")), tr("Cancel"))), m_take(new QPushButton(tr("Take"))), m_hint(new QLabel),
      m_table(new QTableView), m_model(new NetworkCompareModel(this)), m_sorted(new CompareSortModel(NetworkCompareModel::SortRole, this))
{
    setAccessibleName(tr("Compare on the whole network"));
    auto *form = new QGridLayout;
    setupForm(form);
    setupTable();
    fillMethods();
    auto *buttons = new QHBoxLayout;
    buttons->setSpacing(6);
    buttons->addWidget(m_start);
    buttons->addWidget(m_cancel);
    buttons->addStretch(1);
    buttons->addWidget(m_take);
    m_start->setToolTip(tr("Calibrate and evaluate each of these networks; a job that can be cancelled, what it has finished stays"));
    m_cancel->setToolTip(tr("Stop the comparison; finished rows stay"));
    m_take->setToolTip(tr("Make the marked assignment, and its trained weights, the present one (double click)"));
    m_hint->setWordWrap(true);
    m_hint->setForegroundRole(QPalette::PlaceholderText);
    m_hint->setAccessibleName(tr("What will be compared"));
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(6);
    layout->addLayout(form);
    layout->addLayout(buttons);
    layout->addWidget(m_hint);
    layout->addWidget(m_table, 1);

    connect(m_start, &QPushButton::clicked, this, &NetworkCompare::start);
    connect(m_cancel, &QPushButton::clicked, this, [this] { m_controller.cancel(m_job); });
    const auto takeCurrent = [this] {
        const QModelIndexList rows = m_table->selectionModel()->selectedRows();
        if (!rows.isEmpty())
            take(m_sorted->mapToSource(rows.first()).row());
    };
    connect(m_take, &QPushButton::clicked, this, takeCurrent);
    connect(m_table, &QTableView::doubleClicked, this, takeCurrent);
    connect(m_table->selectionModel(), &QItemSelectionModel::selectionChanged, this, &NetworkCompare::updateState);
    connect(m_bits, &BitToggles::changed, this, &NetworkCompare::updateState);
    for (QComboBox *box : {m_activation, m_activationBits, m_firstLast, m_shortcuts})
        connect(box, &QComboBox::currentIndexChanged, this, &NetworkCompare::updateState);
    for (QSpinBox *box : {m_samples, m_epochs})
        connect(box, &QSpinBox::valueChanged, this, &NetworkCompare::updateState);
    connect(&controller, &EngineController::dataOpened, this, &NetworkCompare::updateState);
    connect(&controller, &EngineController::networkCompared, this, [this](const NetworkCompared &event) {
        if (event.job != m_job)
            return;
        m_model->setResult(event);
        updateState();
    });
    connect(&controller, &EngineController::jobEnded, this, [this](quint64 job) {
        if (job == m_job)
            m_job = 0;
        updateState();
    });
    connect(&document, &Document::modelChanged, this, [this] {
        m_model->setRows({});
        m_job = 0;
        showPolicy();
        updateState();
    });
    showPolicy();
    updateState();
}

void NetworkCompare::setupForm(QGridLayout *form)
{
    m_methods->setAccessibleName(tr("Methods"));
    m_methods->setToolTip(tr("Which quantizers of the weights"));
    fillMethodBox(m_activation, m_document.catalog(), Role::Activation);
    m_activation->setAccessibleName(tr("Quantizer of the activations"));
    m_activation->setToolTip(tr("How the layers' inputs are quantized in every row"));
    m_activationBits->addItem(tr("as the weights"), kSameBits);
    for (int bits = 1; bits <= 8; ++bits)
        m_activationBits->addItem(counted(bits, tr("%1 bit"), tr("%1 bits")), bits);
    m_activationBits->setAccessibleName(tr("Bits of the activations"));
    m_activationBits->setToolTip(tr("A method that has not as few or as many takes its nearest"));
    for (QComboBox *box : {m_firstLast, m_shortcuts})
        fillKeepBox(box);
    m_firstLast->setAccessibleName(tr("First and last layer"));
    m_firstLast->setToolTip(tr("Most papers keep the first and the last layer out of low bits"));
    m_shortcuts->setAccessibleName(tr("Shortcuts"));
    m_shortcuts->setToolTip(tr("1×1 convolutions on the skip path of residual blocks"));
    m_samples->setRange(0, 10000000);
    m_samples->setSingleStep(500);
    m_samples->setSpecialValueText(tr("all"));
    m_samples->setAccessibleName(tr("Samples"));
    m_samples->setToolTip(tr("How many samples each network is evaluated on"));
    m_epochs->setRange(0, 1000);
    m_epochs->setSpecialValueText(tr("none"));
    m_epochs->setAccessibleName(tr("Epochs"));
    m_epochs->setToolTip(tr("Fine-tune each network that long, with the other options of the Training tab; none: only calibrate"));
    for (QWidget *box : std::initializer_list<QWidget *>{m_activation, m_activationBits, m_firstLast, m_shortcuts, m_samples, m_epochs})
        box->setMinimumWidth(70);
    for (QComboBox *box : {m_activation, m_activationBits, m_firstLast, m_shortcuts}) {
        box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        box->setMinimumContentsLength(9);
        box->view()->setAccessibleName(box->accessibleName());
    }
    form->setHorizontalSpacing(8);
    form->setVerticalSpacing(5);
    form->addWidget(labelFor(tr("Weights"), m_methods), 0, 0);
    form->addWidget(m_methods, 0, 1);
    form->addWidget(m_bits, 0, 2, 1, 2, Qt::AlignLeft);
    form->addWidget(labelFor(tr("Activations"), m_activation), 1, 0);
    form->addWidget(m_activation, 1, 1);
    form->addWidget(labelFor(tr("with"), m_activationBits), 1, 2);
    form->addWidget(m_activationBits, 1, 3);
    form->addWidget(labelFor(tr("First, last"), m_firstLast), 2, 0);
    form->addWidget(m_firstLast, 2, 1);
    form->addWidget(labelFor(tr("Shortcuts"), m_shortcuts), 2, 2);
    form->addWidget(m_shortcuts, 2, 3);
    form->addWidget(labelFor(tr("Samples"), m_samples), 3, 0);
    form->addWidget(m_samples, 3, 1);
    form->addWidget(labelFor(tr("Epochs"), m_epochs), 3, 2);
    form->addWidget(m_epochs, 3, 3);
    form->setColumnStretch(1, 1);
    form->setColumnStretch(3, 1);
}

QToolButton *NetworkCompare::makeMethodsButton()
{
    auto *button = new QToolButton;
    button->setPopupMode(QToolButton::InstantPopup);
    button->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    auto *menu = new QMenu(button);
    auto *action = new QWidgetAction(menu);
    m_tree->setHeaderHidden(true);
    m_tree->setRootIsDecorated(false);
    m_tree->setIndentation(14);
    m_tree->setFrameShape(QFrame::NoFrame);
    m_tree->setStyleSheet(QStringLiteral("QTreeView::item { height: %1px; } QTreeView::branch { image: none; border-image: none; }").arg(fontMetrics().height() + 4));
    m_tree->setSelectionMode(QAbstractItemView::NoSelection);
    m_tree->setAccessibleName(tr("Methods to compare"));
    action->setDefaultWidget(m_tree);
    menu->addAction(action);
    button->setMenu(menu);
    return button;
}

void NetworkCompare::fillMethods()
{
    m_tree->clear();
    int rows = 1;
    auto *all = new QTreeWidgetItem(m_tree, {tr("All methods")});
    all->setFlags(Qt::ItemIsEnabled | Qt::ItemIsUserCheckable | Qt::ItemIsAutoTristate);
    for (const MethodFamily &family : methodFamilies(m_document.catalog(), Role::Weight)) {
        auto *parent = new QTreeWidgetItem(all, {family.title});
        parent->setFlags(Qt::ItemIsEnabled | Qt::ItemIsUserCheckable | Qt::ItemIsAutoTristate);
        ++rows;
        for (const MethodTraits *method : family.methods) {
            auto *item = new QTreeWidgetItem(parent, {toQString(method->title)});
            item->setData(0, Qt::UserRole, toQString(method->id));
            item->setToolTip(0, methodTip(*method));
            item->setFlags(Qt::ItemIsEnabled | Qt::ItemIsUserCheckable);
            item->setCheckState(0, Qt::Checked);
            ++rows;
        }
    }
    m_tree->expandAll();
    m_tree->setFixedSize(260, std::min(440, rows * (fontMetrics().height() + 6) + 4));
    connect(m_tree, &QTreeWidget::itemChanged, this, &NetworkCompare::updateState);
}

QList<QTreeWidgetItem *> NetworkCompare::methodItems() const
{
    QList<QTreeWidgetItem *> items;
    const QTreeWidgetItem *all = m_tree->topLevelItem(0);
    for (int family = 0; family < all->childCount(); ++family)
        for (int i = 0; i < all->child(family)->childCount(); ++i)
            items << all->child(family)->child(i);
    return items;
}

void NetworkCompare::setMethods(const std::vector<std::string> &ids)
{
    {
        const QSignalBlocker blocker(m_tree);
        for (QTreeWidgetItem *item : methodItems()) {
            const bool on = std::ranges::find(ids, item->data(0, Qt::UserRole).toString().toStdString()) != ids.end();
            item->setCheckState(0, on ? Qt::Checked : Qt::Unchecked);
        }
    }
    updateState();
}

std::vector<std::string> NetworkCompare::methods() const
{
    std::vector<std::string> ids;
    for (const QTreeWidgetItem *item : methodItems())
        if (item->checkState(0) == Qt::Checked)
            ids.push_back(item->data(0, Qt::UserRole).toString().toStdString());
    return ids;
}

void NetworkCompare::setupTable()
{
    m_sorted->setSourceModel(m_model);
    m_table->setModel(m_sorted);
    m_table->setAccessibleName(tr("Methods on the whole network"));
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setSelectionMode(QAbstractItemView::SingleSelection);
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_table->setAlternatingRowColors(true);
    m_table->setShowGrid(false);
    m_table->setWordWrap(false);
    m_table->setTabKeyNavigation(false);
    m_table->setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    m_table->verticalHeader()->hide();
    m_table->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 8);
    QHeaderView *header = m_table->horizontalHeader();
    header->setHighlightSections(false);
    header->setMinimumSectionSize(28);
    const std::pair<NetworkCompareModel::Column, int> widths[] = {
        {NetworkCompareModel::Method, 17}, {NetworkCompareModel::WeightBits, 3}, {NetworkCompareModel::ActivationBits, 5},
        {NetworkCompareModel::Calibrated, 14}, {NetworkCompareModel::Trained, 14}, {NetworkCompareModel::Size, 8}, {NetworkCompareModel::Note, 20}};
    for (const auto &[column, characters] : widths)
        m_table->setColumnWidth(column, std::max(fontMetrics().averageCharWidth() * characters + 12, header->sectionSizeHint(column) + 12));
    header->setStretchLastSection(true);
    m_table->setSortingEnabled(true);
    m_table->sortByColumn(NetworkCompareModel::Calibrated, Qt::DescendingOrder);
    addCopyActions(m_table, QStringLiteral("network"));
}

void NetworkCompare::showPolicy()
{
    const LayerPolicy &policy = m_document.config().policy;
    m_firstLast->setCurrentIndex(m_firstLast->findData(int(policy.firstLast)));
    m_shortcuts->setCurrentIndex(m_shortcuts->findData(int(policy.shortcuts)));
}

std::vector<NetworkCompare::Choice> NetworkCompare::choices() const
{
    std::vector<Choice> found;
    const std::string activation = m_activation->currentData().toString().toStdString();
    const MethodTraits *inputs = m_document.catalog().quantizer(activation);
    for (const std::string &id : methods()) {
        for (const int bits : m_bits->bits()) {
            const auto weight = m_document.freshSpec(id, Role::Weight, bits);
            if (!weight)
                continue;
            Choice choice{*weight, {}};
            if (inputs) {
                const int wanted = m_activationBits->currentData().toInt() == kSameBits ? bits : m_activationBits->currentData().toInt();
                const auto input = m_document.freshSpec(activation, Role::Activation, std::clamp(wanted, inputs->minimumBits, inputs->maximumBits));
                if (!input)
                    continue;
                choice.activation = *input;
            }
            found.push_back(std::move(choice));
        }
    }
    return found;
}

CompareNetworksRequest NetworkCompare::request() const
{
    CompareNetworksRequest request;
    Preset assignment;
    assignment.policy = {LayerPolicy::Keep(m_firstLast->currentData().toInt()), LayerPolicy::Keep(m_shortcuts->currentData().toInt())};
    for (const Choice &choice : choices()) {
        const MethodTraits *method = m_document.catalog().quantizer(choice.weight.method);
        assignment.weight = patchOf(choice.weight);
        assignment.activation = choice.activation.isFloat() ? QuantPatch{} : patchOf(choice.activation);
        std::string title = method->title + ", W" + std::to_string(choice.weight.bits);
        if (!choice.activation.isFloat())
            title += " A" + std::to_string(choice.activation.bits);
        request.candidates.push_back({std::move(title), withPreset(m_document.config(), assignment)});
    }
    request.limit = m_samples->value();
    if (m_training)
        request.training = m_training();
    request.training.epochs = m_epochs->value();
    return request;
}

QString NetworkCompare::obstacle() const
{
    if (!m_document.model())
        return tr("Open a network first.");
    if (!m_controller.results().data)
        return tr("Open data first (File, Data…).");
    if (m_epochs->value() > 0 && m_controller.data().training.empty())
        return tr("Choose training data first (File, Data…), or no epochs.");
    if (choices().empty())
        return tr("None of the chosen methods has one of the chosen widths.");
    return {};
}

QString NetworkCompare::hintText() const
{
    return m_hint->text();
}

void NetworkCompare::start()
{
    if (!obstacle().isEmpty() || m_job)
        return;
    CompareNetworksRequest asked = request();
    std::vector<NetworkCompareModel::Row> rows;
    for (const auto &candidate : asked.candidates) {
        const LayerPatch &defaults = candidate.config.defaults;
        const MethodTraits *method = m_document.catalog().quantizer(defaults.weight.method.value_or(""));
        rows.push_back({method ? method->title : candidate.title, defaults.weight.bits.value_or(32), defaults.activation.bits.value_or(32)});
    }
    m_model->setRows(std::move(rows));
    m_table->sortByColumn(asked.training.epochs > 0 ? NetworkCompareModel::Trained : NetworkCompareModel::Calibrated, Qt::DescendingOrder);
    m_table->setColumnHidden(NetworkCompareModel::Trained, asked.training.epochs == 0);
    m_weights = m_document.state().weights;
    m_job = m_controller.compareNetworks(std::move(asked));
    updateState();
}

bool NetworkCompare::take(int row)
{
    if (row < 0 || row >= m_model->rowCount())
        return false;
    const NetworkCompared *best = m_model->row(row).best();
    if (!best)
        return false;
    const DocumentState state{best->config, best->trained ? best->weights : m_weights};
    m_document.setState(state, best->trained ? tr("Take %1 with its trained weights").arg(toQString(best->title))
                                             : tr("Take %1").arg(toQString(best->title)));
    return true;
}

void NetworkCompare::updateState()
{
    const auto chosen = methods();
    const MethodTraits *one = chosen.size() == 1 ? m_document.catalog().quantizer(chosen.front()) : nullptr;
    m_methods->setText(one ? toQString(one->title) : tr("%1 methods").arg(chosen.size()));
    m_activationBits->setEnabled(m_activation->currentData().toString() != QLatin1String(kFloatMethod));
    const QString why = obstacle();
    m_start->setEnabled(why.isEmpty() && m_job == 0);
    m_cancel->setEnabled(m_job != 0);
    const QModelIndexList rows = m_table->selectionModel()->selectedRows();
    m_take->setEnabled(!rows.isEmpty() && m_model->row(m_sorted->mapToSource(rows.first()).row()).best());
    if (m_job != 0) {
        int done = 0;
        for (int row = 0; row < m_model->rowCount(); ++row) {
            const auto &each = m_model->row(row);
            done += each.failed() || (m_table->isColumnHidden(NetworkCompareModel::Trained) ? each.calibrated.has_value() : each.trained.has_value());
        }
        m_hint->setText(tr("%1 of %2 networks measured.").arg(done).arg(m_model->rowCount()));
    } else {
        const int count = int(why.isEmpty() ? choices().size() : 0);
        m_hint->setText(why.isEmpty() ? counted(count, tr("%1 network will be measured."), tr("%1 networks will be measured.")) : why);
    }
}

} // namespace bitwright
