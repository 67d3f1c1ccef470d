// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/trials_model.h"

#include "bridge/engine_controller.h"
#include "util/format.h"

#include <QDateTime>
#include <QLocale>

namespace bitwright {

namespace {

QString kindText(const TrialRecord &trial)
{
    if (trial.kind == "evaluation")
        return TrialsModel::tr("evaluation");
    if (trial.kind == "epoch")
        return TrialsModel::tr("epoch %1").arg(trial.epoch);
    if (trial.kind == "sweep")
        return TrialsModel::tr("sweep");
    return toQString(trial.kind);
}

QString valueText(const TrialRecord &trial, double value)
{
    return isShare(trial.metric) ? formatShare(value) : formatDecibel(value);
}

} // namespace

TrialsModel::TrialsModel(EngineController &controller, QObject *parent)
    : QAbstractTableModel(parent), m_controller(controller)
{
    m_trials = controller.results().trials;
    connect(&controller, &EngineController::trialAdded, this, &TrialsModel::add);
    connect(&controller, &EngineController::trialsReset, this, &TrialsModel::reload);
}

int TrialsModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_trials.size());
}

int TrialsModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(ColumnCount);
}

QVariant TrialsModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const TrialRecord &trial = m_trials[std::size_t(index.row())];
    const bool sorting = role == SortRole;
    if (role == Qt::TextAlignmentRole)
        return index.column() == Kind || index.column() == Metric || index.column() == Data ? QVariant() : QVariant(Qt::AlignRight | Qt::AlignVCenter);
    if (role != Qt::DisplayRole && !sorting)
        return {};
    switch (index.column()) {
    case Number: return qint64(trial.id);
    case Kind: return kindText(trial);
    case Metric: return metricTitle(trial.metric);
    case Value: return sorting ? QVariant(trial.value) : valueText(trial, trial.value);
    case Low: return sorting ? QVariant(trial.low) : valueText(trial, trial.low);
    case High: return sorting ? QVariant(trial.high) : valueText(trial, trial.high);
    case Size: return sorting ? QVariant(qint64(trial.sizeBytes)) : formatBytes(double(trial.sizeBytes));
    case Bops: return sorting ? QVariant(trial.bops) : formatCount(trial.bops);
    case Data: return toQString(dataLabel(trial.data));
    case Samples: return sorting ? QVariant(qint64(trial.samples)) : QLocale().toString(qint64(trial.samples));
    case Seconds: return sorting ? QVariant(trial.seconds) : QLocale().toString(trial.seconds, 'f', 2);
    case Created: {
        const QDateTime time = QDateTime::fromString(toQString(trial.created), Qt::ISODate);
        return time.isValid() && !sorting ? QLocale().toString(time.toLocalTime(), QLocale::ShortFormat)
                                          : toQString(trial.created);
    }
    default: return {};
    }
}

QVariant TrialsModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole)
        return {};
    switch (section) {
    case Number: return tr("Trial");
    case Kind: return tr("Kind");
    case Metric: return tr("Metric");
    case Value: return tr("Value");
    case Low: return tr("95 % low");
    case High: return tr("95 % high");
    case Size: return tr("Size");
    case Bops: return tr("BOPs");
    case Data: return tr("Data");
    case Samples: return tr("Samples");
    case Seconds: return tr("Seconds");
    case Created: return tr("Measured");
    default: return {};
    }
}

void TrialsModel::reload()
{
    beginResetModel();
    m_trials = m_controller.results().trials;
    endResetModel();
}

void TrialsModel::add(const TrialRecord &trial)
{
    beginInsertRows({}, rowCount(), rowCount());
    m_trials.push_back(trial);
    endInsertRows();
}

} // namespace bitwright
