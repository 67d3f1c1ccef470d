// SPDX-License-Identifier: GPL-3.0-or-later
#include "window/import_report_dialog.h"

#include "config/stored_spec.h"
#include "util/format.h"
#include "util/table_text.h"
#include "util/theme.h"

#include <QClipboard>
#include <QDialogButtonBox>
#include <QGuiApplication>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QTableWidget>
#include <QVBoxLayout>

#include <algorithm>

namespace bitwright {

QString missingToRun(const ModelSummary &model)
{
    if (model.format != "state_dict" && model.format != "safetensors") {
        if (model.obstacles.empty())
            return {};
        const QString first = QString::fromStdString(model.obstacles.front());
        const int more = int(model.obstacles.size()) - 1;
        return more == 0 ? ImportReportDialog::tr("The network cannot be run: %1.").arg(first)
                         : ImportReportDialog::tr("The network cannot be run: %1. %n more in File > Import Report.", nullptr, more).arg(first);
    }
    return ImportReportDialog::tr("The file holds weights without the network: it cannot be run or evaluated. Export the network "
                                  "from Python with torch.export as .pt2.");
}

namespace {

/// "43 layers: 22 quantizable, 21 float".
QString layerCounts(const ModelSummary &model)
{
    QStringList parts;
    for (const LayerStatus status : {LayerStatus::Quantizable, LayerStatus::Float, LayerStatus::Unsupported})
        if (const auto count = std::ranges::count(model.layers, status, &LayerInfo::status); count > 0)
            parts << QStringLiteral("%1 %2").arg(count).arg(QString::fromLatin1(layerStatusName(status)));
    const QString all = counted(qint64(model.layers.size()), ImportReportDialog::tr("%1 layer"), ImportReportDialog::tr("%1 layers"));
    return parts.isEmpty() ? all : all + QStringLiteral(": ") + parts.join(QStringLiteral(", "));
}

/// Grey where the layer is left as it is, as in the table of layers; coloured where it is not understood.
QTableWidgetItem *cellOf(const QString &text, LayerStatus status, const QPalette &palette)
{
    auto *item = new QTableWidgetItem(text);
    item->setToolTip(text);
    if (status == LayerStatus::Float)
        item->setForeground(palette.color(QPalette::PlaceholderText));
    else if (status == LayerStatus::Unsupported)
        item->setForeground(signalColours(palette).bad);
    return item;
}

} // namespace

ImportReportDialog::ImportReportDialog(const ModelSummary &model, QWidget *parent) : QDialog(parent)
{
    setWindowTitle(tr("Import report"));
    setAccessibleName(tr("Import report"));
    setAttribute(Qt::WA_DeleteOnClose);
    auto *layout = new QVBoxLayout(this);
    if (const QString missing = missingToRun(model); !missing.isEmpty()) {
        auto *label = new QLabel(missing);
        label->setTextFormat(Qt::PlainText);
        label->setWordWrap(true);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
        layout->addWidget(label);
        m_text = missing + QChar(u'\n');
    }
    for (std::size_t i = 1; i < model.obstacles.size(); ++i) {
        auto *label = new QLabel(QString::fromStdString(model.obstacles[i]));
        label->setTextFormat(Qt::PlainText);
        label->setWordWrap(true);
        layout->addWidget(label);
        m_text += label->text() + QChar(u'\n');
    }
    auto *count = new QLabel(layerCounts(model));
    count->setAccessibleName(tr("Number of layers"));
    layout->addWidget(count);
    m_text += count->text() + QChar(u'\n');
    const QStringList header{tr("Layer"), tr("Operator"), tr("Status"), tr("Reason")};
    auto *table = new QTableWidget(int(model.layers.size()), int(header.size()));
    table->setAccessibleName(tr("Layers of the file"));
    table->setHorizontalHeaderLabels(header);
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setTabKeyNavigation(false);
    table->setAlternatingRowColors(true);
    table->setShowGrid(false);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 8);
    table->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    table->horizontalHeader()->setHighlightSections(false);
    addCopyActions(table, QStringLiteral("import-report"));
    m_text += header.join(QChar(u'\t')) + QChar(u'\n');
    for (int row = 0; row < table->rowCount(); ++row) {
        const LayerInfo &layer = model.layers[std::size_t(row)];
        const std::string note = layerNote(layer), stored = storedText(layer);
        const QStringList cells{QString::fromStdString(layer.name), QString::fromStdString(layer.op),
                                QString::fromLatin1(layerStatusName(layer.status)), QString::fromStdString(note + (note.empty() || stored.empty() ? "" : "; ") + stored)};
        for (int column = 0; column < cells.size(); ++column)
            table->setItem(row, column, cellOf(cells[column], layer.status, palette()));
        m_text += cells.join(QChar(u'\t')) + QChar(u'\n');
    }
    table->resizeColumnsToContents();
    for (int column = 0; column + 1 < table->columnCount(); ++column)   // room, but none for names without end
        table->setColumnWidth(column, std::min(table->columnWidth(column) + fontMetrics().averageCharWidth() * 3, 320));
    table->horizontalHeader()->setStretchLastSection(true);
    layout->addWidget(table);
    auto *buttons = new QDialogButtonBox(QDialogButtonBox::Close);
    auto *copy = buttons->addButton(tr("&Copy"), QDialogButtonBox::ActionRole);
    connect(copy, &QPushButton::clicked, this, [this] { QGuiApplication::clipboard()->setText(m_text); });
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    layout->addWidget(buttons);
    resize(820, 560);
}

} // namespace bitwright
