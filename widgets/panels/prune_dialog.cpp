// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/prune_dialog.h"

#include "panels/param_form.h"
#include "util/format.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLocale>
#include <QPushButton>
#include <QSlider>

#include <cmath>

namespace bitwright {

PruneDialog::PruneDialog(Document &document, EngineController &controller, QWidget *parent)
    : QDialog(parent), m_document(document), m_controller(controller), m_method(new QComboBox), m_where(new QComboBox), m_target(new QComboBox),
      m_options(new ParamForm), m_slider(new QSlider(Qt::Horizontal)), m_sparsity(new QDoubleSpinBox),
      m_global(new QCheckBox(tr("One ranking over all layers"))), m_about(new QLabel), m_summary(new QLabel)
{
    setWindowTitle(tr("Prune"));
    setAccessibleName(tr("Prune"));
    setAttribute(Qt::WA_DeleteOnClose);
    setupRows();
    connect(m_method, &QComboBox::currentIndexChanged, this, &PruneDialog::showMethod);
    connect(m_slider, &QSlider::valueChanged, this, [this](int percent) {
        if (std::lround(m_sparsity->value()) != percent)
            m_sparsity->setValue(percent);
    });
    connect(m_sparsity, &QDoubleSpinBox::valueChanged, this, [this](double percent) { m_slider->setValue(int(std::lround(percent))); });
    connect(m_options, &ParamForm::edited, this, [this](const std::string &name, const std::optional<ParamValue> &value) {
        if (value)
            m_values[name] = *value;
        else
            m_values.erase(name);
        showMethod();
    });
    connect(m_options, &ParamForm::refused, m_summary, &QLabel::setText);
    connect(&document, &Document::selectionChanged, this, &PruneDialog::updateState);
    connect(&document, &Document::changed, this, &PruneDialog::updateState);
    connect(&document, &Document::modelChanged, this, &QDialog::reject);
    connect(&controller, &EngineController::jobEnded, this, &PruneDialog::onEnded);
    connect(&controller, &EngineController::dataOpened, this, &PruneDialog::updateState);
    connect(&controller, &EngineController::pruneReady, this, [this](const PruneReady &event) {
        if (event.job != m_job)
            return;
        m_summary->setText(tr("%L1 of %L2 weights kept (%3); the network takes %4.").arg(event.kept).arg(event.total)
                               .arg(formatShare(double(event.kept) / double(std::max<std::int64_t>(1, event.total)), 1),
                                    formatBytes(double(m_document.cost().sizeBytes()))));
    });
    showMethod();
    updateState();
    resize(460, sizeHint().height());
}

void PruneDialog::setupRows()
{
    m_method->setAccessibleName(tr("Criterion"));
    for (const MethodTraits &method : m_document.catalog().methods()) {
        if (method.kind != MethodKind::Pruner)
            continue;
        m_method->addItem(toQString(method.title), toQString(method.id));
        m_method->setItemData(m_method->count() - 1, QStringLiteral("%1\n%2, %3").arg(toQString(method.summary), toQString(method.paper)).arg(method.year),
                              Qt::ToolTipRole);
    }
    m_where->setAccessibleName(tr("Layers"));
    m_where->addItem(tr("The selected layers"), false);
    m_where->addItem(tr("All layers that can be pruned"), true);
    connect(m_where, &QComboBox::currentIndexChanged, this, &PruneDialog::updateState);
    m_target->setAccessibleName(tr("What the share is of"));
    m_target->setToolTip(tr("What the percentage counts: the weights or channels, the bytes, or the bit operations (structured criteria alone save those)"));
    m_target->addItem(tr("of the weights or channels"), QStringLiteral("share"));
    m_target->addItem(tr("of the size"), QStringLiteral("size"));
    m_target->addItem(tr("of the BOPs"), QStringLiteral("bops"));
    m_slider->setAccessibleName(tr("Sparsity"));
    m_slider->setRange(0, 99);
    m_sparsity->setAccessibleName(tr("Sparsity in percent"));
    m_sparsity->setToolTip(tr("Share of the weights, or of the output channels, that goes"));
    m_sparsity->setRange(0, 99.9);
    m_sparsity->setDecimals(1);
    m_sparsity->setSuffix(tr(" %"));
    m_sparsity->setValue(50);
    m_slider->setValue(50);
    m_global->setAccessibleName(m_global->text());
    m_global->setToolTip(tr("Layers that matter less lose more; without it each loses the same share"));
    for (QLabel *label : {m_about, m_summary})
        label->setWordWrap(true);
    m_about->setEnabled(false);
    m_about->setAccessibleName(tr("What the criterion does"));
    m_summary->setAccessibleName(tr("Result"));

    auto *share = new QHBoxLayout;
    share->addWidget(m_slider, 1);
    share->addWidget(m_sparsity);
    share->addWidget(m_target);
    auto *form = new QFormLayout;
    form->addRow(tr("Criterion"), m_method);
    form->addRow(QString(), m_about);
    form->addRow(tr("Layers"), m_where);
    form->addRow(tr("Sparsity"), share);
    form->addRow(QString(), m_global);
    auto *buttons = new QDialogButtonBox;
    m_prune = buttons->addButton(tr("Prune"), QDialogButtonBox::ActionRole);
    m_clear = buttons->addButton(tr("Take masks away"), QDialogButtonBox::ActionRole);
    m_sensitivity = buttons->addButton(tr("Measure sensitivity"), QDialogButtonBox::ActionRole);
    m_sensitivity->setToolTip(tr("Prune one layer at a time by this criterion to several sparsities; the curves appear in the table of layers"));
    m_sensitivity->setAutoDefault(false);
    connect(m_sensitivity, &QPushButton::clicked, this, &PruneDialog::measureSensitivity);
    auto *close = buttons->addButton(QDialogButtonBox::Close);
    close->setAutoDefault(false);
    m_clear->setAutoDefault(false);
    m_prune->setDefault(true);
    connect(m_prune, &QPushButton::clicked, this, &PruneDialog::start);
    connect(m_clear, &QPushButton::clicked, this, [this] { m_document.clearMasks(layers()); });
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto *layout = new QVBoxLayout(this);
    layout->addLayout(form);
    layout->addWidget(m_options);
    layout->addWidget(m_summary);
    layout->addStretch();
    layout->addWidget(buttons);
}

QString PruneDialog::summaryText() const
{
    return m_summary->text();
}

LayerNames PruneDialog::layers() const
{
    LayerNames names;
    if (!m_document.model())
        return names;
    const bool all = m_where->currentData().toBool();
    for (const LayerInfo &layer : m_document.model()->layers)
        if (layer.status == LayerStatus::Quantizable && (all || std::ranges::find(m_document.selection(), layer.name) != m_document.selection().end()))
            names.push_back(layer.name);
    return names;
}

void PruneDialog::showMethod()
{
    const MethodTraits *method = m_document.catalog().pruner(m_method->currentData().toString().toStdString());
    if (!method)
        return;
    std::erase_if(m_values, [&](const auto &value) { return !method->option(value.first); });
    m_options->setParams(method->options, m_values);
    m_options->setVisible(!method->options.empty());
    m_about->setText(toQString(method->summary));
    m_method->setToolTip(m_method->currentData(Qt::ToolTipRole).toString());
}

void PruneDialog::updateState()
{
    const LayerNames chosen = layers();
    m_prune->setEnabled(!chosen.empty() && m_job == 0);
    m_sensitivity->setEnabled(m_document.model() && m_controller.results().data.has_value());
    m_clear->setEnabled(std::ranges::any_of(chosen, [this](const std::string &name) { return !m_document.mask(name).empty(); }));
    m_global->setEnabled(chosen.size() > 1);
}

void PruneDialog::start()
{
    PruneRequest request;
    request.layers = layers();
    request.method = m_method->currentData().toString().toStdString();
    request.options = m_values;
    request.sparsity = m_sparsity->value() / 100;
    request.target = m_target->currentData().toString().toStdString();
    request.global = m_global->isEnabled() && m_global->isChecked();
    m_job = m_controller.prune(std::move(request));
    updateState();
}

void PruneDialog::measureSensitivity()
{
    SensitivityRequest request;
    request.method = m_method->currentData().toString().toStdString();
    request.options = m_values;
    m_controller.measureSensitivity(request);
}

void PruneDialog::onEnded(quint64 job, JobOutcome outcome, const Error &error)
{
    if (job != m_job)
        return;
    m_job = 0;
    if (outcome == JobOutcome::Failed)
        m_summary->setText(toQString(error.message));
    updateState();
}

} // namespace bitwright
