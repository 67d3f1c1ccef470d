// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/mask_panel.h"

#include "cost/size_model.h"
#include "delegates/importance_delegate.h"
#include "models/channel_list_model.h"
#include "panels/real_edit.h"
#include "plots/mask_picture.h"
#include "plots/threshold_plot.h"
#include "util/elided_label.h"
#include "util/format.h"
#include "util/theme.h"

#include <QAbstractItemView>
#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QKeyEvent>
#include <QLabel>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QTableView>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>
#include <set>

namespace bitwright {

namespace {

const QString kSign = QStringLiteral("/sign");

QHBoxLayout *rowLayout(QWidget *row)
{
    auto *layout = new QHBoxLayout(row);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(6);
    return layout;
}

double populationStd(std::span<const float> values)
{
    double sum = 0, squares = 0;
    for (const float value : values) {
        sum += value;
        squares += double(value) * value;
    }
    const double n = double(std::max<std::size_t>(1, values.size())), mean = sum / n;
    return std::sqrt(std::max(0.0, squares / n - mean * mean));
}

/// One number per output channel: the scores themselves, or their sum over the channel.
std::vector<float> perChannel(std::span<const float> scores, const WeightLayout &layout)
{
    if (std::int64_t(scores.size()) == layout.rows && layout.size() != layout.rows)
        return {scores.begin(), scores.end()};
    std::vector<float> sums(std::size_t(layout.rows), 0);
    for (std::int64_t row = 0; row < layout.rows; ++row) {
        double sum = 0;
        for (std::int64_t column = 0; column < layout.columns; ++column)
            for (std::int64_t cell = 0; cell < layout.kernel(); ++cell)
                sum += std::abs(scores[std::size_t(layout.index(row, column, cell))]);
        sums[std::size_t(row)] = float(sum);
    }
    return sums;
}

QString channelsText(const std::vector<std::int64_t> &channels)
{
    return channels.size() == 1 ? MaskPanel::tr("channel %1").arg(channels.front())
                                : counted(qint64(channels.size()), MaskPanel::tr("%1 channel"), MaskPanel::tr("%1 channels"));
}

/// "Channel 5 goes with channel 5 of layer1.0.conv2 and 2 more; 3 layers read it"
QString unitText(const ChannelUnit &unit)
{
    const ChannelUnit::Member &own = unit.outputs.front();
    QString text = channelsText(own.channels);
    text[0] = text[0].toUpper();
    if (!unit.removable())
        return MaskPanel::tr("%1 cannot be removed: %2").arg(text, toQString(unit.refusal));
    if (!unit.known)
        return MaskPanel::tr("%1: nothing is known to go with it").arg(text);
    if (unit.outputs.size() > 1) {
        const ChannelUnit::Member &other = unit.outputs[1];
        text = MaskPanel::tr("%1 goes with %2 of %3").arg(text, channelsText(other.channels), toQString(other.layer));
        if (unit.outputs.size() > 2)
            text += MaskPanel::tr(" and %1 more").arg(unit.outputs.size() - 2);
    } else {
        text = MaskPanel::tr("%1 goes alone").arg(text);
    }
    return text + counted(qint64(unit.readers.size()), MaskPanel::tr("; %1 layer reads it"), MaskPanel::tr("; %1 layers read it"));
}

QString unitTip(const ChannelUnit &unit)
{
    QStringList lines;
    for (const auto &member : unit.outputs)
        lines << MaskPanel::tr("%1 of %2").arg(channelsText(member.channels), toQString(member.layer));
    for (const std::string &reader : unit.readers)
        lines << MaskPanel::tr("read by %1").arg(toQString(reader));
    return lines.join(u'\n');
}

} // namespace

MaskPanel::MaskPanel(Document &document, EngineController &controller, QWidget *parent)
    : QWidget(parent), m_document(document), m_controller(controller)
{
    setAccessibleName(tr("Masks"));
    m_picture = new MaskPicture;
    m_plot = new ThresholdPlot;
    auto *upper = new QSplitter(Qt::Horizontal);
    upper->addWidget(m_picture);
    upper->addWidget(makeChannels());
    upper->setStretchFactor(0, 1);
    upper->setStretchFactor(1, 0);
    upper->setSizes({460, 216});
    auto *splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(upper);
    splitter->addWidget(m_plot);
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 0);
    splitter->setSizes({420, 92});
    for (QSplitter *each : {upper, splitter})
        each->setChildrenCollapsible(false);

    m_keptLabel = new ElidedLabel;
    m_keptLabel->setAccessibleName(tr("What is kept"));
    m_sizes = new QLabel;
    m_sizes->setAccessibleName(tr("Size by way of storing"));
    m_sizes->setToolTip(tr("This weight's codes as a plain array; as kept codes with one bit per weight that says where; with the "
                           "distance to the next one; and as compressed rows. The smallest counts in the size."));
    m_note = new QLabel;
    m_note->setAccessibleName(tr("What goes with it"));
    for (QLabel *label : {m_keptLabel, m_sizes, m_note})
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_sizes->setTextFormat(Qt::RichText);
    m_note->setTextFormat(Qt::PlainText);
    m_note->setWordWrap(true);
    m_note->setAlignment(Qt::AlignTop | Qt::AlignLeft);
    // What they say changes with every edit and with the pointer; none of it may move the picture.
    m_note->setFixedHeight(2 * m_note->fontMetrics().lineSpacing() + 2);
    for (QLabel *label : {m_keptLabel, m_sizes}) {
        label->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
        label->setFixedHeight(label->fontMetrics().lineSpacing() + 2);
    }

    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(8, 6, 8, 6);
    layout->setSpacing(5);
    layout->addWidget(makeHeader());
    layout->addWidget(splitter, 1);
    layout->addWidget(makeThresholdRow());
    layout->addWidget(m_keptLabel);
    layout->addWidget(m_sizes);
    layout->addWidget(m_note);
    layout->addWidget(makeButtons());
    connectAll();
    showLayer();
}

MaskPanel::~MaskPanel() = default;

QWidget *MaskPanel::makeHeader()
{
    auto *header = new QWidget;
    auto *layout = rowLayout(header);
    m_title = new QLabel;
    QFont bold = m_title->font();
    bold.setBold(true);
    m_title->setFont(bold);
    m_title->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_title->setAccessibleName(tr("Layer"));
    m_shape = new ElidedLabel;
    m_shape->setForegroundRole(QPalette::PlaceholderText);
    m_shape->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_shape->setAccessibleName(tr("Shape"));

    m_colour = new QComboBox;
    m_colour->setAccessibleName(tr("Colour"));
    m_colour->setToolTip(tr("What the colours of the picture and the bars of the channels say"));
    m_colour->addItem(tr("Magnitude"), QString());
    m_colour->addItem(tr("Sign"), kSign);
    for (const MethodTraits &method : m_document.catalog().methods())
        if (method.kind == MethodKind::Pruner && !method.needsData)
            m_colour->addItem(tr("Importance: %1").arg(toQString(method.title)), toQString(method.id));
    m_unit = new QComboBox;
    m_unit->setAccessibleName(tr("What a click acts on"));
    m_unit->setToolTip(tr("What a click or a rubber band in the picture keeps or removes"));
    const std::tuple<QString, MaskUnit, QString> units[] = {
        {tr("Channels"), MaskUnit::Channel, tr("Output channels, with everything in other layers that goes with them")},
        {tr("Filters"), MaskUnit::Filter, tr("Output channels of this layer alone")},
        {tr("Inputs"), MaskUnit::Column, tr("Input channels of this layer alone")},
        {tr("Kernels"), MaskUnit::Kernel, tr("One input of one output channel")},
        {tr("Weights"), MaskUnit::Weight, tr("Single weights")}};
    for (const auto &[text, unit, tip] : units) {
        m_unit->addItem(text, int(unit));
        m_unit->setItemData(m_unit->count() - 1, tip, Qt::ToolTipRole);
    }
    for (QComboBox *box : {m_colour, m_unit}) {
        box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        box->setMinimumContentsLength(10);
        box->view()->setMinimumWidth(box->view()->sizeHintForColumn(0) + 24);
        box->view()->setAccessibleName(box->accessibleName());
    }
    auto *click = new QLabel(tr("Click on"));
    click->setBuddy(m_unit);
    layout->addWidget(m_title);
    layout->addWidget(m_shape, 1);
    layout->addWidget(m_colour);
    layout->addWidget(click);
    layout->addWidget(m_unit);
    return header;
}

QWidget *MaskPanel::makeChannels()
{
    m_model = new ChannelListModel(this);
    m_sorted = new QSortFilterProxyModel(this);
    m_sorted->setSourceModel(m_model);
    m_sorted->setSortRole(ChannelListModel::SortRole);
    m_sorted->setDynamicSortFilter(false);   // rows must not run away under the pointer
    m_list = new QTableView;
    m_list->setAccessibleName(tr("Output channels"));
    m_list->setModel(m_sorted);
    m_list->setItemDelegate(new ImportanceDelegate(m_list));
    m_list->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_list->setSelectionMode(QAbstractItemView::ExtendedSelection);
    m_list->setSortingEnabled(true);
    m_list->sortByColumn(ChannelListModel::Channel, Qt::AscendingOrder);
    m_list->setShowGrid(false);
    m_list->setMouseTracking(true);
    m_list->setMinimumWidth(206);
    m_list->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_list->horizontalHeader()->setHighlightSections(false);
    m_list->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    m_list->setTabKeyNavigation(false);
    m_list->verticalHeader()->hide();
    m_list->verticalHeader()->setDefaultSectionSize(m_list->fontMetrics().height() + 9);
    m_list->horizontalHeader()->setSectionResizeMode(ChannelListModel::Channel, QHeaderView::ResizeToContents);
    m_list->horizontalHeader()->setSectionResizeMode(ChannelListModel::Importance, QHeaderView::Stretch);
    m_list->horizontalHeader()->setSectionResizeMode(ChannelListModel::Kept, QHeaderView::ResizeToContents);
    m_list->horizontalHeader()->setMinimumSectionSize(36);
    m_list->installEventFilter(this);
    m_list->viewport()->installEventFilter(this);
    return m_list;
}

QWidget *MaskPanel::makeThresholdRow()
{
    auto *row = new QWidget;
    auto *layout = rowLayout(row);
    m_thresholdBox = new RealEdit(tr("Threshold"));
    m_thresholdBox->setToolTip(tr("Weights of a smaller magnitude are pruned"));
    m_quality = new RealEdit(tr("Quality factor"));
    m_quality->setToolTip(tr("The same threshold in standard deviations of this weight (Han et al., NeurIPS 2015)"));
    for (RealEdit *box : {m_thresholdBox, m_quality})
        box->setMinimumWidth(64);
    m_share = new QDoubleSpinBox;
    m_share->setAccessibleName(tr("Pruned share in percent"));
    m_share->setToolTip(tr("Share of this layer's weights that is pruned; the least go"));
    m_share->setRange(0, 99.99);
    m_share->setDecimals(2);
    m_share->setSuffix(tr(" %"));
    m_share->setKeyboardTracking(false);
    m_log = new QCheckBox(tr("Log"));
    m_log->setToolTip(tr("Logarithmic counts: makes rare magnitudes visible"));
    m_log->setAccessibleName(tr("Logarithmic counts"));
    const auto label = [&](const QString &text, QWidget *buddy) {
        auto *made = new QLabel(text);
        made->setBuddy(buddy);
        layout->addWidget(made);
    };
    label(tr("Threshold"), m_thresholdBox);
    layout->addWidget(m_thresholdBox);
    label(tr("="), m_quality);
    layout->addWidget(m_quality);
    layout->addWidget(new QLabel(tr("σ")));
    layout->addStretch(1);
    label(tr("Pruned"), m_share);
    layout->addWidget(m_share);
    layout->addWidget(m_log);
    return row;
}

QWidget *MaskPanel::makeButtons()
{
    auto *row = new QWidget;
    auto *layout = rowLayout(row);
    const auto button = [&](const QString &text, const QString &tip) {
        auto *made = new QPushButton(text);
        made->setToolTip(tip);
        made->setAccessibleName(QString(text).remove(QChar(u'&')).remove(QChar(u'…')));
        made->setMaximumWidth(made->fontMetrics().horizontalAdvance(text) + 26);
        layout->addWidget(made);
        return made;
    };
    m_prune = button(tr("Prune by criterion…"), tr("Take weights or channels away by a criterion (P)"));
    m_clear = button(tr("Clear mask"), tr("Keep everything of this layer again"));
    layout->addStretch(1);
    m_invert = button(tr("Invert"), tr("Choose the channels of the list that are not chosen now"));
    m_remove = button(tr("Remove"), tr("Remove the chosen channels, with everything that goes with them (Delete)"));
    m_keep = button(tr("Keep"), tr("Keep the chosen channels whole again (Insert)"));
    return row;
}

void MaskPanel::connectAll()
{
    connect(&m_document, &Document::modelChanged, this, &MaskPanel::showLayer);
    connect(&m_document, &Document::selectionChanged, this, &MaskPanel::showLayer);
    connect(&m_document, &Document::changed, this, &MaskPanel::onChanged);
    connect(&m_controller, &EngineController::weightReady, this, &MaskPanel::takeWeight);
    connect(&m_controller, &EngineController::weightFailed, this, [this](const QString &why) {
        // The values may still be had when only the criterion cannot look at this layer.
        if (!criterion().empty() && m_weight && m_weight->request.layer == m_layer) {
            m_refusal = why;
            showNote();
        } else {
            m_weight.reset();
            m_picture->showMessage(why);
            updateButtons();
        }
    });
    connect(m_colour, &QComboBox::currentIndexChanged, this, [this] {
        const QString choice = m_colour->currentData().toString();
        m_colour->setToolTip(m_colour->currentText());
        m_picture->setColouring(choice.isEmpty() ? MaskColouring::Magnitude : choice == kSign ? MaskColouring::Sign : MaskColouring::Importance);
        if (m_weight && m_weight->request.criterion == criterion())
            showImportance();
        else
            askWeight();
    });
    connect(m_unit, &QComboBox::currentIndexChanged, this, [this] {
        m_picture->setUnit(MaskUnit(m_unit->currentData().toInt()));
        showNote();
    });
    connect(m_picture, &MaskPicture::edited, this, &MaskPanel::editRegion);
    connect(m_picture, &MaskPicture::rowHovered, this, [this](qint64 row) {
        m_hovered = row;
        m_refusal.clear();
        showNote();
    });
    connect(m_picture, &MaskPicture::clickTakenBack, this, [this] {
        if (m_undoAfterClick >= 0 && m_document.undoStack()->index() == m_undoAfterClick)
            m_document.undoStack()->undo();
    });
    connect(m_plot, &ThresholdPlot::thresholdDragged, this, &MaskPanel::dragThreshold);
    connect(m_thresholdBox, &RealEdit::valueEdited, this, [this](double value) { dragThreshold(value, true); });
    connect(m_quality, &RealEdit::valueEdited, this, [this](double value) { dragThreshold(value * m_std, true); });
    connect(m_share, &QDoubleSpinBox::valueChanged, this, &MaskPanel::setShare);
    connect(m_log, &QCheckBox::toggled, m_plot, &ThresholdPlot::setLogarithmic);
    connect(m_model, &ChannelListModel::checked, this, [this](qint64 channel, bool keep) { setChannels({channel}, keep); });
    connect(m_list->selectionModel(), &QItemSelectionModel::selectionChanged, this, [this] {
        m_picture->setChosenRows(chosenChannels());
        m_refusal.clear();
        showNote();
        updateButtons();
    });
    connect(m_prune, &QPushButton::clicked, this, &MaskPanel::pruneRequested);
    connect(m_clear, &QPushButton::clicked, this, [this] { m_document.clearMasks({m_layer}); });
    connect(m_invert, &QPushButton::clicked, this, &MaskPanel::invertSelection);
    connect(m_remove, &QPushButton::clicked, this, [this] { setChannels(chosenChannels(), false); });
    connect(m_keep, &QPushButton::clicked, this, [this] { setChannels(chosenChannels(), true); });
}

bool MaskPanel::eventFilter(QObject *watched, QEvent *event)
{
    const auto goesWith = [this](qint64 channel) {
        if (m_hovered != channel) {
            m_hovered = channel;
            showNote();
        }
    };
    if (watched == m_list->viewport() && event->type() == QEvent::MouseMove) {
        const QModelIndex index = m_sorted->mapToSource(m_list->indexAt(static_cast<QMouseEvent *>(event)->position().toPoint()));
        goesWith(index.isValid() ? index.row() : -1);
    } else if (watched == m_list->viewport() && event->type() == QEvent::Leave) {
        goesWith(-1);
    } else if (watched == m_list && (event->type() == QEvent::KeyPress || event->type() == QEvent::ShortcutOverride)) {
        const int key = static_cast<QKeyEvent *>(event)->key();
        if (key == Qt::Key_Delete || key == Qt::Key_Insert) {
            if (event->type() == QEvent::KeyPress && m_remove->isEnabled())
                setChannels(chosenChannels(), key == Qt::Key_Insert);
            event->accept();
            return true;
        }
    }
    return QWidget::eventFilter(watched, event);
}

void MaskPanel::showEvent(QShowEvent *event)
{
    QWidget::showEvent(event);
    if (m_stale)
        askWeight();
}

// ---- showing ----

bool MaskPanel::isReady() const
{
    return m_weight && m_weight->request.layer == m_layer && m_weight->request.weights == m_document.state().weights &&
           m_weight->request.foldBatchNorm == m_document.config().foldBatchNorm && m_layout.size() > 0;
}

std::string MaskPanel::criterion() const
{
    const QString choice = m_colour->currentData().toString();
    return choice == kSign ? std::string() : choice.toStdString();
}

QString MaskPanel::sizesText() const
{
    return m_sizes->text();
}

QString MaskPanel::keptText() const
{
    return m_keptLabel->text();
}

QString MaskPanel::noteText() const
{
    return m_note->text();
}

void MaskPanel::showLayer()
{
    m_layer = m_document.currentLayer();
    m_hovered = -1;
    m_refusal.clear();
    m_drag = 0;
    m_heldKnown = false;
    const LayerInfo *info = m_document.layer(m_layer);
    m_title->setText(info ? toQString(info->name) : QString());
    m_shape->setText(info ? QStringLiteral("%1  %2").arg(toQString(info->op), formatShape(info->weightShape)) : QString());
    if (!info || info->status != LayerStatus::Quantizable) {
        m_weight.reset();
        m_layout = {};
        m_picture->showMessage(!info ? tr("Select a layer to see its mask") : tr("%1 cannot be pruned: %2").arg(toQString(info->name), toQString(info->reason)));
        m_plot->clear();
        m_model->setChannels({}, tr("L1 norm"));
        m_stale = false;
        showMask();
        return;
    }
    askWeight();   // what is shown stays until its answer comes: nothing flickers
}

void MaskPanel::askWeight()
{
    m_stale = !isVisible();
    if (!m_stale && m_document.isQuantizable(m_layer))
        m_controller.askWeight(m_layer, criterion());
}

void MaskPanel::takeWeight(const WeightReady &event)
{
    if (event.request.layer != m_layer || event.request.weights != m_document.state().weights ||
        event.request.foldBatchNorm != m_document.config().foldBatchNorm || event.request.criterion != criterion() || !event.values)
        return;
    const WeightLayout layout = weightLayout(event.shape, event.channelAxis);
    if (layout.size() != std::int64_t(event.values->size())) {
        m_picture->showMessage(tr("%1 has no output and input channels that a picture could show").arg(toQString(event.request.layer)));
        return;
    }
    const bool same = m_weight && m_weight->request.layer == m_layer && m_layout == layout;
    m_weight = event;
    m_layout = layout;
    m_heldKnown = false;
    m_std = populationStd(values());
    if (!same)
        m_kept.clear();
    m_picture->setWeight(event.values, event.scores, layout);
    m_plot->setValues(values());
    showImportance();
    showMask();
    showNote();
}

void MaskPanel::showImportance()
{
    if (!isReady())
        return;
    const bool scored = m_weight->scores && !m_weight->scores->empty();
    const MethodTraits *method = scored ? m_document.catalog().pruner(m_weight->request.criterion) : nullptr;
    const std::span<const float> source = scored ? std::span<const float>(*m_weight->scores) : values();
    const auto chosen = chosenChannels();
    m_model->setChannels(perChannel(source, m_layout), method ? toQString(method->title) : tr("L1 norm"));
    if (m_kept.size() == std::size_t(m_layout.size()))
        m_model->setKept(keptByRow(m_kept, m_layout), m_layout.columns * m_layout.kernel());
    for (const std::int64_t channel : chosen)
        m_list->selectionModel()->select(m_sorted->mapFromSource(m_model->index(int(channel), 0)),
                                         QItemSelectionModel::Select | QItemSelectionModel::Rows);
}

void MaskPanel::showMask()
{
    if (!isReady()) {
        m_keptLabel->clear();
        m_sizes->clear();
        showNote();
        updateButtons();
        return;
    }
    const Mask mask = m_document.mask(m_layer);
    if (std::int64_t(m_kept.size()) != m_layout.size() || !(m_keptMask == mask)) {
        m_kept = keptEntries(mask, m_layout.size());
        m_keptMask = mask;
    }
    const auto counts = keptByRow(m_kept, m_layout);
    m_picture->setKept(m_kept, counts);
    m_model->setKept(counts, m_layout.columns * m_layout.kernel());
    const std::int64_t kept = mask.empty() ? m_layout.size() : mask.keptCount();
    const auto emptied = std::ranges::count(counts, 0);
    QString text = tr("%L1 of %L2 weights pruned (%3), %L4 kept").arg(m_layout.size() - kept).arg(m_layout.size())
                       .arg(formatShare(1 - double(kept) / double(m_layout.size()), 1)).arg(kept);
    if (emptied > 0)
        text += tr("; %1 of %2 channels empty").arg(emptied).arg(m_layout.rows);
    m_keptLabel->setText(text);
    showThreshold();
    showSizes();
    updateButtons();
}

void MaskPanel::showThreshold()
{
    const bool dragging = m_drag != 0;
    const std::int64_t kept = m_keptMask.empty() ? m_layout.size() : m_keptMask.keptCount();
    if (!dragging) {
        if (kept == m_layout.size()) {
            m_threshold = 0;
        } else if (!(m_heldKnown && m_heldMask == m_keptMask)) {
            holdByHand();
            const std::int64_t byHand = m_held.empty() ? 0 : std::ranges::count_if(m_held, [](auto entry) { return entry != 0; });
            m_threshold = leastCut(values(), m_held, m_layout.size() - kept - byHand).threshold();
        }
    }
    if (!dragging || m_plot->threshold() != m_threshold)
        m_plot->setThreshold(m_threshold);
    m_thresholdBox->setValue(m_threshold);
    m_quality->setValue(m_std > 0 ? m_threshold / m_std : 0);
    const QSignalBlocker blocker(m_share);
    m_share->setValue(100 * (1 - double(kept) / double(m_layout.size())));
}

void MaskPanel::showSizes()
{
    const QuantSpec *spec = m_document.spec(m_layer, Role::Weight);
    const LayerInfo *info = m_document.layer(m_layer);
    const double bits = !spec || spec->isFloat() ? 32 : spec->bits;
    if (m_keptMask.empty()) {
        m_sizes->setText(tr("<b>Dense %1</b>; with a mask a bitmap, distances or rows may be smaller").arg(formatBytes(bits * double(m_layout.size()) / 8)));
        return;
    }
    const SparseBits sizes = sparseBits(m_keptMask, bits, info->weightShape[0]);
    QStringList parts;
    bool marked = false;
    for (const auto &[name, value] : {std::pair{tr("Dense"), sizes.dense}, {tr("Bitmap"), sizes.bitmap}, {tr("Relative"), sizes.relative}, {tr("CSR"), sizes.csr}}) {
        const QString text = QStringLiteral("%1 %2").arg(name, formatBytes(value / 8)).replace(u' ', QChar(0xa0));
        const bool least = !marked && value == sizes.least();
        marked = marked || least;
        parts << (least ? QStringLiteral("<b>✓ %1</b>").arg(text) : text);
    }
    m_sizes->setText(parts.join(QStringLiteral(" &nbsp;· ")));
}

void MaskPanel::setNote(const QString &text, const QString &tip, bool warning)
{
    m_note->setText(text);
    m_note->setToolTip(tip);
    QPalette colours = palette();
    if (warning)
        colours.setColor(QPalette::WindowText, signalColours(palette()).bad);
    m_note->setPalette(colours);
}

void MaskPanel::showNote()
{
    const ModelSummary *model = m_document.model();
    std::vector<std::int64_t> marked;
    if (!m_refusal.isEmpty()) {
        setNote(m_refusal, {}, true);
    } else if (!isReady() || !model) {
        setNote({}, {}, false);
    } else {
        const auto chosen = chosenChannels();
        const std::int64_t channel = m_hovered >= 0 ? m_hovered : chosen.size() == 1 ? chosen.front() : -1;
        if (channel >= 0 && channel < m_layout.rows) {
            const ChannelUnit unit = channelUnit(*model, m_layer, channel);
            marked = unit.outputs.front().channels;
            setNote(unitText(unit), unitTip(unit), !unit.removable());
        } else if (chosen.size() > 1) {
            std::set<std::string> layers, readers;
            for (const std::int64_t each : chosen) {
                const ChannelUnit unit = channelUnit(*model, m_layer, each);
                marked.insert(marked.end(), unit.outputs.front().channels.begin(), unit.outputs.front().channels.end());
                for (const auto &member : unit.outputs)
                    layers.insert(member.layer);
                readers.insert(unit.readers.begin(), unit.readers.end());
            }
            setNote(tr("%1 chosen; they write %2 and are read by %3").arg(channelsText(chosen),
                        counted(qint64(layers.size()), tr("%1 layer"), tr("%1 layers")), counted(qint64(readers.size()), tr("%1 layer"), tr("%1 layers"))),
                    {}, false);
        } else {
            setNote(tr("Point at a channel to see what goes with it. Click or drag in the picture to remove or keep; shift and click for a range."), {}, false);
        }
    }
    m_model->setMarked(marked);
    m_picture->setMarkedRows(m_picture->unit() == MaskUnit::Channel ? marked : std::vector<std::int64_t>());
}

void MaskPanel::updateButtons()
{
    const bool ready = isReady();
    const bool chosen = ready && m_list->selectionModel()->hasSelection();
    for (QWidget *control : std::initializer_list<QWidget *>{m_thresholdBox, m_quality, m_share, m_log, m_plot, m_colour, m_unit, m_invert, m_list})
        control->setEnabled(ready);
    m_prune->setEnabled(m_document.isQuantizable(m_layer));
    m_clear->setEnabled(!m_document.mask(m_layer).empty());
    m_remove->setEnabled(chosen);
    m_keep->setEnabled(chosen && !m_document.mask(m_layer).empty());
}

void MaskPanel::onChanged(const ChangeEvent &event)
{
    if (event.calibration)
        return;
    if (event.weights || event.diff.network) {
        showLayer();
        return;
    }
    if (event.touches(m_layer))
        showMask();
}

// ---- editing ----

void MaskPanel::holdByHand()
{
    m_heldKnown = true;
    m_heldMask = m_keptMask;
    m_held.clear();
    if (m_keptMask.empty())
        return;
    const std::string &method = m_document.pruneSpec(m_layer).method;
    m_held = heldByHand(values(), m_kept, m_layout, method == "magnitude" || method == "quality");
}

bool MaskPanel::apply(std::vector<std::uint8_t> kept, HandEdit edit, const QString &text, quint64 drag)
{
    const Mask mask = Mask::fromKept(kept);
    if (mask.keptCount() == 0) {
        m_refusal = tr("%1 would be empty, and nothing would pass through it; keep at least one weight").arg(toQString(m_layer));
        showNote();
        return false;
    }
    const auto spec = handMadeSpec(m_document.pruneSpec(m_layer), mask, m_layout, edit, m_document.catalog());
    if (!spec) {
        m_refusal = toQString(spec.error().message);
        showNote();
        return false;
    }
    m_refusal.clear();
    m_kept = std::move(kept);
    m_keptMask = spec->mask;
    m_document.setPrunes({{m_layer, *spec}}, text, drag);
    return true;
}

void MaskPanel::dragThreshold(double threshold, bool finished)
{
    if (!isReady())
        return;
    if (m_drag == 0) {
        m_drag = m_document.beginDrag();
        if (!(m_heldKnown && m_heldMask == m_keptMask))
            holdByHand();
    }
    m_threshold = std::clamp(threshold, 0.0, m_plot->top());
    apply(keptAbove(values(), m_held, m_threshold), HandEdit::Threshold, tr("Threshold of %1").arg(toQString(m_layer)), m_drag);
    m_heldMask = m_keptMask;   // what is held stays the same however far the threshold moves
    if (!finished)
        return;
    m_drag = 0;
    m_document.endDrag();
    showThreshold();
    updateButtons();
}

void MaskPanel::setShare(double percent)
{
    if (!isReady())
        return;
    if (!(m_heldKnown && m_heldMask == m_keptMask))
        holdByHand();
    const auto held = m_held;
    if (!apply(keptAtShare(values(), held, percent / 100), HandEdit::Threshold, tr("Prune %1 of %2").arg(formatShare(percent / 100, 1), toQString(m_layer))))
        return;
    m_held = held;
    m_heldMask = m_keptMask;
    m_heldKnown = true;
    const std::int64_t kept = m_keptMask.empty() ? m_layout.size() : m_keptMask.keptCount();
    const std::int64_t byHand = std::ranges::count_if(m_held, [](auto entry) { return entry != 0; });
    m_threshold = leastCut(values(), m_held, m_layout.size() - kept - byHand).threshold();
    showThreshold();
}

void MaskPanel::editRegion(const WeightRegion &region, bool keep)
{
    if (!isReady())
        return;
    m_undoAfterClick = -1;
    if (m_picture->unit() == MaskUnit::Channel) {
        std::vector<std::int64_t> channels;
        for (std::int64_t row = region.firstRow; row <= region.lastRow; ++row)
            channels.push_back(row);
        setChannels(channels, keep);
    } else {
        std::vector<std::uint8_t> kept = m_kept;
        setRegion(kept, m_layout, region, keep);
        if (!apply(std::move(kept), HandEdit::Parts, (keep ? tr("Keep parts of %1") : tr("Remove parts of %1")).arg(toQString(m_layer))))
            return;
    }
    m_undoAfterClick = m_document.undoStack()->index();
}

void MaskPanel::setChannels(const std::vector<std::int64_t> &channels, bool keep)
{
    const ModelSummary *model = m_document.model();
    if (!isReady() || !model || channels.empty())
        return;
    const auto refuse = [this](const QString &why) {
        m_refusal = why;
        showNote();
    };
    std::map<std::string, std::set<std::int64_t>> touched;
    for (const std::int64_t channel : channels) {
        const ChannelUnit unit = channelUnit(*model, m_layer, channel);
        if (!keep && !unit.removable())
            return refuse(unitText(unit));
        for (const auto &member : unit.outputs)
            touched[member.layer].insert(member.channels.begin(), member.channels.end());
    }
    std::map<std::string, PruneSpec> specs;
    for (const auto &[name, rows] : touched) {
        const LayerInfo *info = m_document.layer(name);
        if (!info || !m_document.isQuantizable(name))
            continue;
        const WeightLayout layout = weightLayout(info->weightShape, info->channelAxis);
        std::vector<std::uint8_t> kept = keptEntries(m_document.mask(name), layout.size());
        for (const std::int64_t row : rows)
            setRegion(kept, layout, rowsRegion(layout, row, row), keep);
        const Mask mask = Mask::fromKept(kept);
        if (mask.keptCount() == 0)
            return refuse(tr("%1 would be empty, and nothing would pass through it; keep at least one channel").arg(toQString(name)));
        auto spec = handMadeSpec(m_document.pruneSpec(name), mask, layout, HandEdit::Channels, m_document.catalog());
        if (!spec)
            return refuse(toQString(spec.error().message));
        specs.emplace(name, std::move(*spec));
    }
    m_refusal.clear();
    const QString what = tr("%1 of %2").arg(channelsText(channels), toQString(m_layer));
    m_document.setPrunes(specs, (keep ? tr("Keep %1") : tr("Remove %1")).arg(what));
    showNote();
}

void MaskPanel::invertSelection()
{
    QItemSelection all(m_sorted->index(0, 0), m_sorted->index(m_sorted->rowCount() - 1, ChannelListModel::ColumnCount - 1));
    m_list->selectionModel()->select(all, QItemSelectionModel::Toggle | QItemSelectionModel::Rows);
}

std::vector<std::int64_t> MaskPanel::chosenChannels() const
{
    std::vector<std::int64_t> channels;
    for (const QModelIndex &index : m_list->selectionModel()->selectedRows())
        channels.push_back(m_sorted->mapToSource(index).row());
    std::ranges::sort(channels);
    return channels;
}

} // namespace bitwright
