// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/export_dialog.h"

#include "base/replace_file.h"
#include "config/export_limits.h"
#include "models/jobs_model.h"
#include "report/report_pdf.h"
#include "report/report_text.h"
#include "util/background.h"
#include "util/elided_label.h"
#include "util/format.h"
#include "util/table_text.h"
#include "util/theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDesktopServices>
#include <QDialogButtonBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QLocale>
#include <QProgressBar>
#include <QPushButton>
#include <QTableView>
#include <QUrl>

#include <algorithm>
#include <initializer_list>

namespace bitwright {

namespace {

QString bitsText(const QuantSpec *spec)
{
    return !spec || spec->isFloat() ? QStringLiteral("32") : QString::number(spec->bits);
}

constexpr int kLayerCharacters = 26;   // of the names; longer ones are a drag away

Qt::Alignment alignmentOf(int column)
{
    const bool words = column == ExportModel::Layer || column == ExportModel::Encoding;
    const bool bits = column == ExportModel::WeightBits || column == ExportModel::ActivationBits;
    return (words ? Qt::AlignLeft : bits ? Qt::AlignHCenter : Qt::AlignRight) | Qt::AlignVCenter;
}

} // namespace

ExportModel::ExportModel(Document &document, QObject *parent) : QAbstractTableModel(parent), m_document(document)
{
    reload();
    connect(&document, &Document::changed, this, &ExportModel::reload);
    connect(&document, &Document::modelChanged, this, &ExportModel::reload);
}

void ExportModel::reload()
{
    beginResetModel();
    m_layers.clear();
    m_result.reset();
    if (const ModelSummary *model = m_document.model()) {
        for (const LayerInfo &info : model->layers) {
            if (info.status == LayerStatus::Quantizable)
                m_layers.push_back(info.name);
        }
    }
    endResetModel();
}

void ExportModel::setResult(const std::optional<ExportReady> &result)
{
    m_result = result;
    if (rowCount() > 0)
        emit dataChanged(index(0, 0), index(rowCount() - 1, ColumnCount - 1));
}

void ExportModel::setFormat(const ExportFormat &format)
{
    m_format = format;
    setResult(std::nullopt);
}

QString ExportModel::plannedEncoding(const ExportFormat &format, const QuantSpec &spec)
{
    if (spec.isFloat())
        return tr("float32");
    const ExportCapabilities &can = format.capabilities;
    if (!can.integerWeights)
        return tr("float32 on %1-bit levels").arg(spec.bits);
    if (can.widths.empty())
        return counted(spec.bits, tr("codes of %1 bit"), tr("codes of %1 bits"));
    const int stored = storedWidth(format, spec.bits);
    const QString type = (boolParam(spec.options, "symmetric", true) && boolParam(spec.options, "signed", true))
                             ? QStringLiteral("INT%1").arg(stored)
                             : QStringLiteral("UINT%1").arg(stored);
    // Of other methods the grid itself decides.
    if (spec.method != "uniform")
        return tr("%1 if evenly spaced, else codebook").arg(type);
    return stored == spec.bits ? type : tr("%1 with Clip").arg(type);
}

int ExportModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_layers.size());
}

int ExportModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(ColumnCount);
}

QVariant ExportModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    if (role == Qt::TextAlignmentRole)
        return QVariant(alignmentOf(index.column()));
    if (role != Qt::DisplayRole && role != Qt::ToolTipRole)
        return {};
    const std::string &name = m_layers[std::size_t(index.row())];
    const LayerAgreement *agreement = nullptr;
    const ExportReady::Layer *written = nullptr;
    if (m_result) {
        const auto a = std::ranges::find(m_result->agreement, name, &LayerAgreement::layer);
        agreement = a == m_result->agreement.end() ? nullptr : &*a;
        const auto w = std::ranges::find(m_result->layers, name, &ExportReady::Layer::name);
        written = w == m_result->layers.end() ? nullptr : &*w;
    }
    switch (index.column()) {
    case Layer: return toQString(name);
    case WeightBits: return bitsText(m_document.spec(name, Role::Weight));
    case ActivationBits: return bitsText(m_document.spec(name, Role::Activation));
    case Encoding: return written ? toQString(written->encoding) : plannedEncoding(m_format, *m_document.spec(name, Role::Weight));
    case MaxDifference: return agreement ? formatReal(agreement->maxAbsDifference, 2) : QStringLiteral("–");
    case DifferingLevels: return agreement ? QLocale().toString(qint64(agreement->differingLevels)) : QStringLiteral("–");
    default: return {};
    }
}

QVariant ExportModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation == Qt::Horizontal && role == Qt::TextAlignmentRole)
        return QVariant(alignmentOf(section));
    if (orientation != Qt::Horizontal || (role != Qt::DisplayRole && role != Qt::ToolTipRole))
        return {};
    const bool tip = role == Qt::ToolTipRole;
    switch (section) {
    case Layer: return tr("Layer");
    case WeightBits: return tip ? tr("Bits per weight; 32 is float") : tr("W bits");
    case ActivationBits: return tip ? tr("Bits per value of the layer's input; 32 is float") : tr("A bits");
    case Encoding: return tip ? tr("Type of the weight in the file") : tr("Written as");
    case MaxDifference: return tip ? tr("Largest absolute difference of the layer's output between the written file and the simulation") : tr("Max. difference");
    case DifferingLevels: return tip ? tr("Values that the written file rounds to another level than the simulation") : tr("Differing levels");
    default: return {};
    }
}

ExportDialog::ExportDialog(Document &document, EngineController &controller, QWidget *parent)
    : QDialog(parent), m_document(document), m_controller(controller), m_model(new ExportModel(document, this)), m_form(new QFormLayout),
      m_format(new QComboBox), m_about(new ElidedLabel), m_path(new QLineEdit), m_verify(new QCheckBox(tr("Run the written file and compare"))),
      m_pdf(new QCheckBox(tr("Also as PDF"))), m_table(new QTableView), m_summary(new QLabel), m_notes(new QLabel), m_verdict(new QLabel),
      m_progress(new QProgressBar)
{
    setWindowTitle(tr("Export"));
    setAccessibleName(tr("Export"));
    setAttribute(Qt::WA_DeleteOnClose);
    auto *layout = new QVBoxLayout(this);
    layout->setSpacing(10);
    makeForm();
    layout->addLayout(m_form);
    makeTable();
    layout->addWidget(m_summary);
    layout->addWidget(m_table, 1);
    for (QLabel *label : {m_notes, m_verdict}) {
        label->setTextFormat(Qt::PlainText);
        label->setWordWrap(true);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
        layout->addWidget(label);
    }
    m_summary->setAccessibleName(tr("Size of the export"));
    m_notes->setAccessibleName(tr("What the format cannot express"));
    m_verdict->setAccessibleName(tr("Result of the comparison"));
    m_progress->setAccessibleName(tr("Progress of the export"));
    m_progress->setRange(0, 1000);
    layout->addWidget(m_progress);
    makeButtons();
    connect(m_path, &QLineEdit::textChanged, this, &ExportDialog::updateState);
    connect(m_pdf, &QCheckBox::toggled, this, &ExportDialog::updateState);
    connect(m_format, &QComboBox::currentIndexChanged, this, &ExportDialog::followFormat);
    connect(&controller, &EngineController::exportReady, this, &ExportDialog::showResult);
    connect(&controller, &EngineController::jobEnded, this, &ExportDialog::onEnded);
    connect(&controller, &EngineController::jobProgress, this, &ExportDialog::onProgress);
    connect(&controller, &EngineController::evaluationReady, this, [this] {
        if (m_model->hasResult())
            return;   // its notes are about what was written
        showPlan();
    });
    connect(&document, &Document::changed, this, &ExportDialog::showPlan);
    connect(&document, &Document::modelChanged, this, &QDialog::reject);
    resize(820, 600);
    m_suggested = suggestedPath();
    setPath(m_suggested);
    followFormat();
}

ExportDialog::~ExportDialog()
{
    *m_stopPdf = true;   // a PDF that nobody waits for is not written any more
}

void ExportDialog::makeForm()
{
    for (const ExportFormat &format : m_controller.exportFormats())
        m_format->addItem(toQString(format.title), toQString(format.id));
    m_format->setAccessibleName(tr("Format"));
    m_about->setAccessibleName(tr("What the format is"));
    m_about->setTextFormat(Qt::PlainText);
    m_about->setForegroundRole(QPalette::PlaceholderText);
    auto *pathRow = new QHBoxLayout;
    m_path->setAccessibleName(tr("File to write"));
    auto *browseButton = new QPushButton(tr("Browse…"));
    browseButton->setAutoDefault(false);
    connect(browseButton, &QPushButton::clicked, this, &ExportDialog::browse);
    pathRow->addWidget(m_path, 1);
    pathRow->addWidget(browseButton);
    m_verify->setChecked(true);
    m_verify->setToolTip(tr("Runs the file in ONNX Runtime, PyTorch or LibTorch where it is installed, else in Bitwright's own reader, on 256 samples"));
    m_pdf->setChecked(true);
    m_pdf->setToolTip(tr("The same on paper: a PDF of the same name beside the page"));
    m_form->addRow(tr("Format"), m_format);
    m_form->addRow(QString(), m_about);
    m_form->addRow(tr("File"), pathRow);
    m_form->addRow(QString(), m_verify);
    m_form->addRow(QString(), m_pdf);
}

void ExportDialog::makeTable()
{
    m_table->setModel(m_model);
    m_table->setAccessibleName(tr("Layers of the export"));
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setAlternatingRowColors(true);
    m_table->setShowGrid(false);
    m_table->setTabKeyNavigation(false);
    m_table->verticalHeader()->hide();
    m_table->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 8);
    m_table->horizontalHeader()->setHighlightSections(false);
    for (int column = 0; column < ExportModel::ColumnCount; ++column)
        m_table->setColumnWidth(column, std::max(fontMetrics().averageCharWidth() * (column == ExportModel::Layer ? kLayerCharacters : 8),
                                                 m_table->horizontalHeader()->sectionSizeHint(column) + 8));
    addCopyActions(m_table, QStringLiteral("export"));
}

void ExportDialog::makeButtons()
{
    auto *buttons = new QDialogButtonBox;
    buttons->setAccessibleName(tr("Export or close"));
    m_export = buttons->addButton(tr("Export"), QDialogButtonBox::ActionRole);
    m_cancel = buttons->addButton(tr("Cancel"), QDialogButtonBox::ActionRole);
    m_cancel->setToolTip(tr("Stops the export; the file stays as it was"));
    m_open = buttons->addButton(tr("Open"), QDialogButtonBox::ActionRole);
    m_open->setToolTip(tr("Shows what was written in the program for such files"));
    m_close = buttons->addButton(QDialogButtonBox::Close);
    m_export->setDefault(true);   // Return in the file's box exports
    for (QPushButton *button : {m_cancel, m_open, m_close})
        button->setAutoDefault(false);
    m_open->hide();
    layout()->addWidget(buttons);
    connect(m_export, &QPushButton::clicked, this, &ExportDialog::start);
    connect(m_cancel, &QPushButton::clicked, this, &ExportDialog::cancel);
    connect(m_open, &QPushButton::clicked, this, [this] { QDesktopServices::openUrl(QUrl::fromLocalFile(m_ours.value(0))); });
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
}

const ExportFormat *ExportDialog::format() const
{
    const auto &formats = m_controller.exportFormats();
    const auto found = std::ranges::find(formats, m_format->currentData().toString().toStdString(), &ExportFormat::id);
    return found == formats.end() ? nullptr : &*found;
}

void ExportDialog::setFormat(const QString &id)
{
    if (!isWriting())
        m_format->setCurrentIndex(m_format->findData(id));
}

void ExportDialog::setDocument()
{
    const auto &formats = m_controller.exportFormats();
    if (const auto found = std::ranges::find(formats, true, &ExportFormat::document); found != formats.end())
        setFormat(toQString(found->id));
}

void ExportDialog::setPath(const QString &path)
{
    m_path->setText(path);
}

QString ExportDialog::suggestedPath() const
{
    const ExportFormat *chosen = format();
    if (!chosen || !m_document.model())
        return {};
    const QFileInfo source(toQString(m_document.model()->path));
    return source.path() + QChar(u'/') + source.completeBaseName() + (chosen->document ? QStringLiteral("-report") : QStringLiteral("-quantized")) +
           toQString(chosen->suffix);
}

/// A name of the user's own keeps all but its ending.
void ExportDialog::followFormat()
{
    const ExportFormat *chosen = format();
    if (!chosen)
        return;
    m_model->setFormat(*chosen);
    const QString path = m_path->text(), suggested = m_suggested;
    m_suggested = suggestedPath();
    for (const ExportFormat &each : m_controller.exportFormats()) {
        const QString ending = toQString(each.suffix);
        if (path == suggested)
            setPath(m_suggested);
        else if (path.endsWith(ending))
            setPath(path.chopped(ending.size()) + toQString(chosen->suffix));
        else
            continue;
        break;
    }
    m_about->setText(toQString(chosen->summary));
    m_about->setToolTip(m_about->text());
    m_form->setRowVisible(m_verify, !chosen->document);
    m_form->setRowVisible(m_pdf, chosen->document);
    // What has the most to say takes the room that is left.
    m_table->horizontalHeader()->setSectionResizeMode(ExportModel::Layer, chosen->document ? QHeaderView::Stretch : QHeaderView::Interactive);
    m_table->horizontalHeader()->setSectionResizeMode(ExportModel::Encoding, chosen->document ? QHeaderView::Interactive : QHeaderView::Stretch);
    if (!chosen->document)
        m_table->setColumnWidth(ExportModel::Layer, fontMetrics().averageCharWidth() * kLayerCharacters);
    for (const int column : {ExportModel::Encoding, ExportModel::MaxDifference, ExportModel::DifferingLevels})
        m_table->setColumnHidden(column, chosen->document);
    showPlan();
}

void ExportDialog::browse()
{
    const ExportFormat *chosen = format();
    if (!chosen)
        return;
    const QString suffix = toQString(chosen->suffix).mid(1);
    auto *dialog = new QFileDialog(this, tr("Export as"), m_path->text(), QStringLiteral("%1 (*.%2)").arg(m_format->currentText(), suffix));
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setAcceptMode(QFileDialog::AcceptSave);
    dialog->setDefaultSuffix(suffix);
    dialog->setOption(QFileDialog::DontConfirmOverwrite);   // the button asks, once
    connect(dialog, &QFileDialog::fileSelected, m_path, &QLineEdit::setText);
    dialog->open();
}

void ExportDialog::showPlan()
{
    const ExportFormat *chosen = format();
    if (!chosen)
        return;
    m_summary->setText(tr("%1 now, %2 as float").arg(formatBytes(double(m_document.cost().sizeBytes())),
                                                     formatBytes(double(m_document.floatSizeBytes()))));
    QStringList notes;
    if (chosen->document) {
        const auto &estimate = m_controller.results().estimate;
        notes << (estimate && estimate->final ? tr("Accuracy that it will show: %1, %2.").arg(metricTitle(estimate->trial.metric),
                                                                                                   formatMetric(estimate->trial.metric, estimate->trial.value, estimate->trial.low, estimate->trial.high))
                                              : tr("This configuration is not measured yet: the report will say so. Evaluate first to have its accuracy on the page."));
    } else if (m_document.quantizedLayers().empty()) {
        notes << tr("Nothing is quantized: this writes the float network.");
    }
    const ExportLimits limits = exportLimits(*chosen, m_document.resolved());
    for (const auto *sentences : {&limits.refused, &limits.changed})
        for (const std::string &sentence : *sentences)
            notes << toQString(sentence);
    m_notes->setText(notes.join(QChar(u'\n')));
    m_notes->setVisible(!notes.isEmpty());
    m_verdict->hide();
    m_open->hide();
    updateState();
}

QStringList ExportDialog::files() const
{
    const QString path = m_path->text().trimmed();
    const ExportFormat *chosen = format();
    if (!chosen || !chosen->document || !m_pdf->isChecked())
        return {path};
    const QString suffix = toQString(chosen->suffix);
    return {path, (path.endsWith(suffix) ? path.chopped(suffix.size()) : path) + QStringLiteral(".pdf")};
}

bool ExportDialog::mayWrite()
{
    QStringList there;
    for (const QString &path : files()) {
        const QFileInfo file(path);
        if (!file.isFile())
            continue;
        if (m_document.model() && !notOver(m_document.model()->path, path.toStdString())) {
            setVerdict(tr("%1 is the network that is open; choose another name.").arg(file.fileName()), signalColours(palette()).bad);
            return false;
        }
        if (!m_ours.contains(path))
            there << file.fileName();
    }
    if (there.isEmpty() || m_mayReplace == files())
        return true;
    m_mayReplace = files();
    const QString asked = there.size() == 1 ? tr("%1 is there already. Press Replace to write over it.") : tr("%1 are there already. Press Replace to write over them.");
    setVerdict(asked.arg(there.join(tr(" and "))), signalColours(palette()).warning);
    updateState();
    return false;
}

void ExportDialog::start()
{
    const ExportFormat *chosen = format();
    if (!chosen || !mayWrite())
        return;
    ExportRequest request;
    request.config = m_document.config();
    request.weights = m_document.state().weights;
    request.format = chosen->id;
    request.path = files()[0].toStdString();
    request.verify = m_verify->isChecked() && !chosen->document;
    if (chosen->document)
        request.trials = m_controller.results().trials;
    m_model->setResult(std::nullopt);
    m_verdict->hide();
    m_open->hide();
    m_progress->setValue(0);
    m_progress->setFormat(QString());
    m_job = m_controller.exportModel(request);
    updateState();
}

void ExportDialog::cancel()
{
    if (m_job != 0)
        m_controller.cancel(m_job);
    *m_stopPdf = true;
}

void ExportDialog::onProgress(const JobProgress &progress)
{
    if (progress.job != m_job)
        return;
    if (const JobsModel::Job *job = m_controller.jobs()->job(m_job))
        m_progress->setValue(int(std::max(0.0, job->fraction()) * 1000));
    m_progress->setFormat(toQString(progress.progress.phase));
}

void ExportDialog::setVerdict(const QString &text, const QColor &colour)
{
    QPalette palette = m_verdict->palette();
    palette.setColor(QPalette::WindowText, colour);
    m_verdict->setPalette(palette);
    m_verdict->setText(text);
    m_verdict->show();
}

void ExportDialog::showResult(const ExportReady &result)
{
    if (result.job != m_job)
        return;
    m_ours = QStringList{toQString(result.path)};
    m_mayReplace.clear();
    m_model->setResult(result);
    if (!result.report)
        m_summary->setText(tr("%1 written, %2 as float").arg(formatBytes(double(result.bytes)), formatBytes(double(m_document.floatSizeBytes()))));
    QStringList notes;
    if (result.report)
        for (const ReportFact &fact : reportFacts(*result.report))
            if (fact.name == "Accuracy" || fact.name == "Calibration")
                notes << toQString(fact.name + ": " + fact.text);
    for (const std::string &note : result.notes)
        notes << toQString(note);
    m_notes->setText(notes.join(QChar(u'\n')));
    m_notes->setVisible(!notes.isEmpty());
    if (result.report && m_pdf->isChecked())
        writePdf(result);
    else
        showWritten(result);
}

void ExportDialog::writePdf(const ExportReady &result)
{
    m_pdfRuns = true;
    m_stopPdf = std::make_shared<std::atomic<bool>>(false);
    m_progress->setRange(0, 0);   // how long is not known, and it is soon done
    m_progress->setFormat(tr("PDF"));
    const QString path = files().value(1);
    const std::string model = m_document.model() ? m_document.model()->path : std::string();
    inBackground<Status>(
        this, [content = result.report, path = path.toStdString(), model, stop = m_stopPdf] {
            return writeReportPdf(*content, path, model, [stop] { return stop->load(); });
        },
        [this, result, path](const Status &status) {
            m_pdfRuns = false;
            m_progress->setRange(0, 1000);
            if (status) {
                m_ours << path;
                showWritten(result);
            } else {
                setVerdict(tr("The page was written, the PDF was not: %1").arg(toQString(status.error().message)), signalColours(palette()).bad);
            }
            updateState();
        });
    updateState();
}

void ExportDialog::showWritten(const ExportReady &result)
{
    const SignalColours colours = signalColours(palette());
    if (result.report) {
        QStringList names;
        for (const QString &path : m_ours)
            names << QFileInfo(path).fileName();
        setVerdict(tr("Written: %1.").arg(names.join(tr(" and "))), colours.good);
        m_open->show();
        return;
    }
    if (!result.verified) {
        setVerdict(m_verify->isChecked() && !m_controller.results().data ? tr("Written; not compared, because no data is open to run it on.") : tr("Written; not compared."),
                   palette().color(QPalette::WindowText));
        return;
    }
    if (const ExportFormat *chosen = format(); chosen && !chosen->capabilities.operators && !chosen->capabilities.activations) {
        setVerdict(result.differingLevels == 0
                       ? tr("%1 reads every tensor as it is in the simulation.").arg(toQString(result.runtime))
                       : tr("%1 reads values that differ from the simulation, %2 of them, first in %3.")
                             .arg(toQString(result.runtime), QLocale().toString(qint64(result.differingLevels)), toQString(result.firstDifferingLayer)),
                   result.differingLevels == 0 ? colours.good : colours.bad);
        return;
    }
    QString text = tr("%1 agrees on %2 of the answers; largest difference %3, %4 differing levels.")
                       .arg(toQString(result.runtime), formatShare(result.top1Agreement), formatReal(result.maxAbsDifference, 2),
                            QLocale().toString(qint64(result.differingLevels)));
    if (!result.firstDifferingLayer.empty())
        text += QChar(u' ') + tr("First differing layer: %1.").arg(toQString(result.firstDifferingLayer));
    setVerdict(text, result.top1Agreement >= 0.999 ? colours.good : colours.bad);
}

void ExportDialog::onEnded(quint64 job, JobOutcome outcome, const Error &error)
{
    if (job != m_job)
        return;
    m_job = 0;
    if (outcome == JobOutcome::Failed)
        setVerdict(toQString(error.message), signalColours(palette()).bad);
    else if (outcome == JobOutcome::Cancelled)
        setVerdict(tr("Cancelled; nothing was written."), palette().color(QPalette::WindowText));
    updateState();
}

void ExportDialog::updateState()
{
    const bool writing = isWriting();
    m_export->setText(!m_mayReplace.isEmpty() && m_mayReplace == files() ? tr("Replace") : tr("Export"));
    m_export->setEnabled(!writing && !m_path->text().trimmed().isEmpty() && m_document.model() && format());
    m_cancel->setVisible(writing);
    m_progress->setVisible(writing);
    for (QWidget *input : std::initializer_list<QWidget *>{m_format, m_path, m_verify, m_pdf})
        input->setEnabled(!writing);
}

} // namespace bitwright
