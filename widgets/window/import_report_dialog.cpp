// SPDX-License-Identifier: GPL-3.0-or-later
#include "window/import_report_dialog.h"

#include <QClipboard>
#include <QDialogButtonBox>
#include <QGuiApplication>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QTableWidget>
#include <QVBoxLayout>

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
    const QStringList header{tr("Layer"), tr("Operator"), tr("Status"), tr("Reason")};
    auto *table = new QTableWidget(int(model.layers.size()), int(header.size()));
    table->setAccessibleName(tr("Layers of the file"));
    table->setHorizontalHeaderLabels(header);
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setTabKeyNavigation(false);
    table->verticalHeader()->hide();
    m_text += header.join(QChar(u'\t')) + QChar(u'\n');
    for (int row = 0; row < table->rowCount(); ++row) {
        const LayerInfo &layer = model.layers[std::size_t(row)];
        const QStringList cells{QString::fromStdString(layer.name), QString::fromStdString(layer.op),
                                QString::fromLatin1(layerStatusName(layer.status)), QString::fromStdString(layer.reason)};
        for (int column = 0; column < cells.size(); ++column)
            table->setItem(row, column, new QTableWidgetItem(cells[column]));
        m_text += cells.join(QChar(u'\t')) + QChar(u'\n');
    }
    table->resizeColumnsToContents();
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
