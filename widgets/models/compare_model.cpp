// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/compare_model.h"

#include "plots/plot_data.h"
#include "util/format.h"

#include <QFont>
#include <QGuiApplication>
#include <QLocale>
#include <QPalette>

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

/// More levels than a cell has pixels are a band anyway.
constexpr std::size_t kMostTicks = 256;

QString real(double value)
{
    if (!std::isfinite(value))
        return QStringLiteral("–");
    // Errors of all sizes stand below each other: small ones all in one form.
    return value > 0 && value < 1e-3 ? QLocale().toString(value, 'e', 2) : formatReal(value, 3);
}

QVariant number(double value)
{
    return std::isfinite(value) ? QVariant(value) : QVariant();
}

} // namespace

CompareModel::CompareModel(const Catalog &catalog, QObject *parent) : QAbstractTableModel(parent), m_catalog(catalog)
{
}

void CompareModel::setSpecs(const std::vector<QuantSpec> &specs, bool forget)
{
    if (!forget && std::ranges::equal(specs, m_rows, {}, {}, &Row::spec))
        return;
    beginResetModel();
    std::vector<Row> rows;
    for (const QuantSpec &spec : specs) {
        const auto known = forget ? m_rows.end() : std::ranges::find(m_rows, spec, &Row::spec);
        rows.push_back(known == m_rows.end() ? Row{spec} : *known);
    }
    m_rows = std::move(rows);
    m_present = -1;
    endResetModel();
}

void CompareModel::setResult(const QuantSpec &spec, const CompareReady &result)
{
    const auto found = std::ranges::find(m_rows, spec, &Row::spec);
    if (found == m_rows.end())
        return;
    found->result = result;
    const int row = int(found - m_rows.begin());
    emit dataChanged(index(row, 0), index(row, ColumnCount - 1));
}

void CompareModel::setPresent(int row)
{
    if (row == m_present)
        return;
    const int before = std::exchange(m_present, row);
    for (const int each : {before, row})
        if (each >= 0 && each < rowCount())
            emit dataChanged(index(each, 0), index(each, ColumnCount - 1));
}

void CompareModel::setAxis(double lower, double upper, const QList<double> &heights)
{
    if (m_lower == lower && m_upper == upper && m_strip == heights)
        return;
    m_lower = lower;
    m_upper = upper;
    m_strip = heights;
    if (rowCount() > 0)
        emit dataChanged(index(0, Levels), index(rowCount() - 1, Levels));
}

std::vector<QuantSpec> CompareModel::missing() const
{
    std::vector<QuantSpec> specs;
    for (const Row &row : m_rows)
        if (!row.result)
            specs.push_back(row.spec);
    return specs;
}

int CompareModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_rows.size());
}

int CompareModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(ColumnCount);
}

QString CompareModel::title(const QuantSpec &spec) const
{
    const MethodTraits *method = m_catalog.quantizer(spec.method);
    return toQString(method && !method->title.empty() ? method->title : spec.method);
}

QString CompareModel::words(int at) const
{
    const Row &row = m_rows[std::size_t(at)];
    if (row.refused())
        return toQString(row.result->error);
    if (row.result && !row.result->warning.empty())
        return toQString(row.result->warning);
    const MethodTraits *method = m_catalog.quantizer(row.spec.method);
    if (!method)
        return {};
    QString text = toQString(method->summary);
    if (!method->paper.empty())
        text += QStringLiteral(" (%1)").arg(toQString(method->paper));
    return text;
}

QString CompareModel::display(const Row &row, Column column, bool present) const
{
    if (column == Method)
        return present ? QStringLiteral("● ") + title(row.spec) : title(row.spec);
    if (column == Bits)
        return QString::number(row.spec.bits);
    if (!row.result)
        return column == Note || column == Levels ? QString() : QStringLiteral("…");
    if (row.refused())
        return column == Note ? toQString(row.result->error) : column == Levels ? QString() : QStringLiteral("–");
    const CompareReady &result = *row.result;
    switch (column) {
    case Sqnr: return formatDecibel(result.sqnrDb);
    case Mse: return real(result.mse);
    case Entropy: return QLocale().toString(result.entropyBits, 'f', 2);
    case Size: return result.sizeBits > 0 ? formatBytes(result.sizeBits / 8) : QStringLiteral("–");
    case Note: return toQString(result.warning);
    default: return {};
    }
}

QVariant CompareModel::sortValue(const Row &row, Column column) const
{
    if (column == Method)
        return title(row.spec).toLower();
    if (column == Bits)
        return row.spec.bits;
    if (!row.result || row.refused())
        return {};
    switch (column) {
    case Sqnr: return number(row.result->sqnrDb);
    case Mse: return number(row.result->mse);
    case Entropy: return number(row.result->entropyBits);
    case Size: return row.result->sizeBits > 0 ? number(row.result->sizeBits) : QVariant();
    case Levels: return qulonglong(row.result->grid.levelCount());
    case Note: return row.result->warning.empty() ? QVariant() : QVariant(toQString(row.result->warning));
    default: return {};
    }
}

QList<double> CompareModel::levels(const Row &row) const
{
    QList<double> shares;
    if (!row.result || row.refused() || row.result->grid.empty() || !(m_upper > m_lower))
        return shares;
    const QuantGrid &grid = row.result->grid;
    const std::size_t group = widestGroup(grid), count = grid.levelCount(group), shown = std::min(count, kMostTicks);
    for (std::size_t i = 0; i < shown; ++i)
        shares << (grid.level(group, shown > 1 ? i * (count - 1) / (shown - 1) : 0) - m_lower) / (m_upper - m_lower);
    return shares;
}

QVariant CompareModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const Row &row = m_rows[std::size_t(index.row())];
    const auto column = Column(index.column());
    const bool present = index.row() == m_present;
    switch (role) {
    case Qt::DisplayRole:
        // A picture to the eye; copied and read aloud it is a number.
        if (column == Levels && row.result && !row.refused())
            return QString::number(row.result->grid.levelCount());
        return display(row, column, present);
    case Qt::ToolTipRole: return words(index.row());
    case Qt::TextAlignmentRole:
        return column == Method || column == Note ? QVariant() : QVariant(int(Qt::AlignRight | Qt::AlignVCenter));
    case Qt::ForegroundRole:
        return !row.result || row.refused() ? QVariant(QGuiApplication::palette().brush(QPalette::Disabled, QPalette::Text)) : QVariant();
    case Qt::FontRole: {
        QFont font;
        font.setBold(true);
        return present ? QVariant(font) : QVariant();
    }
    case Qt::AccessibleTextRole:
        if (column == Method)
            return present ? tr("%1, the present choice").arg(title(row.spec)) : title(row.spec);
        return column == Levels && row.result ? tr("%1 levels").arg(row.result->grid.levelCount()) : QVariant();
    case SortRole: return sortValue(row, column);
    case LevelsRole: return column == Levels ? QVariant::fromValue(levels(row)) : QVariant();
    case StripRole: return column == Levels ? QVariant::fromValue(m_strip) : QVariant();
    case PresentRole: return present;
    case RefusedRole: return row.refused();
    default: return {};
    }
}

QVariant CompareModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole)
        return int((section == Method || section == Note || section == Levels ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
    const bool tip = role == Qt::ToolTipRole;
    if (role != Qt::DisplayRole && !tip)
        return {};
    switch (section) {
    case Method: return tip ? tr("The quantizer, its options at their defaults") : tr("Method");
    case Bits: return tip ? tr("Bits per value; of ABC-Net the number of bases, of HORQ the order") : tr("Bits");
    case Levels: return tip ? tr("Where the levels lie over the distribution (of the widest channel where each has its own)") : tr("Levels");
    case Sqnr: return tip ? tr("Signal to quantization noise in decibels; more is better") : tr("SQNR");
    case Mse: return tip ? tr("Mean squared error of the values") : tr("MSE");
    case Entropy: return tip ? tr("Entropy of the codes in bits a value: what an ideal entropy coder would need") : tr("Entropy");
    case Size: return tip ? tr("What the weight takes: codes, scales and codebooks") : tr("Size");
    case Note: return tip ? tr("A warning, or why the method refuses") : tr("Remark");
    default: return {};
    }
}

// ---- sorting ----

CompareSortModel::CompareSortModel(int sortRole, QObject *parent) : QSortFilterProxyModel(parent)
{
    setSortRole(sortRole);
    setDynamicSortFilter(true);
}

bool CompareSortModel::lessThan(const QModelIndex &left, const QModelIndex &right) const
{
    const QVariant a = left.data(sortRole()), b = right.data(sortRole());
    if (a.isValid() != b.isValid())
        return (sortOrder() == Qt::AscendingOrder) == a.isValid();
    const auto order = a.isValid() ? QVariant::compare(a, b) : QPartialOrdering::Equivalent;
    if (order == QPartialOrdering::Equivalent)   // equal rows keep their order
        return (sortOrder() == Qt::AscendingOrder) == (left.row() < right.row());
    return order == QPartialOrdering::Less;
}

} // namespace bitwright
