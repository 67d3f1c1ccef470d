// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/distribution_panel.h"

#include "config/stored_spec.h"
#include "panels/method_pages.h"
#include "panels/param_form.h"
#include "panels/real_edit.h"
#include "panels/segments.h"
#include "plots/channel_strip.h"
#include "plots/curve_plot.h"
#include "plots/histogram_plot.h"
#include "util/elided_label.h"
#include "util/format.h"
#include "util/method_box.h"

#include <QAbstractItemView>
#include <QButtonGroup>
#include <QCheckBox>
#include <QComboBox>
#include <QEvent>
#include <QFrame>
#include <QHBoxLayout>
#include <QLabel>
#include <QLocale>
#include <QPushButton>
#include <QScrollArea>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QSplitter>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
/// The value that holds the levels of methods whose levels are free.
constexpr const char *kCodebook = "codebook";
/// The value that is the clip of methods that have one, and the least that it may be.
constexpr const char *kAlpha = "alpha";
constexpr double kLeastClip = 1e-5;
// Weights and activations keep their colour everywhere.
int seriesOf(Role role)
{
    return role == Role::Weight ? 0 : 2;
}

QHBoxLayout *rowLayout(QWidget *row)
{
    auto *layout = new QHBoxLayout(row);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(6);
    return layout;
}

} // namespace

DistributionPanel::DistributionPanel(Document &document, EngineController &controller, QWidget *parent)
    : QWidget(parent), m_document(document), m_controller(controller)
{
    setAccessibleName(tr("Distributions"));
    m_histogram = new HistogramPlot(tr("Distribution with quantization levels"));
    m_histogram->setMinimumHeight(150);
    m_statistics = new QLabel;
    m_statistics->setWordWrap(true);
    m_statistics->setTextFormat(Qt::RichText);
    m_statistics->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_statistics->setAccessibleName(tr("Statistics"));
    m_warning = new QLabel;
    m_warning->setWordWrap(true);
    m_warning->setAccessibleName(tr("Warning"));
    m_warning->hide();

    auto *upper = new QWidget;
    auto *upperLayout = new QVBoxLayout(upper);
    upperLayout->setContentsMargins(0, 0, 0, 0);
    upperLayout->setSpacing(5);
    upperLayout->addWidget(m_histogram, 1);
    m_controls = new QWidget;
    auto *controlsLayout = new QVBoxLayout(m_controls);
    controlsLayout->setContentsMargins(0, 0, 0, 0);
    controlsLayout->setSpacing(5);
    controlsLayout->addWidget(makeRangeRow());
    controlsLayout->addWidget(makeMethodRow());
    upperLayout->addWidget(m_statistics);
    upperLayout->addWidget(m_warning);
    upperLayout->addWidget(m_controls);

    auto *splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(upper);
    m_lower = makeLower();
    splitter->addWidget(m_lower);
    splitter->setStretchFactor(0, 2);
    splitter->setStretchFactor(1, 1);
    splitter->setSizes({560, 190});
    splitter->setChildrenCollapsible(false);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(8, 6, 8, 6);
    layout->setSpacing(5);
    layout->addWidget(makeHeader());
    layout->addWidget(splitter, 1);
    connectAll();
    showSite();
}

DistributionPanel::~DistributionPanel() = default;

QWidget *DistributionPanel::makeHeader()
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
    // The name is what a person looks for; the shape gives way.
    m_shape->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_shape->setAccessibleName(tr("Shape"));
    layout->addWidget(m_title);
    layout->addWidget(m_shape, 1);
    layout->addSpacing(6);

    m_channelBox = new QSpinBox;
    m_channelBox->setSpecialValueText(tr("all channels"));
    m_channelBox->setPrefix(tr("channel "));
    m_channelBox->setRange(-1, -1);
    m_channelBox->setAccessibleName(tr("Output channel"));
    m_channelBox->setToolTip(tr("One output channel of the weights, or all of them together"));
    layout->addWidget(m_channelBox);

    m_roles = new QButtonGroup(this);
    for (const auto &[role, text, tip] :
         {std::tuple{Role::Weight, tr("Weights"), tr("The layer's weights")},
          std::tuple{Role::Activation, tr("Activations"), tr("The layer's input, over the calibration data")}}) {
        QToolButton *button = makeSegment(m_roles, int(role), text, tip);
        button->setChecked(role == m_role);
        layout->addWidget(button);
    }
    return header;
}

QWidget *DistributionPanel::makeRangeRow()
{
    auto *row = new QWidget;
    auto *layout = rowLayout(row);
    m_low = new RealEdit(tr("Clip from"));
    m_low->setToolTip(tr("Lowest level; smaller values are clipped to it"));
    m_high = new RealEdit(tr("Clip to"));
    m_high->setToolTip(tr("Highest level; larger values are clipped to it"));
    m_fit = new QPushButton(tr("Fit"));
    m_fit->setToolTip(tr("Clip at the smallest and the largest value"));
    m_reset = new QPushButton(tr("Reset"));
    m_reset->setToolTip(tr("Forget the clip that was set by hand; the method finds its own"));
    m_zoom = new QPushButton(tr("Zoom"));
    m_zoom->setToolTip(tr("Show the clip range; a double click in the plot shows everything"));
    m_log = new QCheckBox(tr("Log"));
    m_log->setToolTip(tr("Logarithmic counts: makes rare values visible"));
    m_log->setAccessibleName(tr("Logarithmic counts"));
    auto *clip = new QLabel(tr("Clip"));
    clip->setBuddy(m_low);
    layout->addWidget(clip);
    layout->addWidget(m_low);
    layout->addWidget(new QLabel(tr("to")));
    layout->addWidget(m_high);
    for (QPushButton *button : {m_fit, m_reset, m_zoom}) {
        button->setMaximumWidth(button->fontMetrics().horizontalAdvance(button->text()) + 26);
        layout->addWidget(button);
    }
    m_gradients = new QCheckBox(tr("Gradients"));
    m_gradients->setToolTip(tr("What the quantizer passed back to these weights at the end of the last epoch, instead of the weights"));
    m_gradients->hide();
    layout->addStretch(1);
    layout->addWidget(m_gradients);
    layout->addWidget(m_log);
    return row;
}

QWidget *DistributionPanel::makeMethodRow()
{
    auto *row = new QWidget;
    auto *layout = rowLayout(row);
    m_method = new QComboBox;
    m_method->setAccessibleName(tr("Method"));
    // A long name must not widen the window's middle; the list that opens has the room.
    m_method->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_method->setMinimumContentsLength(12);
    m_method->view()->setAccessibleName(m_method->accessibleName());
    m_bits = new QSpinBox;
    m_bits->setAccessibleName(tr("Bits"));
    m_bits->setToolTip(tr("Bits per value"));
    m_bits->setRange(1, 16);
    m_bits->setSuffix(tr(" bits"));
    m_scale = new RealEdit(tr("Scale"));
    m_scale->setToolTip(tr("Distance of two levels, in units of the tensor"));
    m_zero = new RealEdit(tr("Zero point"));
    m_zero->setToolTip(tr("The code that stands for zero"));
    m_zero->setMinimumWidth(50);
    m_zero->setMaximumWidth(70);
    m_help = makeHelpButton(tr("What the method is: formula, paper, options"));
    layout->addWidget(m_method, 1);
    layout->addWidget(m_help);
    layout->addWidget(m_bits);
    layout->addStretch(1);
    auto *scale = new QLabel(tr("Scale"));
    scale->setBuddy(m_scale);
    layout->addWidget(scale);
    layout->addWidget(m_scale);
    auto *zero = new QLabel(tr("Zero point"));
    zero->setBuddy(m_zero);
    layout->addWidget(zero);
    layout->addWidget(m_zero);
    return row;
}

QWidget *DistributionPanel::makeLower()
{
    auto *lower = new QSplitter(Qt::Horizontal);
    lower->setChildrenCollapsible(false);
    auto *scroll = new QScrollArea;
    scroll->setAccessibleName(tr("Options of the method"));
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    scroll->setMinimumWidth(190);
    m_form = new ParamForm;
    scroll->setWidget(m_form);
    lower->addWidget(scroll);

    m_strip = new ChannelStrip(tr("Range of every output channel"));
    m_strip->setMinimumSize(150, 110);
    m_curve = new CurvePlot(tr("Error against bits"));
    m_curve->setMinimumSize(150, 110);
    m_curve->setAxisTitles(tr("bits"), tr("SQNR"));
    m_curve->setAxisFormat(CurvePlot::Axis::Left, [](double v) { return tr("%1 dB").arg(QLocale().toString(v, 'g', 3)); });
    m_curve->setIntegerX(true);
    m_curve->setEmptyMessage(tr("Error against bits"));
    m_curve->setToolTip(tr("Signal to quantization noise of this tensor at each width; a click sets the bits"));
    m_sqnrSeries = m_curve->addSeries(tr("SQNR"), {.markers = true});
    lower->addWidget(m_strip);
    lower->addWidget(m_curve);
    lower->setStretchFactor(0, 0);
    lower->setStretchFactor(1, 3);
    lower->setStretchFactor(2, 2);
    return lower;
}

void DistributionPanel::connectAll()
{
    connect(&m_document, &Document::modelChanged, this, &DistributionPanel::showSite);
    connect(&m_document, &Document::selectionChanged, this, &DistributionPanel::showSite);
    connect(&m_document, &Document::changed, this, [this](const ChangeEvent &event) {
        if (!event.touches(m_layer))
            return;
        showGrid();
        showControls();
    });
    connect(&m_controller, &EngineController::statisticsReady, this, [this](const StatisticsReady &event) {
        if (event.layer == m_layer && event.role == m_role)
            showSite();
    });
    connect(&m_controller, &EngineController::previewReady, this, [this](const PreviewReady &event) {
        if (event.request.layer != m_layer || event.request.role != m_role || !preview())
            return;
        showHistogram(true);
        showGrid();
        showCurve();
    });
    connect(m_roles, &QButtonGroup::idClicked, this, [this](int id) { setRole(Role(id)); });
    connect(m_channelBox, &QSpinBox::valueChanged, this, [this](int channel) { setChannel(channel); });
    connect(m_strip, &ChannelStrip::channelActivated, this, [this](qint64 channel) { setChannel(channel); });
    connect(m_log, &QCheckBox::toggled, this, &DistributionPanel::setLogarithmic);
    connect(m_histogram, &HistogramPlot::logarithmicToggled, this, &DistributionPanel::setLogarithmic);
    connect(m_histogram, &HistogramPlot::clipDragged, this, &DistributionPanel::dragClip);
    connect(m_histogram, &HistogramPlot::levelDragged, this, &DistributionPanel::dragLevel);
    connect(m_gradients, &QCheckBox::toggled, this, &DistributionPanel::showSite);
    connect(&m_controller, &EngineController::trainingEpoch, this, [this] {
        updateGradients();
        if (showsGradients())
            showSite();
    });
    connect(&m_controller, &EngineController::trainingStarted, this, &DistributionPanel::showSite);
    connect(m_low, &RealEdit::valueEdited, this, [this](double value) { setClip(ClipSide::Low, value); });
    connect(m_high, &RealEdit::valueEdited, this, [this](double value) { setClip(ClipSide::High, value); });
    connect(m_scale, &RealEdit::valueEdited, this, &DistributionPanel::setScale);
    connect(m_zero, &RealEdit::valueEdited, this, &DistributionPanel::setZeroPoint);
    connect(m_fit, &QPushButton::clicked, this, &DistributionPanel::fitRange);
    connect(m_reset, &QPushButton::clicked, this, &DistributionPanel::resetRange);
    connect(m_zoom, &QPushButton::clicked, m_histogram, &HistogramPlot::zoomToClip);
    connect(m_method, &QComboBox::activated, this, [this](int index) {
        m_document.setMethod(editedLayers(), m_role, m_method->itemData(index).toString().toStdString());
    });
    connect(m_help, &QToolButton::clicked, this, [this] {
        MethodPages::open(this, m_document.catalog(), m_method->currentData().toString());
    });
    connect(m_bits, &QSpinBox::valueChanged, this,
            [this](int bits) { m_document.setBits(editedLayers(), m_role, bits); });
    connect(m_curve, &CurvePlot::xActivated, this, [this](double x) {
        if (spec() && x > 0.5 && x < 16.5)
            m_document.setBits(editedLayers(), m_role, int(std::lround(x)));
    });
    connect(m_form, &ParamForm::refused, this, &DistributionPanel::refuse);
    connect(m_form, &ParamForm::edited, this,
            [this](const std::string &name, const std::optional<ParamValue> &value) {
                m_document.setOption(editedLayers(), m_role, name, value);
            });
}

void DistributionPanel::setRole(Role role)
{
    if (QAbstractButton *button = m_roles->button(int(role)))
        button->setChecked(true);
    if (role == m_role)
        return;
    m_role = role;
    showSite();
}

bool DistributionPanel::isLogarithmic() const
{
    return m_histogram->isLogarithmic();
}

void DistributionPanel::setLogarithmic(bool logarithmic)
{
    const QSignalBlocker blocker(m_log);
    m_log->setChecked(logarithmic);
    m_histogram->setLogarithmic(logarithmic);
}

void DistributionPanel::setChannel(std::int64_t channel)
{
    const QSignalBlocker blocker(m_channelBox);
    m_channelBox->setValue(int(channel));
    channel = m_channelBox->value();
    if (channel == m_channel)
        return;
    m_channel = channel;
    m_strip->setSelected(channel);
    m_controller.setPreviewChannel(channel);
    showHistogram(true);
    showGrid();
}

QString DistributionPanel::statisticsText() const
{
    return m_statistics->text();
}

QString DistributionPanel::warningText() const
{
    return m_warning->text();
}

const QuantSpec *DistributionPanel::spec() const
{
    return m_layer.empty() ? nullptr : m_document.spec(m_layer, m_role);
}

const StatisticsReady *DistributionPanel::statistics() const
{
    return m_controller.results().statisticsOf(m_layer, m_role);
}

const PreviewReady *DistributionPanel::preview() const
{
    const PreviewReady *found = m_controller.results().previewOf(m_layer, m_role);
    const QuantSpec *present = spec();
    if (!found || !present || found->request.foldBatchNorm != m_document.config().foldBatchNorm ||
        found->request.weights != m_document.state().weights ||
        (m_role == Role::Weight && !(found->request.mask == m_document.mask(m_layer))))
        return nullptr;
    const bool sameChannel = m_role == Role::Activation || found->request.channel == m_channel;
    // Values that the engine filled in come back to the document by themselves: both spellings mean this preview.
    return sameChannel && (found->request.spec == *present || found->spec == *present) ? found : nullptr;
}

SiteKnowledge DistributionPanel::knowledge() const
{
    SiteKnowledge site;
    site.role = m_role;
    site.nonNegative = isNonNegative();
    if (const StatisticsReady *known = statistics()) {
        site.moments = known->moments;
        site.channels = known->channels;
        site.histogram = known->histogram;
    }
    return site;
}

UniformForm DistributionPanel::gridForm() const
{
    return uniformForm(*spec(), m_role, isNonNegative());
}

bool DistributionPanel::isNonNegative() const
{
    const LayerInfo *info = m_document.layer(m_layer);
    return m_role == Role::Activation && info && info->nonNegativeInput;
}

std::size_t DistributionPanel::shownGroup() const
{
    if (m_channel >= 0 && std::size_t(m_channel) < m_grid.groups.size())
        return std::size_t(m_channel);
    return widestGroup(m_grid);
}

std::optional<std::size_t> DistributionPanel::editedGroup() const
{
    if (m_grid.groups.size() > 1 && m_channel >= 0 && std::size_t(m_channel) < m_grid.groups.size())
        return std::size_t(m_channel);
    return std::nullopt;
}

LayerNames DistributionPanel::editedLayers() const
{
    return m_document.selection().empty() ? LayerNames{m_layer} : m_document.selection();
}

void DistributionPanel::showSite()
{
    const bool another = m_layer != m_document.currentLayer();
    m_layer = m_document.currentLayer();
    const LayerInfo *info = m_document.layer(m_layer);
    m_title->setText(info ? toQString(m_layer) : tr("No layer selected"));
    m_title->setToolTip(m_title->text());
    m_shape->setToolTip(info ? toQString(info->op) + QStringLiteral("  ") + formatShape(info->weightShape) : QString());
    m_shape->setText(info ? toQString(info->op) + QStringLiteral("  ") + formatShape(info->weightShape) : QString());
    const bool channels = info && m_role == Role::Weight && info->channels() > 1;
    {
        const QSignalBlocker blocker(m_channelBox);
        m_channelBox->setRange(-1, channels ? int(info->channels()) - 1 : -1);
        if (another || !channels)
            m_channelBox->setValue(-1);
    }
    m_channelBox->setVisible(channels);
    m_channel = m_channelBox->value();
    const StatisticsReady *known = statistics();
    m_strip->setVisible(m_role == Role::Weight);
    m_strip->setSeriesColor(seriesOf(m_role));
    m_strip->setEmptyMessage(tr("Range of every output channel"));
    m_strip->setChannels(known ? known->channels : std::vector<Moments>{});
    m_strip->setSelected(m_channel);
    m_histogram->setSeriesColor(seriesOf(m_role));
    updateGradients();
    m_histogram->setAxisTitle(showsGradients() ? tr("gradient of the weight") : m_role == Role::Weight ? tr("weight") : tr("input of the layer"));
    const std::string key = m_layer + '/' + (showsGradients() ? "gradient" : roleName(m_role));
    const bool keepView = key == m_preset && !m_histogram->histogram().counts.empty();
    m_preset = key;
    showHistogram(keepView);
    showGrid();
    showControls();
    showCurve();
}

const TrainingEpoch *DistributionPanel::lastTrace() const
{
    const auto &epochs = m_controller.results().trainingEpochs;
    if (epochs.empty() || m_role != Role::Weight)
        return nullptr;
    const auto trace = epochs.back().traces.find(m_layer);
    return trace != epochs.back().traces.end() && trace->second.gradients.total() > 0 ? &epochs.back() : nullptr;
}

bool DistributionPanel::showsGradients() const
{
    return m_gradients->isChecked() && lastTrace();
}

void DistributionPanel::updateGradients()
{
    m_gradients->setVisible(lastTrace() != nullptr);
}

bool DistributionPanel::hasUpperClip() const
{
    const QuantSpec *present = spec();
    return present && present->method == "pact" && textParam(present->options, "variant") != "two_sided" && m_grid.uniform && !m_grid.empty();
}

bool DistributionPanel::hasFreeLevels() const
{
    const QuantSpec *present = spec();
    const MethodTraits *traits = present ? m_document.catalog().quantizer(present->method) : nullptr;
    return traits && std::ranges::find(traits->values, kCodebook) != traits->values.end() && !m_grid.uniform && m_grid.groups.size() == 1;
}

void DistributionPanel::showHistogram(bool keepView)
{
    if (showsGradients()) {
        const Histogram &gradients = lastTrace()->traces.at(m_layer).gradients;
        if (m_histogram->histogram() != gradients)
            m_histogram->setHistogram(gradients, keepView);
        return;
    }
    const StatisticsReady *known = statistics();
    const PreviewReady *exact = preview();
    const Histogram *histogram = exact && !exact->original.counts.empty() ? &exact->original
                                 : known                                   ? &known->histogram
                                                                           : nullptr;
    if (!histogram) {
        m_histogram->showMessage(missingReason());
        return;
    }
    if (m_histogram->histogram() != *histogram)
        m_histogram->setHistogram(*histogram, keepView);
}

QString DistributionPanel::missingReason() const
{
    const LayerInfo *info = m_document.layer(m_layer);
    if (!m_document.model())
        return tr("Open a network to see the distributions of its layers");
    if (!info)
        return tr("Select a layer to see its distribution");
    if (info->weightShape.empty())
        return tr("%1 has no weights%2").arg(toQString(m_layer), info->reason.empty() ? QString() : QStringLiteral(": ") + toQString(info->reason));
    if (m_role == Role::Activation && info->weightOnly)
        return tr("Only the weight of %1 can be quantized: %2").arg(toQString(m_layer), toQString(weightOnlyReason(*info)));
    if (m_role == Role::Activation && !m_controller.results().data)
        return tr("Open data to see what goes into this layer");
    return m_role == Role::Weight ? tr("The weights are being counted") : tr("The activations are being counted");
}

const StoredQuantization *DistributionPanel::stored() const
{
    const LayerInfo *info = m_document.layer(m_layer);
    if (!info || (m_role == Role::Weight && m_document.config().foldBatchNorm && !info->batchNorm.empty()))
        return nullptr;
    const auto &found = m_role == Role::Weight ? info->storedWeight : info->storedInput;
    return found ? &*found : nullptr;
}

/// The file's levels, a group for each output channel or a single one: of scales that run otherwise the widest.
QuantGrid DistributionPanel::fileGrid() const
{
    QuantGrid grid = storedGrid(*stored());
    const bool channels = m_role == Role::Weight && stored()->block == 0 && stored()->axis == m_document.layer(m_layer)->channelAxis;
    if (grid.groups.size() > 1 && !channels) {
        grid.groups = {grid.groups[widestGroup(grid)]};
        grid.perChannel = false;
    }
    return grid;
}

void DistributionPanel::showGrid()
{
    const QuantSpec *present = spec();
    const bool own = present && !present->isFloat();
    const PreviewReady *exact = own || !stored() ? preview() : nullptr;
    if (!own && stored()) {
        m_grid = fileGrid();
        m_provisional = false;
    } else if (exact) {
        m_grid = exact->grid;
        m_provisional = false;
    } else {
        m_grid = present ? provisionalGrid(*present, knowledge()) : QuantGrid{};
        m_provisional = true;
    }
    // Other methods have uniform grids too, but no scale that a person could set.
    const bool editable = present && present->method == "uniform" && m_grid.uniform && !m_grid.empty();
    const bool gradients = showsGradients();
    const bool clipped = hasUpperClip();
    m_histogram->setHandles(editable && !gradients && clipHasLow(gridForm()), (editable || clipped) && !gradients);
    m_histogram->setFreeLevels(hasFreeLevels() && !gradients);
    m_histogram->setLegendShown(!gradients);
    if (gradients || m_histogram->histogram().counts.empty() || m_grid.empty()) {
        m_histogram->clearGrid();
    } else {
        const std::size_t group = shownGroup();
        const bool blocks = !own && stored() && stored()->scale.size() > m_grid.groups.size();   // the widest stands for all
        m_histogram->setMixed((m_grid.groups.size() > 1 && m_channel < 0) || blocks);
        // What lies on the file's levels stays where it is.
        const Histogram after = exact ? exact->quantized : !own && stored() ? m_histogram->histogram() : Histogram{};
        m_histogram->setGrid(m_grid, group, after, m_provisional);
    }
    std::vector<PlotRange> clips;
    for (std::size_t i = 0; i < m_grid.groups.size(); ++i)
        clips.push_back(gridRange(m_grid, i));
    m_strip->setClips(clips);
    const PlotRange ends = m_grid.empty() ? PlotRange{kNaN, kNaN} : gridRange(m_grid, shownGroup());
    m_low->setValue(ends.lower);
    m_high->setValue(ends.upper);
    const bool scaled = !m_grid.empty() && m_grid.uniform;
    m_scale->setValue(scaled ? m_grid.groups[shownGroup()].scale : kNaN);
    m_zero->setValue(scaled ? double(m_grid.groups[shownGroup()].zeroPoint) : kNaN);
    m_low->setEnabled(editable && clipHasLow(gridForm()));
    for (QWidget *widget : {static_cast<QWidget *>(m_high), static_cast<QWidget *>(m_scale), static_cast<QWidget *>(m_fit)})
        widget->setEnabled(editable || (clipped && widget != m_scale));
    m_zero->setEnabled(editable && !gridForm().symmetric);
    m_zoom->setEnabled(!m_grid.empty() && !gradients);
    m_reset->setEnabled((editable || clipped || hasFreeLevels()) && !present->values.empty());
    showStatistics();
    m_curve->setMarker(present && !present->isFloat() ? std::optional<double>(present->bits) : std::nullopt);
}

void DistributionPanel::showControls()
{
    const QuantSpec *present = spec();
    m_controls->setEnabled(present != nullptr);
    m_lower->setEnabled(present != nullptr);
    const QSignalBlocker methods(m_method), bits(m_bits);
    if (m_methodsOf != m_role)
        fillMethodBox(m_method, m_document.catalog(), m_role);
    m_methodsOf = m_role;
    // A tensor without a quantizer is as the file has it, which need not be float.
    const StoredQuantization *file = stored();
    if (const int none = m_method->findData(QString::fromLatin1(kFloatMethod)); none >= 0)
        m_method->setItemText(none, file ? tr("as in the file") : tr("float"));
    m_method->setCurrentIndex(present ? std::max(0, m_method->findData(toQString(present->method))) : 0);
    m_method->setToolTip(m_method->currentData(Qt::ToolTipRole).toString());
    const MethodTraits *traits = present ? m_document.catalog().quantizer(present->method) : nullptr;
    m_help->setEnabled(traits != nullptr);
    m_bits->setEnabled(traits != nullptr);
    m_bits->setRange(traits ? traits->minimumBits : 1, traits ? traits->maximumBits : 32);
    m_bits->setValue(file && (!present || present->isFloat()) ? file->bits : present ? present->bits : 32);
    m_bits->setSuffix(m_bits->value() == 1 ? tr(" bit") : tr(" bits"));
    m_form->setParams(traits ? traits->options : std::vector<ParamSpec>{}, present ? present->options : ParamValues{});
}

void DistributionPanel::showStatistics()
{
    const StatisticsReady *known = statistics();
    const QuantSpec *present = spec();
    const QString warn = m_histogram->colors().error.name();
    QStringList parts;
    if (showsGradients()) {
        const Histogram &gradients = lastTrace()->traces.at(m_layer).gradients;
        // Values that are all alike come on an axis that is made up.
        const bool alike = std::ranges::count_if(gradients.counts, [](std::uint64_t count) { return count > 0; }) <= 1;
        const QString range = alike ? tr("all alike: %1").arg(formatReal(gradients.lo, 3))
                                    : tr("%1 to %2").arg(formatReal(gradients.lo, 3), formatReal(gradients.hi, 3));
        m_statistics->setText(tr("Gradients that the quantizer passed back at the end of epoch %1 · %L2 values · %3")
                                  .arg(lastTrace()->epoch).arg(qulonglong(gradients.total())).arg(range));
        m_warning->hide();
        return;
    }
    if (known) {
        Moments m = known->moments;
        if (m_channel >= 0 && std::size_t(m_channel) < known->channels.size())
            m = known->channels[std::size_t(m_channel)];
        parts << tr("mean %1").arg(formatReal(m.mean(), 3)) << tr("std %1").arg(formatReal(m.std(), 3))
              << tr("%1 to %2").arg(formatReal(m.min, 3), formatReal(m.max, 3));
        if (m.nanCount + m.infCount > 0)
            parts << QStringLiteral("<b style='color:%1'>%2</b>")
                         .arg(warn, tr("%L1 NaN, %L2 infinite").arg(qulonglong(m.nanCount)).arg(qulonglong(m.infCount)));
    }
    if (const StoredQuantization *file = stored()) {
        const QString what = toQString(storedText(*file));
        const bool own = present && !present->isFloat();
        parts << (own ? tr("over the file's %1").arg(what) : QStringLiteral("<b>%1</b>").arg(tr("in the file: %1").arg(what)));
        if (!own && !m_grid.empty())
            parts << tr("%L1 levels").arg(qulonglong(m_grid.levelCount(shownGroup())));
    }
    QString warning;
    if (present && !present->isFloat() && !m_grid.empty() && !m_histogram->histogram().counts.empty()) {
        const PreviewReady *exact = preview();
        const ProvisionalError rough =
            exact ? ProvisionalError{exact->mse, exact->sqnrDb, exact->clippedShare, exact->emptyLevelShare}
                  : provisionalError(m_histogram->histogram(), m_grid, shownGroup());
        const QString about = exact ? QString() : QStringLiteral("≈ ");
        const bool oneOfMany = m_grid.groups.size() > 1 && m_channel < 0;
        parts << tr("%L1 levels").arg(qulonglong(m_grid.levelCount(shownGroup())))
                     + (oneOfMany ? tr(" (drawn: channel %L1, the widest)").arg(qulonglong(shownGroup())) : QString())
              << tr("clipped %1").arg(about + formatShare(rough.clippedShare))
              << tr("empty levels %1").arg(about + formatShare(rough.emptyLevelShare, 0))
              << tr("MSE %1").arg(about + formatReal(rough.mse, 3))
              << QStringLiteral("<b>%1</b>").arg(tr("SQNR %1").arg(about + formatDecibel(rough.sqnrDb)));
        if (exact)
            warning = toQString(exact->warning);
        // Levels in other units than the histogram's: batch norm after the layer takes them back.
        if (warning.isEmpty() && boolParam(present->options, "normalize") && !boolParam(present->options, "restore"))
            warning = tr("levels of the normalised weight (mean 0, deviation 1); “restore” maps them back to this histogram");
    }
    for (QString &part : parts)
        part.replace(u' ', QChar(0x00A0));
    m_statistics->setText(parts.join(QStringLiteral(" · ")));
    m_warning->setText(warning.isEmpty() ? QString() : QStringLiteral("⚠ ") + warning);
    m_warning->setStyleSheet(QStringLiteral("color: %1").arg(warn));
    m_warning->setVisible(!warning.isEmpty());
}

void DistributionPanel::showCurve()
{
    const PreviewReady *exact = preview();
    const PreviewReady *last = m_controller.results().previewOf(m_layer, m_role);
    // The curve hardly depends on the bits themselves: the last answer stays until the next one.
    const PreviewReady *shown = exact && !exact->errorByBits.empty() ? exact : last;
    PlotPoints points;
    if (shown && spec() && !spec()->isFloat())
        for (const BitsError &error : shown->errorByBits)
            if (std::isfinite(error.sqnrDb)) {
                points.x.push_back(error.bits);
                points.y.push_back(error.sqnrDb);
            }
    m_curve->setData(m_sqnrSeries, points);
}

void DistributionPanel::dragClip(ClipSide side, double position, bool finished)
{
    if (!spec())
        return;
    if (m_drag == 0)
        m_drag = m_document.beginDrag();
    m_document.setValues(m_layer, m_role, clipValues(side, position), m_drag);
    if (finished) {
        m_drag = 0;
        m_document.endDrag();
    }
}

std::map<std::string, std::vector<double>> DistributionPanel::clipValues(ClipSide side, double position) const
{
    if (hasUpperClip())
        return {{kAlpha, {std::max(position, kLeastClip)}}};
    return valuesForClip(gridForm(), m_grid, side, position, editedGroup());
}

void DistributionPanel::dragLevel(std::size_t level, double position, bool finished)
{
    if (!hasFreeLevels() || level >= m_grid.levelCount())
        return;
    if (m_drag == 0)
        m_drag = m_document.beginDrag();
    std::vector<double> levels = m_grid.levels();
    // Levels stay in their order, so that the one that is held keeps its number.
    if (level > 0)
        position = std::max(position, levels[level - 1]);
    if (level + 1 < levels.size())
        position = std::min(position, levels[level + 1]);
    levels[level] = position;
    m_document.setValues(m_layer, m_role, {{kCodebook, levels}}, m_drag);
    if (finished) {
        m_drag = 0;
        m_document.endDrag();
    }
}

void DistributionPanel::setClip(ClipSide side, double position)
{
    if (!spec() || m_grid.empty())
        return;
    const PlotRange ends = gridRange(m_grid, shownGroup());
    const bool wrongSide = side == ClipSide::Low ? position > 0 || position >= ends.upper : position <= 0 || position <= ends.lower;
    if (wrongSide) {
        showGrid();
        refuse(side == ClipSide::Low ? tr("The lower clip must be below the upper one and not above 0")
                                     : tr("The upper clip must be above the lower one and above 0"));
        return;
    }
    setValues(clipValues(side, position));
}

/// Said where the values stand, until the next change.
void DistributionPanel::refuse(const QString &why)
{
    m_warning->setText(QStringLiteral("⚠ ") + why);
    m_warning->setStyleSheet(QStringLiteral("color: %1").arg(m_histogram->colors().error.name()));
    m_warning->show();
}

void DistributionPanel::setValues(const std::map<std::string, std::vector<double>> &values)
{
    m_document.setValues(m_layer, m_role, values);
}

void DistributionPanel::setScale(double scale)
{
    if (m_grid.empty() || !(scale > 0)) {
        showGrid();
        refuse(tr("The scale must be above 0"));
        return;
    }
    const std::size_t shown = shownGroup();
    const double factor = scale / std::max(m_grid.groups[shown].scale, 1e-30);
    std::map<std::string, std::vector<double>> values;
    for (std::size_t i = 0; i < m_grid.groups.size(); ++i) {
        const auto &group = m_grid.groups[i];
        const bool moves = !editedGroup() || i == shown;
        values["scale"].push_back(i == shown ? scale : moves ? group.scale * factor : group.scale);
        if (!gridForm().symmetric)
            values["zero_point"].push_back(double(group.zeroPoint));
    }
    setValues(values);
}

void DistributionPanel::setZeroPoint(double zeroPoint)
{
    if (m_grid.empty())
        return;
    if (zeroPoint != std::round(zeroPoint) || zeroPoint < double(m_grid.qmin) || zeroPoint > double(m_grid.qmax)) {
        showGrid();
        refuse(tr("The zero point must be a whole number from %1 to %2").arg(m_grid.qmin).arg(m_grid.qmax));
        return;
    }
    std::map<std::string, std::vector<double>> values;
    for (std::size_t i = 0; i < m_grid.groups.size(); ++i) {
        const bool moves = !editedGroup() || i == shownGroup();
        values["scale"].push_back(m_grid.groups[i].scale);
        values["zero_point"].push_back(moves ? zeroPoint
                                             : double(m_grid.groups[i].zeroPoint));
    }
    setValues(values);
}

void DistributionPanel::fitRange()
{
    const StatisticsReady *known = statistics();
    if (!known || !spec() || m_grid.empty())
        return;
    Moments m = known->moments;
    if (editedGroup() && std::size_t(m_channel) < known->channels.size())
        m = known->channels[std::size_t(m_channel)];
    if (hasUpperClip()) {
        setValues(clipValues(ClipSide::High, m.max));
        return;
    }
    if (!editedGroup() && m_grid.groups.size() > 1 && known->channels.size() == m_grid.groups.size()) {
        // Every channel to its own extremes.
        QuantSpec plain = *spec();
        plain.values.clear();
        plain.options["range"] = std::string("minmax");
        const QuantGrid fitted = provisionalGrid(plain, knowledge());
        std::map<std::string, std::vector<double>> values;
        for (const auto &group : fitted.groups) {
            values["scale"].push_back(group.scale);
            if (!gridForm().symmetric)
                values["zero_point"].push_back(double(group.zeroPoint));
        }
        setValues(values);
        return;
    }
    setValues(valuesForRange(gridForm(), m_grid, {m.min, m.max}, editedGroup()));
}

void DistributionPanel::resetRange()
{
    std::map<std::string, std::vector<double>> none;
    for (const auto &[name, value] : spec()->values)
        none[name] = {};
    setValues(none);
}

void DistributionPanel::changeEvent(QEvent *event)
{
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange && m_zero)
        showStatistics();
}

} // namespace bitwright
