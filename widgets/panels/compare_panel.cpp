// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/compare_panel.h"

#include "delegates/levels_delegate.h"
#include "models/compare_model.h"
#include "panels/bit_toggles.h"
#include "panels/method_pages.h"
#include "panels/network_compare.h"
#include "panels/segments.h"
#include "util/elided_label.h"
#include "util/format.h"
#include "util/table_text.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QStackedWidget>
#include <QTableView>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>
#include <set>

namespace bitwright {

namespace {

/// A burst of arrow keys through the table of layers is one request.
constexpr int kDebounceMs = 60;
constexpr std::size_t kStripBins = 48;
constexpr int kLayerPage = 0, kNetworkPage = 1;

QHBoxLayout *rowLayout(QWidget *row)
{
    auto *layout = new QHBoxLayout(row);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(6);
    return layout;
}

/// An activation's values come from calibration by themselves; a weight has some only where somebody set or learned them.
bool sameChoice(const QuantSpec &fresh, const QuantSpec &present, Role role)
{
    return fresh.method == present.method && fresh.bits == present.bits && fresh.options == present.options &&
           (role == Role::Activation || present.values.empty());
}

} // namespace

ComparePanel::ComparePanel(Document &document, EngineController &controller, QWidget *parent)
    : QWidget(parent), m_document(document), m_controller(controller), m_pages(new QStackedWidget),
      m_pageGroup(new QButtonGroup(this)), m_roles(new QButtonGroup(this)), m_bits(new BitToggles({1, 2, 4})), m_table(new QTableView),
      m_model(new CompareModel(document.catalog(), this)), m_sorted(new CompareSortModel(CompareModel::SortRole, this)),
      m_network(new NetworkCompare(document, controller))
{
    setAccessibleName(tr("Compare"));
    m_timer.setSingleShot(true);
    m_timer.setInterval(kDebounceMs);
    m_pages->addWidget(makeLayerPage());
    m_pages->addWidget(m_network);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(8, 6, 8, 6);
    layout->setSpacing(6);
    layout->addWidget(makeHeader());
    layout->addWidget(m_pages, 1);
    connectAll();
    refresh();
}

ComparePanel::~ComparePanel() = default;

QWidget *ComparePanel::makeHeader()
{
    auto *row = new QWidget;
    auto *layout = rowLayout(row);
    layout->addWidget(makeSegment(m_pageGroup, kLayerPage, tr("Selected layer"), tr("Error and size of each method on the selected layer")));
    layout->addWidget(makeSegment(m_pageGroup, kNetworkPage, tr("Whole network"), tr("Accuracy of the network with each method, after calibration and after training")));
    m_pageGroup->button(kLayerPage)->setChecked(true);
    layout->addStretch(1);
    m_progress = new QLabel;
    m_progress->setForegroundRole(QPalette::PlaceholderText);
    m_progress->setAccessibleName(tr("How far the comparison is"));
    layout->addWidget(m_progress);
    return row;
}

QWidget *ComparePanel::makeLayerPage()
{
    auto *page = new QWidget;
    m_title = new QLabel;
    QFont bold = m_title->font();
    bold.setBold(true);
    m_title->setFont(bold);
    m_title->setAccessibleName(tr("Layer"));
    m_shape = new ElidedLabel;
    m_shape->setForegroundRole(QPalette::PlaceholderText);
    m_shape->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_shape->setAccessibleName(tr("Shape"));
    auto *head = new QWidget;
    auto *headLayout = rowLayout(head);
    headLayout->addWidget(m_title);
    headLayout->addWidget(m_shape, 1);
    headLayout->addWidget(makeSegment(m_roles, int(Role::Weight), tr("Weights"), tr("Quantizers of the layer's weights")));
    headLayout->addWidget(makeSegment(m_roles, int(Role::Activation), tr("Activations"), tr("Quantizers of the layer's input, over the calibration data")));
    m_roles->button(int(m_role))->setChecked(true);

    m_apply = new QPushButton(tr("Apply"));
    m_apply->setToolTip(tr("Give the marked method to the selected layers (double click)"));
    m_help = makeHelpButton(tr("What the marked method is: formula, paper, options"));
    auto *tools = new QWidget;
    auto *toolsLayout = rowLayout(tools);
    auto *bits = new QLabel(tr("Bits"));
    toolsLayout->addWidget(bits);
    toolsLayout->addWidget(m_bits);
    toolsLayout->addStretch(1);
    toolsLayout->addWidget(m_apply);
    toolsLayout->addWidget(m_help);

    m_message = new QLabel;
    m_message->setAlignment(Qt::AlignCenter);
    m_message->setWordWrap(true);
    m_message->setForegroundRole(QPalette::PlaceholderText);
    m_message->setAccessibleName(tr("Why there is nothing to compare"));
    m_words = new QLabel;
    m_words->setWordWrap(true);
    m_words->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_words->setAccessibleName(tr("About the marked method"));
    m_words->setAlignment(Qt::AlignTop | Qt::AlignLeft);
    // Two lines always, so that the table does not jump from row to row.
    m_words->setMinimumHeight(2 * m_words->fontMetrics().lineSpacing() + 2);
    setupTable();
    auto *layout = new QVBoxLayout(page);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(6);
    layout->addWidget(head);
    layout->addWidget(tools);
    layout->addWidget(m_table, 1);
    layout->addWidget(m_message, 1);
    layout->addWidget(m_words);
    return page;
}

void ComparePanel::setupTable()
{
    m_sorted->setSourceModel(m_model);
    m_table->setModel(m_sorted);
    m_table->setAccessibleName(tr("Methods on this layer"));
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
    m_table->setItemDelegateForColumn(CompareModel::Method, new PresentDelegate(m_table));
    m_table->setItemDelegateForColumn(CompareModel::Levels, new LevelsDelegate(m_table));
    QHeaderView *header = m_table->horizontalHeader();
    header->setHighlightSections(false);
    header->setMinimumSectionSize(32);
    const std::pair<CompareModel::Column, int> widths[] = {
        {CompareModel::Method, 17}, {CompareModel::Bits, 4},    {CompareModel::Levels, 13}, {CompareModel::Sqnr, 8},
        {CompareModel::Mse, 9},     {CompareModel::Entropy, 7}, {CompareModel::Size, 8},    {CompareModel::Note, 24}};
    for (const auto &[column, characters] : widths)
        m_table->setColumnWidth(column, std::max(fontMetrics().averageCharWidth() * characters + 12, header->sectionSizeHint(column) + 12));
    header->setStretchLastSection(true);
    m_table->setSortingEnabled(true);
    m_table->sortByColumn(CompareModel::Sqnr, Qt::DescendingOrder);
    addCopyActions(m_table, QStringLiteral("methods"));
}

void ComparePanel::connectAll()
{
    connect(&m_timer, &QTimer::timeout, this, &ComparePanel::refresh);
    connect(&m_document, &Document::modelChanged, this, [this] { m_failure.clear(); refreshSoon(); });
    connect(&m_document, &Document::selectionChanged, this, [this] { m_failure.clear(); refreshSoon(); });
    connect(&m_document, &Document::changed, this, [this](const ChangeEvent &event) {
        if (event.touches(m_shown.layer) && !event.interactive)
            refreshSoon();
    });
    connect(&m_document, &Document::dragEnded, this, &ComparePanel::refreshSoon);
    connect(&m_controller, &EngineController::statisticsReady, this, [this](const StatisticsReady &event) {
        if (event.layer == m_document.currentLayer() && event.role == m_role) {
            m_failure.clear();
            refreshSoon();
        }
    });
    connect(&m_controller, &EngineController::dataOpened, this, [this] {
        // Inputs of other data are other inputs.
        if (m_role == Role::Activation)
            m_shown = {};
        refreshSoon();
    });
    connect(&m_controller, &EngineController::compareReady, this, [this](const CompareReady &event) {
        if (event.job != m_job || event.index >= m_asked.size())
            return;
        m_model->setResult(m_asked[event.index], event);
        showWords();
    });
    connect(&m_controller, &EngineController::jobEnded, this, [this](quint64 job, JobOutcome outcome, const Error &error) {
        if (job != m_job || job == 0)
            return;
        m_job = 0;
        if (outcome == JobOutcome::Failed)
            m_failure = toQString(error.message);
        showWords();
        if (!m_failure.isEmpty())
            showMessage(m_failure);
    });
    connect(m_pageGroup, &QButtonGroup::idClicked, this, [this](int page) {
        m_pages->setCurrentIndex(page);
        showWords();
        refreshSoon();
    });
    connect(m_roles, &QButtonGroup::idClicked, this, [this](int id) { setRole(Role(id)); });
    connect(m_bits, &BitToggles::changed, this, &ComparePanel::refresh);
    connect(m_table, &QTableView::doubleClicked, this, [this](const QModelIndex &index) { apply(m_sorted->mapToSource(index).row()); });
    connect(m_apply, &QPushButton::clicked, this, [this] { apply(currentRow()); });
    connect(m_help, &QToolButton::clicked, this, [this] {
        if (const int row = currentRow(); row >= 0)
            MethodPages::open(this, m_document.catalog(), toQString(m_model->row(row).spec.method));
    });
    connect(m_table->selectionModel(), &QItemSelectionModel::selectionChanged, this, &ComparePanel::showWords);
    connect(m_model, &QAbstractItemModel::modelReset, this, &ComparePanel::showWords);
}

void ComparePanel::setRole(Role role)
{
    m_roles->button(int(role))->setChecked(true);
    if (role == m_role)
        return;
    m_role = role;
    m_failure.clear();
    refresh();
}

void ComparePanel::setBits(const std::vector<int> &bits)
{
    m_bits->setBits(bits);
    refresh();
}

QString ComparePanel::wordsText() const
{
    return m_words->text();
}

void ComparePanel::showNetwork()
{
    m_pageGroup->button(kNetworkPage)->click();
}

ComparePanel::Context ComparePanel::context() const
{
    Context now;
    now.layer = m_document.currentLayer();
    now.role = m_role;
    now.foldBatchNorm = m_document.config().foldBatchNorm;
    now.weights = m_document.state().weights;
    if (m_role == Role::Weight)
        now.mask = m_document.mask(now.layer);
    return now;
}

LayerNames ComparePanel::editedLayers() const
{
    return m_document.selection().empty() ? LayerNames{m_shown.layer} : m_document.selection();
}

std::vector<QuantSpec> ComparePanel::wanted() const
{
    std::vector<QuantSpec> specs;
    for (const MethodTraits &method : m_document.catalog().methods()) {
        if (method.kind != MethodKind::Quantizer || !method.hasRole(m_role))
            continue;
        for (const int bits : m_bits->bits())
            if (const auto spec = m_document.freshSpec(method.id, m_role, bits))
                specs.push_back(*spec);
    }
    const QuantSpec *present = m_document.spec(m_document.currentLayer(), m_role);
    const auto same = [&](const QuantSpec &fresh) { return sameChoice(fresh, *present, m_role); };
    if (present && !present->isFloat() && std::ranges::none_of(specs, same))
        specs.insert(specs.begin(), *present);
    return specs;
}

QString ComparePanel::missingReason() const
{
    const std::string &name = m_document.currentLayer();
    const LayerInfo *info = m_document.layer(name);
    if (!m_document.model())
        return tr("Open a network to compare methods on its layers");
    if (!info)
        return tr("Select a layer to compare methods on it");
    if (info->status != LayerStatus::Quantizable)
        return tr("%1 cannot be quantized: %2").arg(toQString(name), toQString(info->reason));
    if (m_role == Role::Activation && info->weightOnly)
        return tr("Only the weight of %1 can be quantized: %2").arg(toQString(name), toQString(weightOnlyReason(*info)));
    if (m_role == Role::Activation && !m_controller.results().data)
        return tr("Open data to compare quantizers of this layer's input");
    if (m_role == Role::Activation && !m_controller.results().statisticsOf(name, m_role))
        return tr("The activations are being counted");
    return m_failure;
}

void ComparePanel::refreshSoon()
{
    if (isVisible())
        m_timer.start();
}

void ComparePanel::refresh()
{
    m_timer.stop();
    const LayerInfo *info = m_document.layer(m_document.currentLayer());
    m_title->setText(info ? toQString(info->name) : tr("No layer selected"));
    const QString shape = info ? toQString(info->op) + QStringLiteral("  ") + formatShape(info->weightShape) : QString();
    m_shape->setText(shape);
    m_shape->setToolTip(shape);
    const QString reason = missingReason();
    showMessage(reason);
    if (!reason.isEmpty()) {
        m_model->setSpecs({}, true);
        m_shown = {};
        m_job = m_controller.compare({}, m_role, {});
        return;
    }
    const Context now = context();
    const bool same = now == m_shown;
    m_model->setSpecs(wanted(), !same);
    m_shown = now;
    m_table->setColumnHidden(CompareModel::Size, m_role == Role::Activation);
    showAxis();
    markPresent();
    if (!isVisible() || m_pages->currentIndex() != kLayerPage)
        return;
    auto missing = m_model->missing();
    if (same && missing == m_asked && m_job != 0)
        return;   // on its way
    m_asked = std::move(missing);
    m_job = m_controller.compare(now.layer, m_role, m_asked);
    showWords();
}

void ComparePanel::showMessage(const QString &message)
{
    m_message->setText(message);
    m_message->setVisible(!message.isEmpty());
    m_table->setVisible(message.isEmpty());
    showWords();
}

void ComparePanel::showAxis()
{
    const StatisticsReady *known = m_controller.results().statisticsOf(m_shown.layer, m_role);
    if (!known || !(known->histogram.hi > known->histogram.lo)) {
        m_model->setAxis(0, 0, {});
        return;
    }
    const Histogram small = rebin(known->histogram, known->histogram.lo, known->histogram.hi, kStripBins);
    const double top = double(std::max<std::uint64_t>(1, *std::ranges::max_element(small.counts)));
    QList<double> heights;
    for (const std::uint64_t count : small.counts)
        heights << std::sqrt(double(count) / top);
    m_model->setAxis(small.lo, small.hi, heights);
}

void ComparePanel::markPresent()
{
    const QuantSpec *present = m_document.spec(m_shown.layer, m_role);
    int found = -1;
    for (int row = 0; present && !present->isFloat() && row < m_model->rowCount(); ++row) {
        const QuantSpec &spec = m_model->row(row).spec;
        if (spec == *present || sameChoice(spec, *present, m_role)) {
            found = row;
            break;
        }
    }
    m_model->setPresent(found);
}

int ComparePanel::currentRow() const
{
    const QModelIndexList rows = m_table->selectionModel()->selectedRows();
    return rows.isEmpty() ? -1 : m_sorted->mapToSource(rows.first()).row();
}

void ComparePanel::showWords()
{
    const int row = currentRow();
    const bool layerPage = m_pages->currentIndex() == kLayerPage;
    m_apply->setEnabled(row >= 0 && !m_model->row(row).refused());
    m_help->setEnabled(row >= 0);
    m_words->setText(row >= 0 ? m_model->words(row) : m_model->rowCount() > 0 ? tr("A double click gives a method to %1.").arg(editedLayers().size() == 1 ? toQString(editedLayers().front()) : tr("the %1 selected layers").arg(editedLayers().size())) : QString());
    const auto left = m_model->missing().size();
    m_progress->setText(layerPage && m_job != 0 && left > 0
                            ? tr("%1 of %2").arg(m_model->rowCount() - int(left)).arg(m_model->rowCount()) : QString());
}

bool ComparePanel::apply(int row)
{
    if (row < 0 || row >= m_model->rowCount() || m_model->row(row).refused())
        return false;
    const QuantSpec spec = m_model->row(row).spec;
    const MethodTraits *method = m_document.catalog().quantizer(spec.method);
    const LayerNames layers = editedLayers();
    m_document.setSpec(layers, m_role, spec,
                       counted(spec.bits, tr("%2 to %3, %1 bit"), tr("%2 to %3, %1 bits"))
                           .arg(siteText(layers, {m_role}), toQString(method ? method->title : spec.method)));
    return true;
}

void ComparePanel::showEvent(QShowEvent *event)
{
    QWidget::showEvent(event);
    refreshSoon();
}

void ComparePanel::hideEvent(QHideEvent *event)
{
    QWidget::hideEvent(event);
    m_timer.stop();
    m_job = m_controller.compare({}, m_role, {});   // nobody looks any more
    m_asked.clear();
}

} // namespace bitwright
