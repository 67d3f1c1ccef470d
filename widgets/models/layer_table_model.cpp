// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/layer_table_model.h"

#include "bridge/engine_controller.h"
#include "config/stored_spec.h"
#include "util/format.h"

#include <QFont>
#include <QGuiApplication>
#include <QLocale>
#include <QPalette>

#include <QPointF>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace bitwright {

namespace {

using Model = LayerTableModel;

constexpr std::size_t kStripBins = 40;
constexpr double kBearable = 0.01, kBearableDb = 20;   // the loss, or the noise, up to which a sparsity counts as bearable

bool isNumber(int column)
{
    return column == Model::Parameters || column == Model::Macs || column == Model::WeightBits ||
           column == Model::ActivationBits || column >= Model::WeightSqnr;
}

Role roleOf(int column)
{
    return column == Model::WeightMethod || column == Model::WeightBits ? Role::Weight : Role::Activation;
}

bool isEditable(int column)
{
    return column >= Model::WeightMethod && column <= Model::ActivationBits;
}

bool isMethod(int column)
{
    return column == Model::WeightMethod || column == Model::ActivationMethod;
}

struct Header {
    const char *title, *help;
};

Header header(int column)
{
    switch (column) {
    case Model::Name: return {QT_TR_NOOP("Layer"), QT_TR_NOOP("Name of the layer: its weight's name in the network, less “.weight”")};
    case Model::Operator: return {QT_TR_NOOP("Operator"), QT_TR_NOOP("What the layer computes, in ATen's words")};
    case Model::WeightShape: return {QT_TR_NOOP("Weight shape"), QT_TR_NOOP("Dimensions of the weight, output channels first")};
    case Model::Parameters: return {QT_TR_NOOP("Params"), QT_TR_NOOP("Number of weights and biases")};
    case Model::Macs: return {QT_TR_NOOP("MACs"), QT_TR_NOOP("Multiply-accumulate operations for one sample")};
    case Model::Distribution: return {QT_TR_NOOP("Weights"), QT_TR_NOOP("Distribution of the weights, smallest value left, largest right; square-root counts")};
    case Model::WeightMethod: return {QT_TR_NOOP("W method"), QT_TR_NOOP("How the weight is quantized")};
    case Model::WeightBits: return {QT_TR_NOOP("W bits"), QT_TR_NOOP("Bits per weight; 32 is float. Keys 1 to 8, 0 for float, [ and ]")};
    case Model::ActivationMethod: return {QT_TR_NOOP("A method"), QT_TR_NOOP("How the layer's input is quantized")};
    case Model::ActivationBits: return {QT_TR_NOOP("A bits"), QT_TR_NOOP("Bits per value of the layer's input; 32 is float")};
    case Model::WeightSqnr: return {QT_TR_NOOP("SQNR dB"), QT_TR_NOOP("Signal to quantization noise of the weight in decibels: 10 log₁₀(mean w² / mean error²); more is better")};
    case Model::AccuracyChange: return {QT_TR_NOOP("Δ metric pp"), QT_TR_NOOP("Change of the metric, in percentage points, when only this layer is quantized to its present bits; from a sweep")};
    case Model::Sensitivity: return {QT_TR_NOOP("Sensitivity"), QT_TR_NOOP("What pruning this layer alone costs: the metric against sparsity, from “Measure pruning sensitivity”; sorted by the sparsity that costs no more than one point")};
    case Model::Kept: return {QT_TR_NOOP("Kept"), QT_TR_NOOP("Share of the weights that the layer's mask keeps; the rest is pruned")};
    case Model::SizeNow: return {QT_TR_NOOP("Size kB"), QT_TR_NOOP("What the layer takes now, in kilobytes (1000 bytes): packed weights, scales, bias and batch norm")};
    case Model::SizeBefore: return {QT_TR_NOOP("Before kB"), QT_TR_NOOP("What the layer takes in the baseline, or in the float network when none is pinned")};
    default: return {"", ""};
    }
}

QString bitsText(const QuantSpec *spec)
{
    if (!spec)
        return QStringLiteral("–");
    return spec->isFloat() ? QStringLiteral("32") : QString::number(spec->bits);
}

/// What the file itself says of a tensor that has no quantizer of its own. Folding makes other weights.
const StoredQuantization *storedAt(const Document &document, const LayerInfo &info, Role role)
{
    const QuantSpec *own = document.spec(info.name, role);
    const bool folded = role == Role::Weight && document.config().foldBatchNorm && !info.batchNorm.empty();
    const auto &stored = role == Role::Weight ? info.storedWeight : info.storedInput;
    return stored && !folded && (!own || own->isFloat()) ? &*stored : nullptr;
}

double kilobytes(const ModelCost &cost, const std::string &layer)
{
    const auto it = cost.layers.find(layer);
    return it == cost.layers.end() ? 0 : it->second.totalBits() / 8000;
}

QString kilobytesText(double value)
{
    return QLocale().toString(value, 'f', value < 10 ? 2 : value < 100 ? 1 : 0);
}

} // namespace

LayerTableModel::LayerTableModel(Document &document, EngineController &controller, QObject *parent)
    : QAbstractTableModel(parent), m_document(document), m_controller(controller)
{
    reset();
    connect(&document, &Document::modelChanged, this, &LayerTableModel::reset);
    connect(&document, &Document::changed, this, &LayerTableModel::onChanged);
    connect(&document, &Document::baselineChanged, this, [this] { touchAll(WeightMethod, SizeBefore); });
    connect(&controller, &EngineController::statisticsReady, this, [this](const StatisticsReady &event) {
        if (event.role != Role::Weight)
            return;
        m_strips.erase(event.layer);
        touch(event.layer, Distribution, Distribution);
    });
    connect(&controller, &EngineController::weightErrorChanged, this,
            [this](const std::string &layer) { touch(layer, WeightSqnr, WeightSqnr); });
    connect(&controller, &EngineController::sweepStarted, this, [this] { touchAll(AccuracyChange, AccuracyChange); });
    connect(&controller, &EngineController::sensitivityStarted, this, [this] { touchAll(Sensitivity, Sensitivity); });
    connect(&controller, &EngineController::sensitivityPoint, this,
            [this](const SensitivityPoint &event) { touch(event.layer, Sensitivity, Sensitivity); });
    connect(&controller, &EngineController::sweepPoint, this,
            [this](const SweepPoint &event) { touch(event.layer, AccuracyChange, AccuracyChange); });
}

void LayerTableModel::reset()
{
    beginResetModel();
    m_rows.clear();
    m_strips.clear();
    if (const ModelSummary *model = m_document.model()) {
        for (std::size_t i = 0; i < model->layers.size(); ++i)
            m_rows[model->layers[i].name] = int(i);
    }
    endResetModel();
}

int LayerTableModel::rowOf(const std::string &layer) const
{
    const auto it = m_rows.find(layer);
    return it == m_rows.end() ? -1 : it->second;
}

const LayerInfo *LayerTableModel::layerAt(int row) const
{
    const ModelSummary *model = m_document.model();
    return model && row >= 0 && std::size_t(row) < model->layers.size() ? &model->layers[std::size_t(row)] : nullptr;
}

int LayerTableModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_rows.size());
}

int LayerTableModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(ColumnCount);
}

void LayerTableModel::touch(const std::string &layer, Column first, Column last)
{
    if (const int row = rowOf(layer); row >= 0)
        emit dataChanged(index(row, first), index(row, last));
}

void LayerTableModel::touchAll(Column first, Column last)
{
    if (rowCount() > 0)
        emit dataChanged(index(0, first), index(rowCount() - 1, last));
}

void LayerTableModel::onChanged(const ChangeEvent &event)
{
    if (event.diff.network || event.weights) {
        touchAll(WeightMethod, SizeBefore);
        return;
    }
    for (const auto &[layer, what] : event.diff.layers)
        touch(layer, WeightMethod, SizeBefore);
}

std::optional<double> LayerTableModel::sqnr(const LayerInfo &info) const
{
    const QuantSpec *spec = m_document.spec(info.name, Role::Weight);
    const auto &errors = m_controller.results().weightErrors;
    const auto it = errors.find(info.name);
    if (!spec || spec->isFloat() || it == errors.end() ||
        !it->second.isOf(*spec, m_document.config().foldBatchNorm, m_document.state().weights, m_document.mask(info.name)))
        return std::nullopt;
    return it->second.sqnrDb;
}

double LayerTableModel::keptShare(const LayerInfo &info) const
{
    const auto cost = m_document.cost().layers.find(info.name);
    return cost == m_document.cost().layers.end() ? 1 : cost->second.keptShare;
}

const SweepPoint *LayerTableModel::sweepPoint(const LayerInfo &info) const
{
    const QuantSpec *weight = m_document.spec(info.name, Role::Weight);
    const QuantSpec *activation = m_document.spec(info.name, Role::Activation);
    if (!weight || !activation || (weight->isFloat() && activation->isFloat()))
        return nullptr;
    const int bits = weight->isFloat() ? activation->bits : weight->bits;
    const auto &sweep = m_controller.results().sweep;
    const auto it = std::ranges::find_if(sweep, [&](const SweepPoint &p) { return p.layer == info.name && p.bits == bits; });
    return it == sweep.end() ? nullptr : &*it;
}

std::vector<SensitivityPoint> LayerTableModel::sensitivityOf(const LayerInfo &info) const
{
    std::vector<SensitivityPoint> points;
    std::ranges::copy_if(m_controller.results().sensitivity, std::back_inserter(points),
                         [&](const SensitivityPoint &point) { return point.layer == info.name; });
    std::ranges::sort(points, {}, &SensitivityPoint::sparsity);
    return points;
}

QList<QPointF> LayerTableModel::sensitivityCurve(const LayerInfo &info) const
{
    const bool decibels = m_controller.results().sensitivityAsked.measure == "sqnr";
    QList<QPointF> curve;
    for (const SensitivityPoint &point : sensitivityOf(info)) {
        // The same scale in every row: shares as they are, decibels from 0 to 40.
        const double height = decibels ? point.value / 40 : point.value;
        if (std::isfinite(height))
            curve << QPointF(point.sparsity, std::clamp(height, 0.0, 1.0));
    }
    return curve;
}

/// The greatest sparsity up to which every measured one costs little.
std::optional<double> LayerTableModel::bearableSparsity(const LayerInfo &info) const
{
    const bool decibels = m_controller.results().sensitivityAsked.measure == "sqnr";
    const auto points = sensitivityOf(info);
    if (points.empty())
        return std::nullopt;
    double bearable = 0;
    for (const SensitivityPoint &point : points) {
        if (decibels ? point.value < kBearableDb : point.delta < -kBearable)
            break;
        bearable = point.sparsity;
    }
    return bearable;
}

QString LayerTableModel::sensitivityTip(const LayerInfo &info) const
{
    const auto &asked = m_controller.results().sensitivityAsked;
    const auto points = sensitivityOf(info);
    if (points.empty())
        return tr(header(Sensitivity).help);
    QStringList lines{tr("%1 pruned alone by %2").arg(toQString(info.name), toQString(asked.method))};
    for (const SensitivityPoint &point : points) {
        const QString value = asked.measure == "sqnr" ? tr("%1 dB").arg(QLocale().toString(point.value, 'f', 1))
                                                      : tr("%1 (%2)").arg(formatShare(point.value, 2), formatShareChange(point.delta));
        lines << tr("%1: %2, %3").arg(formatShare(point.sparsity, 0), value, formatBytes(double(point.sizeBytes)));
    }
    return lines.join(QChar(u'\n'));
}

QList<double> LayerTableModel::strip(const std::string &layer) const
{
    if (const auto it = m_strips.find(layer); it != m_strips.end())
        return it->second;
    const StatisticsReady *statistics = m_controller.results().statisticsOf(layer, Role::Weight);
    QList<double> heights;
    if (statistics && statistics->histogram.total() > 0) {
        const Histogram &full = statistics->histogram;
        const Histogram small = rebin(full, full.lo, full.hi, kStripBins);
        const double top = double(*std::ranges::max_element(small.counts));
        for (const std::uint64_t count : small.counts)
            heights << std::sqrt(double(count) / top);
    }
    m_strips[layer] = heights;
    return heights;
}

QStringList LayerTableModel::methods(Role role) const
{
    QStringList ids{QString::fromLatin1(kFloatMethod)};
    for (const MethodTraits &method : m_document.catalog().methods()) {
        if (method.kind == MethodKind::Quantizer && method.hasRole(role) && method.id != kFloatMethod)
            ids << toQString(method.id);
    }
    return ids;
}

QVariant LayerTableModel::display(const LayerInfo &info, Column column) const
{
    const bool able = info.status == LayerStatus::Quantizable;
    switch (column) {
    case Name: return toQString(info.name);
    case Operator: return toQString(info.op);
    case WeightShape: return formatShape(info.weightShape);
    case Parameters: return formatCount(double(info.parameters()));
    case Macs: return info.macs > 0 ? formatCount(double(info.macs)) : QStringLiteral("–");
    case WeightMethod:
    case ActivationMethod: {
        const bool none = column == ActivationMethod && info.weightOnly;
        const QuantSpec *spec = none ? nullptr : m_document.spec(info.name, roleOf(column));
        if (const StoredQuantization *stored = storedAt(m_document, info, roleOf(column)))
            return tr("%1 (file)").arg(toQString(storedText(*stored)));
        return spec ? toQString(spec->method) : QStringLiteral("–");
    }
    case WeightBits:
    case ActivationBits:
        if (const StoredQuantization *stored = storedAt(m_document, info, roleOf(column)))
            return tr("%1 file").arg(stored->bits);
        return bitsText(column == ActivationBits && info.weightOnly ? nullptr : m_document.spec(info.name, roleOf(column)));
    case WeightSqnr: {
        const auto value = sqnr(info);
        return value && std::isfinite(*value) ? QLocale().toString(*value, 'f', 1) : QStringLiteral("–");
    }
    case AccuracyChange: {
        const SweepPoint *point = able ? sweepPoint(info) : nullptr;
        if (!point)
            return QStringLiteral("–");
        QString text = formatShareChange(point->delta);
        return text.left(text.size() - 3);   // the unit stands in the header
    }
    case Kept: return keptShare(info) < 1 ? formatShare(keptShare(info), 1) : QStringLiteral("–");
    case Sensitivity: {
        const auto sparsity = bearableSparsity(info);
        return sparsity ? formatShare(*sparsity, 0) : QStringLiteral("–");
    }
    case SizeNow: return kilobytesText(kilobytes(m_document.cost(), info.name));
    case SizeBefore: return kilobytesText(kilobytes(m_document.baselineCost(), info.name));
    default: return {};
    }
}

QVariant LayerTableModel::sortValue(const LayerInfo &info, Column column) const
{
    switch (column) {
    case Name: return rowOf(info.name);   // the order of the network
    case Parameters:
    case WeightShape: return qint64(info.parameters());
    case Macs: return qint64(info.macs);
    case Distribution: {
        const StatisticsReady *statistics = m_controller.results().statisticsOf(info.name, Role::Weight);
        return statistics ? statistics->moments.std() : 0.0;
    }
    case WeightBits:
    case ActivationBits: {
        const QuantSpec *spec = m_document.spec(info.name, roleOf(column));
        if (const StoredQuantization *stored = storedAt(m_document, info, roleOf(column)))
            return stored->bits;
        return spec ? (spec->isFloat() ? 32 : spec->bits) : 33;
    }
    case WeightSqnr: return sqnr(info).value_or(1e9);
    case AccuracyChange: {
        const SweepPoint *point = sweepPoint(info);
        return point ? point->delta : 1e9;
    }
    case Sensitivity: return bearableSparsity(info).value_or(2);
    case Kept: return keptShare(info);
    case SizeNow: return kilobytes(m_document.cost(), info.name);
    case SizeBefore: return kilobytes(m_document.baselineCost(), info.name);
    default: return display(info, column);
    }
}

QString LayerTableModel::toolTip(const LayerInfo &info, Column column) const
{
    const QString stored = toQString(storedText(info));
    if (info.status != LayerStatus::Quantizable)
        return tr("%1: %2").arg(toQString(info.name), toQString(info.reason)) + (stored.isEmpty() ? stored : QChar(u'\n') + stored);
    if (info.weightOnly && (column == ActivationMethod || column == ActivationBits))
        return tr("Only the weight of %1 can be quantized: %2").arg(toQString(info.name), toQString(weightOnlyReason(info)));
    switch (column) {
    case Name:
        return tr("%1\n%2, %3 weights, %4 biases").arg(toQString(info.name), toQString(info.op))
                   .arg(info.weightCount).arg(info.biasCount)
               + (stored.isEmpty() ? stored : QChar(u'\n') + stored);
    case WeightShape: return formatShape(info.weightShape) + QStringLiteral(", ") + counted(info.groups, tr("%1 group"), tr("%1 groups"));
    case Parameters: return QLocale().toString(qint64(info.parameters()));
    case Macs: return tr("%1 multiply-accumulates per sample").arg(QLocale().toString(qint64(info.macs)));
    case WeightMethod:
    case ActivationMethod: {
        const QuantSpec *spec = m_document.spec(info.name, roleOf(column));
        const MethodTraits *method = spec ? m_document.catalog().quantizer(spec->method) : nullptr;
        const QString what = method ? tr("%1. %2\n%3").arg(toQString(method->title), toQString(method->summary), toQString(method->paper))
                                    : tr("Not quantized. Choose a method or press 1 to 8.");
        return keptText(info, roleOf(column)) + fileText(info, roleOf(column)) + what;
    }
    case WeightBits:
    case ActivationBits: return keptText(info, roleOf(column)) + fileText(info, roleOf(column)) + tr(header(column).help);
    case Sensitivity: return sensitivityTip(info);
    case SizeNow: {
        const double now = kilobytes(m_document.cost(), info.name), before = kilobytes(m_document.baselineCost(), info.name);
        return now > 0 ? tr("%1 kB now, %2 kB before: %3 smaller").arg(kilobytesText(now), kilobytesText(before), formatRatio(before / now))
                       : QString();
    }
    default: return tr(header(column).help);
    }
}

/// What the file itself quantizes, and what a quantizer of one's own does to that; empty where the file has float values.
QString LayerTableModel::fileText(const LayerInfo &info, Role role) const
{
    const auto &stored = role == Role::Weight ? info.storedWeight : info.storedInput;
    if (!stored)
        return {};
    const QString what = toQString(storedText(*stored));
    const QString text = storedAt(m_document, info, role)
                             ? tr("The file has %1. A quantizer set here works on the values that these codes stand for.").arg(what)
                             : tr("Quantized over the file's %1: it works on the values that those codes stand for.").arg(what);
    return text + QChar(u'\n');
}

/// Why the policy gives a layer other bits than the rest; empty where it does not.
QString LayerTableModel::keptText(const LayerInfo &info, Role role) const
{
    const LayerPolicy::Keep keep = m_document.keptAs(info.name, role);
    if (keep == LayerPolicy::Keep::Same)
        return {};
    const QString how = keep == LayerPolicy::Keep::Float ? tr("in float") : tr("at 8 bit");
    return (info.shortcut && m_document.config().policy.shortcuts == keep ? tr("Kept %1: a shortcut. ") : tr("Kept %1: the first or the last layer. ")).arg(how) +
           tr("Set its bits to change that, or the policy below the table.") + QChar(u'\n');
}

bool LayerTableModel::differs(const LayerInfo &info, Column column) const
{
    if (!m_document.hasBaseline() || !isEditable(column))
        return false;
    const QuantSpec *now = m_document.spec(info.name, roleOf(column));
    const QuantSpec *then = m_document.baselineSpec(info.name, roleOf(column));
    return now && then && (isMethod(column) ? now->method != then->method : now->bits != then->bits);
}

QVariant LayerTableModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const LayerInfo &info = *layerAt(index.row());
    const auto column = Column(index.column());
    const bool able = info.status == LayerStatus::Quantizable;
    switch (role) {
    case Qt::DisplayRole: return display(info, column);
    case Qt::EditRole:
        if (column == WeightBits || column == ActivationBits) {
            const QuantSpec *spec = m_document.spec(info.name, roleOf(column));
            return spec ? (spec->isFloat() ? 0 : spec->bits) : 0;
        }
        return display(info, column);
    case Qt::ToolTipRole: return toolTip(info, column);
    case Qt::TextAlignmentRole: return isNumber(column) ? QVariant(Qt::AlignRight | Qt::AlignVCenter) : QVariant();
    case Qt::ForegroundRole: {
        const bool quiet = !able || (isEditable(column) && m_document.spec(info.name, roleOf(column))->isFloat());
        return quiet ? QVariant(QGuiApplication::palette().brush(QPalette::Disabled, QPalette::Text)) : QVariant();
    }
    case Qt::FontRole:
        if (differs(info, column)) {
            QFont font;
            font.setBold(true);
            return font;
        }
        return {};
    case SortRole: return sortValue(info, column);
    case LayerRole: return toQString(info.name);
    case StripRole: return column == Distribution ? QVariant::fromValue(strip(info.name)) : QVariant();
    case CurveRole: return column == Sensitivity ? QVariant::fromValue(sensitivityCurve(info)) : QVariant();
    case MethodsRole: return isMethod(column) ? QVariant(methods(roleOf(column))) : QVariant();
    case DiffersRole: return differs(info, column);
    case KeptRole: return able && isEditable(column) && m_document.keptAs(info.name, roleOf(column)) != LayerPolicy::Keep::Same;
    default: return {};
    }
}

QVariant LayerTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::DisplayRole)
        return tr(header(section).title);
    if (role == Qt::ToolTipRole)
        return tr(header(section).help);
    if (role == Qt::TextAlignmentRole)
        return QVariant((isNumber(section) ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    return {};
}

Qt::ItemFlags LayerTableModel::flags(const QModelIndex &index) const
{
    Qt::ItemFlags flags = QAbstractTableModel::flags(index);
    if (!index.isValid())
        return flags;
    flags |= Qt::ItemNeverHasChildren;
    const LayerInfo *info = layerAt(index.row());
    const bool input = index.column() == ActivationMethod || index.column() == ActivationBits;
    if (info && isEditable(index.column()) && (input ? info->inputQuantizable() : info->status == LayerStatus::Quantizable))
        flags |= Qt::ItemIsEditable;
    return flags;
}

bool LayerTableModel::setData(const QModelIndex &index, const QVariant &value, int role)
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid) || role != Qt::EditRole || !(flags(index) & Qt::ItemIsEditable))
        return false;
    const std::string &name = layerAt(index.row())->name;
    const LayerNames &selection = m_document.selection();
    const bool among = std::ranges::find(selection, name) != selection.end();
    const LayerNames layers = among ? selection : LayerNames{name};
    const Role site = roleOf(index.column());
    if (isMethod(index.column()))
        m_document.setMethod(layers, site, value.toString().toStdString());
    else
        m_document.setBits(layers, site, value.toInt());
    return true;
}

// ---- filter ----

LayerFilterModel::LayerFilterModel(QObject *parent) : QSortFilterProxyModel(parent)
{
    setSortRole(LayerTableModel::SortRole);
    setDynamicSortFilter(true);
}

void LayerFilterModel::setFilterText(const QString &text)
{
    m_text = text.trimmed();
    invalidateFilter();
}

void LayerFilterModel::setOnlyQuantizable(bool only)
{
    m_onlyQuantizable = only;
    invalidateFilter();
}

bool LayerFilterModel::filterAcceptsRow(int row, const QModelIndex &parent) const
{
    const QAbstractItemModel *model = sourceModel();
    if (m_onlyQuantizable && !(model->index(row, LayerTableModel::WeightBits, parent).flags() & Qt::ItemIsEditable))
        return false;
    if (m_text.isEmpty())
        return true;
    for (const int column : {LayerTableModel::Name, LayerTableModel::Operator, LayerTableModel::WeightMethod,
                             LayerTableModel::ActivationMethod}) {
        if (model->index(row, column, parent).data().toString().contains(m_text, Qt::CaseInsensitive))
            return true;
    }
    return false;
}

bool LayerFilterModel::lessThan(const QModelIndex &left, const QModelIndex &right) const
{
    const QVariant a = left.data(LayerTableModel::SortRole), b = right.data(LayerTableModel::SortRole);
    const auto order = QVariant::compare(a, b);
    // Equal rows keep the order of the network.
    return order == QPartialOrdering::Equivalent ? left.row() < right.row() : order == QPartialOrdering::Less;
}

} // namespace bitwright
