// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/network_compare_model.h"

#include "util/format.h"

#include <QGuiApplication>
#include <QPalette>

#include <cmath>

namespace bitwright {

namespace {

bool isDone(const std::optional<NetworkCompared> &result)
{
    return result && result->error.empty();
}

QString valueText(const std::optional<NetworkCompared> &result)
{
    if (!result)
        return QStringLiteral("–");
    if (!result->error.empty())
        return NetworkCompareModel::tr("failed");
    const TrialRecord &trial = result->trial;
    return formatMetric(trial.metric, trial.value, trial.low, trial.high);
}

QString bitsText(int bits)
{
    return bits >= 32 ? NetworkCompareModel::tr("float") : QString::number(bits);
}

QVariant valueOf(const std::optional<NetworkCompared> &result)
{
    return isDone(result) && std::isfinite(result->trial.value) ? QVariant(result->trial.value) : QVariant();
}

QString errorOf(const NetworkCompareModel::Row &row)
{
    for (const auto *result : {&row.calibrated, &row.trained})
        if (*result && !(*result)->error.empty())
            return toQString((*result)->error);
    return {};
}

} // namespace

bool NetworkCompareModel::Row::failed() const
{
    return (calibrated && !calibrated->error.empty()) || (trained && !trained->error.empty());
}

const NetworkCompared *NetworkCompareModel::Row::best() const
{
    return isDone(trained) ? &*trained : isDone(calibrated) ? &*calibrated : nullptr;
}

void NetworkCompareModel::setRows(std::vector<Row> rows)
{
    beginResetModel();
    m_rows = std::move(rows);
    endResetModel();
}

void NetworkCompareModel::setResult(const NetworkCompared &result)
{
    if (result.index >= m_rows.size())
        return;
    Row &row = m_rows[result.index];
    (result.trained ? row.trained : row.calibrated) = result;
    emit dataChanged(index(int(result.index), 0), index(int(result.index), ColumnCount - 1));
}

int NetworkCompareModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_rows.size());
}

int NetworkCompareModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(ColumnCount);
}

QVariant NetworkCompareModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const Row &row = m_rows[std::size_t(index.row())];
    const NetworkCompared *best = row.best();
    const bool sorting = role == SortRole;
    switch (role) {
    case Qt::TextAlignmentRole:
        return index.column() == Method || index.column() == Note ? QVariant() : QVariant(int(Qt::AlignRight | Qt::AlignVCenter));
    case Qt::ForegroundRole:
        return best ? QVariant() : QVariant(QGuiApplication::palette().brush(QPalette::Disabled, QPalette::Text));
    case Qt::ToolTipRole: return row.failed() ? QVariant(errorOf(row)) : best ? QVariant(tr("A double click takes this assignment")) : QVariant();
    case Qt::DisplayRole:
    case SortRole: break;
    default: return {};
    }
    switch (index.column()) {
    case Method: return toQString(row.title);
    case WeightBits: return sorting ? QVariant(row.weightBits) : bitsText(row.weightBits);
    case ActivationBits: return sorting ? QVariant(row.activationBits) : bitsText(row.activationBits);
    case Calibrated: return sorting ? valueOf(row.calibrated) : valueText(row.calibrated);
    case Trained: return sorting ? valueOf(row.trained) : valueText(row.trained);
    case Size:
        if (!best)
            return sorting ? QVariant() : QStringLiteral("–");
        return sorting ? QVariant(qint64(best->trial.sizeBytes)) : formatBytes(double(best->trial.sizeBytes));
    case Note: return row.failed() ? QVariant(errorOf(row)) : sorting ? QVariant() : QVariant(QString());
    default: return {};
    }
}

QVariant NetworkCompareModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole)
        return int((section == Method || section == Note ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
    const bool tip = role == Qt::ToolTipRole;
    if (role != Qt::DisplayRole && !tip)
        return {};
    switch (section) {
    case Method: return tip ? tr("Quantizer of the weights") : tr("Method");
    case WeightBits: return tip ? tr("Bits per weight") : tr("W");
    case ActivationBits: return tip ? tr("Bits per value of the layers' inputs") : tr("A");
    case Calibrated: return tip ? tr("Metric after calibration alone, with its 95 % interval") : tr("Calibrated");
    case Trained: return tip ? tr("Metric after fine-tuning, with its 95 % interval") : tr("Trained");
    case Size: return tip ? tr("What the whole network takes") : tr("Size");
    case Note: return tip ? tr("Why it could not be done") : tr("Remark");
    default: return {};
    }
}

} // namespace bitwright
