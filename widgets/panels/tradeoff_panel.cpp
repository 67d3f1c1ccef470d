// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/tradeoff_panel.h"

#include "util/format.h"

#include <nlohmann/json.hpp>

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QVBoxLayout>

#include <cmath>
#include <limits>

namespace bitwright {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// How many layers have which width by which method.
using LayersByChoice = std::map<std::pair<int, std::string>, int>;

QString bitsText(const LayersByChoice &layersByChoice, const Catalog &catalog)
{
    QStringList parts;
    for (const auto &[choice, layers] : layersByChoice) {
        const auto &[bits, id] = choice;
        const MethodTraits *method = catalog.quantizer(id);
        parts << (bits >= 32 ? TradeoffPanel::tr("%n × float", nullptr, layers)
                             : TradeoffPanel::tr("%n × %1 bit %2", nullptr, layers).arg(bits).arg(toQString(method ? method->title : id)));
    }
    return parts.join(QStringLiteral(", "));
}

} // namespace

TradeoffPanel::TradeoffPanel(Document &document, EngineController &controller, QWidget *parent)
    : QWidget(parent), m_document(document), m_controller(controller), m_plot(new TradeoffPlot(tr("Trade-off"))),
      m_axis(new QComboBox), m_summary(new QLabel)
{
    setAccessibleName(tr("Trade-off"));
    m_axis->addItem(tr("Size"), int(CostAxis::Size));
    m_axis->addItem(tr("Bit operations"), int(CostAxis::Bops));
    m_axis->addItem(tr("Mean weight bits"), int(CostAxis::MeanBits));
    m_axis->setAccessibleName(tr("Horizontal axis"));
    m_axis->setToolTip(tr("What the value is drawn against"));
    m_summary->setWordWrap(true);
    m_summary->setAccessibleName(tr("Present configuration"));
    m_summary->setTextInteractionFlags(Qt::TextSelectableByMouse);
    auto *row = new QHBoxLayout;
    row->setSpacing(6);
    auto *against = new QLabel(tr("Against"));
    against->setBuddy(m_axis);
    row->addWidget(against);
    row->addWidget(m_axis);
    row->addStretch(1);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(8, 6, 8, 6);
    layout->setSpacing(5);
    layout->addLayout(row);
    layout->addWidget(m_plot, 1);
    layout->addWidget(m_summary);
    m_plot->setMinimumSize(220, 160);

    connect(m_axis, &QComboBox::activated, this, [this](int index) { setCostAxis(CostAxis(m_axis->itemData(index).toInt())); });
    connect(m_plot, &TradeoffPlot::trialActivated, this, &TradeoffPanel::restoreTrial);
    connect(&m_controller, &EngineController::trialsReset, this, &TradeoffPanel::reload);
    connect(&m_controller, &EngineController::trialAdded, this, [this](const TrialRecord &trial) {
        if (belongs(trial))
            m_plot->addPoint(pointOf(trial));
    });
    connect(&m_controller, &EngineController::evaluationReady, this, [this] {
        m_stale = false;
        if (m_controller.metric() != m_metric)
            reload();
        showReference();
        showPresent();
    });
    connect(&m_controller, &EngineController::estimateInvalidated, this, [this] {
        m_stale = true;
        showPresent();
    });
    connect(&m_controller, &EngineController::dataOpened, this, &TradeoffPanel::reload);
    connect(&m_controller, &EngineController::busyChanged, this, &TradeoffPanel::showPresent);
    connect(&m_document, &Document::modelChanged, this, &TradeoffPanel::reload);
    connect(&m_document, &Document::changed, this, [this](const ChangeEvent &event) {
        if (!event.calibration)
            m_stale = true;
        showPresent();
    });
    reload();
}

TradeoffPanel::~TradeoffPanel() = default;

void TradeoffPanel::setCostAxis(CostAxis axis)
{
    m_axis->setCurrentIndex(m_axis->findData(int(axis)));
    m_plot->setCostAxis(axis);
}

QString TradeoffPanel::summaryText() const
{
    return m_summary->text();
}

/// Points of one plot are measured by one metric on one data set. Trials of before that was written down count.
bool TradeoffPanel::belongs(const TrialRecord &trial) const
{
    const auto &data = m_controller.results().data;
    return trial.metric == m_metric && (!data || trial.data.empty() || trial.data == data->spec);
}

void TradeoffPanel::reload()
{
    m_metric = m_controller.metric();
    m_plot->setMetric(metricTitle(m_metric), isShare(m_metric));
    std::vector<TradeoffPoint> points;
    if (m_document.model())
        for (const TrialRecord &trial : m_controller.results().trials)
            if (belongs(trial))
                points.push_back(pointOf(trial));
    m_plot->setPoints(std::move(points));
    showReference();
    showPresent();
}

TradeoffPanel::Digest TradeoffPanel::digest(const ResolvedConfig &config) const
{
    Digest result{kNaN, {}};
    double bits = 0, weights = 0;
    LayersByChoice weightBits, activationBits;
    for (const auto &[name, layer] : config) {
        const LayerInfo *info = m_document.layer(name);
        const double count = info ? double(info->weightCount) : 0;
        bits += count * layer.weight.bits;
        weights += count;
        ++weightBits[{layer.weight.isFloat() ? 32 : layer.weight.bits, layer.weight.method}];
        ++activationBits[{layer.activation.isFloat() ? 32 : layer.activation.bits, layer.activation.method}];
    }
    if (weights > 0)
        result.meanBits = bits / weights;
    if (!config.empty())
        result.text = tr("weights: %1\nactivations: %2").arg(bitsText(weightBits, m_document.catalog()), bitsText(activationBits, m_document.catalog()));
    return result;
}

TradeoffPanel::Digest TradeoffPanel::digest(const std::string &assignment) const
{
    const auto json = nlohmann::json::parse(assignment, nullptr, false);
    if (json.is_discarded() || !m_document.model())
        return {kNaN, {}};
    const auto config = configFromJson(json, m_document.catalog());
    if (!config)
        return {kNaN, {}};
    const auto resolved = resolve(*config, *m_document.model(), m_document.catalog());
    return resolved ? digest(*resolved) : Digest{kNaN, {}};
}

TradeoffPoint TradeoffPanel::pointOf(const TrialRecord &trial) const
{
    TradeoffPoint point;
    point.id = trial.id;
    point.kind = trial.kind == "epoch"   ? TradeoffPoint::Kind::FineTuned
                 : trial.kind == "sweep" ? TradeoffPoint::Kind::Swept
                                         : TradeoffPoint::Kind::Evaluated;
    const Digest about = digest(trial.assignment);
    point.cost = {double(trial.sizeBytes), trial.bops, about.meanBits};
    point.value = trial.value;
    point.low = trial.low;
    point.high = trial.high;
    point.title = trial.epoch > 0 ? tr("Trial %1, fine-tuned, epoch %2").arg(trial.id).arg(trial.epoch)
                                   : tr("Trial %1").arg(trial.id);
    point.details = about.text;
    if (trial.samples > 0)
        point.details += (point.details.isEmpty() ? QString() : QStringLiteral("\n")) + tr("%L1 samples").arg(trial.samples);
    return point;
}

void TradeoffPanel::showReference()
{
    const auto &value = m_controller.results().floatValue;
    if (!value || !std::isfinite(*value) || !m_document.model()) {
        m_plot->setReference(std::nullopt);
        return;
    }
    TradeoffPoint point;
    point.cost = {double(m_document.floatSizeBytes()), m_document.floatCost().bops, 32};
    point.value = point.low = point.high = *value;
    point.title = tr("Float network");
    m_plot->setReference(point);
}

void TradeoffPanel::showPresent()
{
    if (!m_document.model()) {
        m_plot->setPresent(std::nullopt, false);
        m_summary->clear();
        return;
    }
    TradeoffPoint point;
    const double bytes = double(m_document.cost().sizeBytes()), floatBytes = double(m_document.floatSizeBytes());
    point.cost = {bytes, m_document.cost().bops, digest(m_document.resolved()).meanBits};
    const auto &estimate = m_controller.results().estimate;
    const bool known = estimate && !m_stale && estimate->trial.metric == m_metric;
    point.value = known ? estimate->trial.value : kNaN;
    point.low = known ? estimate->trial.low : kNaN;
    point.high = known ? estimate->trial.high : kNaN;
    m_plot->setPresent(point, known && !estimate->final && m_controller.evaluationJob() != 0);

    QString text = tr("%1 of %2").arg(formatBytes(bytes), formatBytes(floatBytes));
    if (bytes > 0 && bytes < floatBytes)
        text += tr(" (%1 smaller)").arg(formatRatio(floatBytes / bytes));
    if (known) {
        text += QStringLiteral(" · ") + formatMetric(m_metric, point.value, point.low, point.high);
        const auto &reference = m_controller.results().floatValue;
        if (reference && std::isfinite(*reference) && isShare(m_metric))
            text += tr(", %1 against float").arg(formatShareChange(point.value - *reference));
    } else if (m_controller.results().data) {
        text += QStringLiteral(" · ") + tr("not measured yet");
    }
    m_summary->setText(text);
}

void TradeoffPanel::restoreTrial(qint64 id)
{
    for (const TrialRecord &trial : m_controller.results().trials) {
        if (trial.id != id)
            continue;
        const auto json = nlohmann::json::parse(trial.assignment, nullptr, false);
        if (json.is_discarded())
            return;
        if (const auto config = configFromJson(json, m_document.catalog()))
            m_document.setState({*config, trial.weights}, tr("Restore trial %1").arg(id));
        return;
    }
}

} // namespace bitwright
