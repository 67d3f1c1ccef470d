// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/preset_dialog.h"

#include "panels/method_pages.h"
#include "util/format.h"
#include "util/policy_text.h"

#include <QDialogButtonBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QToolButton>
#include <QTreeWidget>
#include <QVBoxLayout>

namespace bitwright {

namespace {

enum Column { Title, Weights, Activations, Paper, ColumnCount };

QString bitsText(const QuantPatch &patch)
{
    return patch.method && *patch.method != kFloatMethod ? QString::number(patch.bits.value_or(0)) : PresetDialog::tr("float");
}

} // namespace

PresetDialog::PresetDialog(Document &document, QWidget *parent)
    : QDialog(parent), m_document(document), m_filter(new QLineEdit), m_list(new QTreeWidget), m_details(new QLabel),
      m_help(makeHelpButton(tr("What the method is: formula, paper, options")))
{
    setWindowTitle(tr("Apply a paper's assignment"));
    setAccessibleName(windowTitle());
    setAttribute(Qt::WA_DeleteOnClose);
    m_filter->setPlaceholderText(tr("Filter by method, paper or year"));
    m_filter->setAccessibleName(tr("Filter"));
    m_filter->setClearButtonEnabled(true);
    m_list->setAccessibleName(tr("Assignments of papers"));
    m_list->setRootIsDecorated(false);
    m_list->setAlternatingRowColors(true);
    m_list->setUniformRowHeights(true);
    m_list->setStyleSheet(QStringLiteral("QTreeView::item { height: %1px; }").arg(fontMetrics().height() + 6));
    m_list->setAllColumnsShowFocus(true);
    m_list->setHeaderLabels({tr("Assignment"), tr("W bits"), tr("A bits"), tr("Paper")});
    m_details->setWordWrap(true);
    m_details->setAlignment(Qt::AlignTop | Qt::AlignLeft);
    m_details->setTextFormat(Qt::RichText);
    m_details->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_details->setAccessibleName(tr("About the assignment"));
    m_details->setMinimumHeight(6 * fontMetrics().lineSpacing());
    auto *buttons = new QDialogButtonBox;
    m_apply = buttons->addButton(tr("Apply"), QDialogButtonBox::AcceptRole);
    m_apply->setDefault(true);
    buttons->addButton(QDialogButtonBox::Close)->setAutoDefault(false);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    connect(m_apply, &QPushButton::clicked, this, &PresetDialog::apply);
    connect(m_list, &QTreeWidget::itemDoubleClicked, this, &PresetDialog::apply);
    connect(m_list, &QTreeWidget::currentItemChanged, this, &PresetDialog::showDetails);
    connect(m_filter, &QLineEdit::textChanged, this, &PresetDialog::filter);
    connect(m_help, &QToolButton::clicked, this, [this] {
        const Preset *preset = current();
        if (const auto &method = preset && preset->weight.method ? preset->weight.method : preset ? preset->activation.method : std::nullopt)
            MethodPages::open(parentWidget() ? parentWidget() : this, m_document.catalog(), toQString(*method));
    });
    connect(&document, &Document::modelChanged, this, &QDialog::reject);
    auto *about = new QHBoxLayout;
    about->addWidget(m_details, 1);
    about->addWidget(m_help, 0, Qt::AlignTop);
    auto *layout = new QVBoxLayout(this);
    layout->addWidget(m_filter);
    layout->addWidget(m_list, 1);
    layout->addLayout(about);
    layout->addWidget(buttons);
    fill();
    resize(760, 560);
}

bool PresetDialog::isPossible(const Preset &preset) const
{
    for (const QuantPatch *patch : {&preset.weight, &preset.activation})
        if (patch->method && *patch->method != kFloatMethod && !m_document.catalog().quantizer(*patch->method))
            return false;
    return true;
}

void PresetDialog::fill()
{
    for (const Preset &preset : presets()) {
        auto *item = new QTreeWidgetItem(m_list, {toQString(preset.title), bitsText(preset.weight), bitsText(preset.activation), toQString(preset.paper)});
        item->setData(Title, Qt::UserRole, toQString(preset.id));
        for (const int column : {Weights, Activations})
            item->setTextAlignment(column, Qt::AlignRight | Qt::AlignVCenter);
        if (!isPossible(preset)) {
            // Grey, yet it can be read about.
            for (int column = 0; column < ColumnCount; ++column) {
                item->setForeground(column, palette().brush(QPalette::Disabled, QPalette::Text));
                item->setToolTip(column, tr("Its method is not in this program"));
            }
        }
    }
    m_list->header()->setSectionResizeMode(Title, QHeaderView::Stretch);
    for (const int column : {Weights, Activations, Paper})
        m_list->resizeColumnToContents(column);
    m_list->header()->setStretchLastSection(false);
    m_list->setCurrentItem(m_list->topLevelItem(0));
    showDetails();
}

void PresetDialog::filter(const QString &text)
{
    for (int i = 0; i < m_list->topLevelItemCount(); ++i) {
        QTreeWidgetItem *item = m_list->topLevelItem(i);
        bool found = text.trimmed().isEmpty();
        for (int column = 0; column < ColumnCount && !found; ++column)
            found = item->text(column).contains(text.trimmed(), Qt::CaseInsensitive);
        item->setHidden(!found);
    }
}

void PresetDialog::choose(const QString &id)
{
    for (int i = 0; i < m_list->topLevelItemCount(); ++i)
        if (m_list->topLevelItem(i)->data(Title, Qt::UserRole).toString() == id)
            m_list->setCurrentItem(m_list->topLevelItem(i));
}

const Preset *PresetDialog::current() const
{
    const QTreeWidgetItem *item = m_list->currentItem();
    return item && !item->isHidden() ? findPreset(item->data(Title, Qt::UserRole).toString().toStdString()) : nullptr;
}

QString PresetDialog::detailsText() const
{
    return m_details->text();
}

void PresetDialog::showDetails()
{
    const Preset *preset = current();
    m_apply->setEnabled(preset && isPossible(*preset) && m_document.model());
    m_help->setEnabled(preset != nullptr);
    if (!preset) {
        m_details->clear();
        return;
    }
    const auto part = [&](const QuantPatch &patch) {
        if (!patch.method || *patch.method == kFloatMethod)
            return tr("float");
        const MethodTraits *method = m_document.catalog().quantizer(*patch.method);
        return counted(patch.bits.value_or(0), tr("%2, %1 bit"), tr("%2, %1 bits")).arg(toQString(method ? method->title : *patch.method).toHtmlEscaped());
    };
    m_details->setText(QStringLiteral("<p style='margin:0'><b>%1</b> – %2</p><p style='margin:4px 0 0 0'>%3</p><p style='margin:4px 0 0 0'>%4</p>")
                           .arg(toQString(preset->title).toHtmlEscaped(), toQString(preset->paper).toHtmlEscaped(),
                                tr("Weights: %1. Activations: %2. Policy: %3.").arg(part(preset->weight), part(preset->activation), policyText(preset->policy)),
                                tr("Training: %1").arg(toQString(preset->training).toHtmlEscaped())));
}

bool PresetDialog::apply()
{
    const Preset *preset = current();
    if (!preset || !isPossible(*preset) || !m_document.model())
        return false;
    m_document.setConfig(withPreset(m_document.config(), *preset), tr("Apply %1").arg(toQString(preset->title)));
    close();
    return true;
}

} // namespace bitwright
