// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/export_dialog.h"

#include "models/jobs_model.h"
#include "util/format.h"
#include "util/table_text.h"
#include "util/theme.h"

#include <QCheckBox>
#include <QComboBox>
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

#include <algorithm>

namespace bitwright {

namespace {

QString bitsText(const QuantSpec *spec)
{
    return !spec || spec->isFloat() ? QStringLiteral("32") : QString::number(spec->bits);
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

QString ExportModel::plannedEncoding(const QuantSpec &spec)
{
    if (spec.isFloat())
        return tr("float32");
    // ONNX has integers of 2, 4, 8 and 16 bits; any other width goes into the next one.
    const int stored = spec.bits <= 2 ? 2 : spec.bits <= 4 ? 4 : spec.bits <= 8 ? 8 : 16;
    const QString type = (boolParam(spec.options, "symmetric", true) && boolParam(spec.options, "signed", true))
                             ? QStringLiteral("INT%1").arg(stored)
                             : QStringLiteral("UINT%1").arg(stored);
    // Of other methods the grid itself decides; shared values have no integer type there.
    if (spec.method != "uniform")
        return tr("%1 if evenly spaced, else float32").arg(type);
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
        return index.column() == Layer || index.column() == Encoding ? QVariant() : QVariant(Qt::AlignRight | Qt::AlignVCenter);
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
    case Encoding: return written ? toQString(written->encoding) : plannedEncoding(*m_document.spec(name, Role::Weight));
    case MaxDifference: return agreement ? formatReal(agreement->maxAbsDifference, 2) : QStringLiteral("–");
    case DifferingLevels: return agreement ? QLocale().toString(qint64(agreement->differingLevels)) : QStringLiteral("–");
    default: return {};
    }
}

QVariant ExportModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation == Qt::Horizontal && role == Qt::TextAlignmentRole)
        return QVariant((section == Layer || section == Encoding ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
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

namespace {

/// What the engine writes, ONNX first (README: formats).
struct Format {
    const char *id, *suffix;
    QString title;
};

const std::vector<Format> &formats()
{
    static const std::vector<Format> table{
        {"onnx", "onnx", ExportDialog::tr("ONNX with QuantizeLinear and DequantizeLinear")},
        {"torchscript", "pt", ExportDialog::tr("TorchScript with quantizing operators")},
        {"pt2", "pt2", ExportDialog::tr("PyTorch .pt2 with quantizing operators")},
        {"pack", "pack", ExportDialog::tr("Pack of quantized weights, as small as it gets")},
        {"state_dict", "pth", ExportDialog::tr("State dict of quantized weights")},
    };
    return table;
}

} // namespace

ExportDialog::ExportDialog(Document &document, EngineController &controller, QWidget *parent)
    : QDialog(parent), m_document(document), m_controller(controller), m_model(new ExportModel(document, this)),
      m_format(new QComboBox), m_path(new QLineEdit), m_verify(new QCheckBox(tr("Run the written file and compare"))),
      m_table(new QTableView), m_summary(new QLabel), m_notes(new QLabel), m_verdict(new QLabel), m_progress(new QProgressBar)
{
    setWindowTitle(tr("Export"));
    setAccessibleName(tr("Export"));
    setAttribute(Qt::WA_DeleteOnClose);
    auto *layout = new QVBoxLayout(this);
    layout->setSpacing(10);

    auto *form = new QFormLayout;
    for (const Format &format : formats())
        m_format->addItem(format.title, QString::fromLatin1(format.id));
    m_format->setAccessibleName(tr("Format"));
    auto *pathRow = new QHBoxLayout;
    m_path->setAccessibleName(tr("File to write"));
    auto *browseButton = new QPushButton(tr("Browse…"));
    connect(browseButton, &QPushButton::clicked, this, &ExportDialog::browse);
    pathRow->addWidget(m_path, 1);
    browseButton->setAutoDefault(false);
    pathRow->addWidget(browseButton);
    form->addRow(tr("Format"), m_format);
    form->addRow(tr("File"), pathRow);
    m_verify->setChecked(true);
    m_verify->setToolTip(tr("Runs the file in ONNX Runtime, PyTorch or LibTorch where it is installed, else in Bitwright's own reader, on 256 samples"));
    form->addRow(QString(), m_verify);
    layout->addLayout(form);

    m_table->setModel(m_model);
    m_table->setAccessibleName(tr("Layers of the export"));
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setAlternatingRowColors(true);
    m_table->setShowGrid(false);
    m_table->setTabKeyNavigation(false);
    m_table->verticalHeader()->hide();
    m_table->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 8);
    m_table->horizontalHeader()->setSectionResizeMode(ExportModel::Layer, QHeaderView::Stretch);
    m_table->horizontalHeader()->setHighlightSections(false);
    for (int column = 1; column < ExportModel::ColumnCount; ++column)
        m_table->setColumnWidth(column, std::max(fontMetrics().averageCharWidth() * (column == ExportModel::Encoding ? 34 : 8),
                                                 m_table->horizontalHeader()->sectionSizeHint(column) + 8));
    addCopyActions(m_table, QStringLiteral("export"));
    layout->addWidget(m_summary);
    layout->addWidget(m_table, 1);
    for (QLabel *label : {m_notes, m_verdict}) {
        label->setWordWrap(true);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
        layout->addWidget(label);
    }
    m_summary->setAccessibleName(tr("Size of the export"));
    m_notes->setAccessibleName(tr("What is approximated"));
    m_verdict->setAccessibleName(tr("Result of the comparison"));
    m_progress->setAccessibleName(tr("Progress of the export"));
    m_progress->setRange(0, 1000);
    layout->addWidget(m_progress);

    auto *buttons = new QDialogButtonBox;
    buttons->setAccessibleName(tr("Export or close"));
    m_export = buttons->addButton(tr("Export"), QDialogButtonBox::ActionRole);
    m_export->setDefault(true);
    m_close = buttons->addButton(QDialogButtonBox::Close);
    m_export->setDefault(true);   // Return in the file's box exports
    m_close->setAutoDefault(false);
    layout->addWidget(buttons);
    connect(m_export, &QPushButton::clicked, this, &ExportDialog::start);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    connect(m_path, &QLineEdit::textChanged, this, &ExportDialog::updateState);
    connect(m_format, &QComboBox::currentIndexChanged, this, &ExportDialog::followFormat);
    connect(&controller, &EngineController::exportReady, this, &ExportDialog::showResult);
    connect(&controller, &EngineController::jobEnded, this, &ExportDialog::onEnded);
    connect(&controller, &EngineController::jobProgress, this, &ExportDialog::onProgress);
    connect(&document, &Document::changed, this, &ExportDialog::showPlan);
    connect(&document, &Document::modelChanged, this, &QDialog::reject);
    resize(820, 600);
    if (document.model()) {
        const QFileInfo source(toQString(document.model()->path));
        setPath(source.path() + QChar(u'/') + source.completeBaseName() + QStringLiteral("-quantized.onnx"));
    }
    showPlan();
}

void ExportDialog::setPath(const QString &path)
{
    m_path->setText(path);
}

/// The file's ending follows the format; a name of the user's own keeps all but its ending.
void ExportDialog::followFormat()
{
    const QString suffix = QString::fromLatin1(formats()[std::size_t(m_format->currentIndex())].suffix);
    const QString path = m_path->text();
    for (const Format &format : formats()) {
        const QString ending = QChar(u'.') + QString::fromLatin1(format.suffix);
        if (path.endsWith(ending)) {
            setPath(path.chopped(ending.size()) + QChar(u'.') + suffix);
            break;
        }
    }
    showPlan();
}

void ExportDialog::browse()
{
    const QString suffix = QString::fromLatin1(formats()[std::size_t(m_format->currentIndex())].suffix);
    auto *dialog = new QFileDialog(this, tr("Export as"), m_path->text(), QStringLiteral("%1 (*.%2)").arg(m_format->currentText(), suffix));
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setAcceptMode(QFileDialog::AcceptSave);
    dialog->setDefaultSuffix(suffix);
    connect(dialog, &QFileDialog::fileSelected, m_path, &QLineEdit::setText);
    dialog->open();
}

void ExportDialog::showPlan()
{
    m_summary->setText(tr("%1 now, %2 as float").arg(formatBytes(double(m_document.cost().sizeBytes())),
                                                     formatBytes(double(m_document.floatSizeBytes()))));
    int clipped = 0;
    for (const auto &[name, config] : m_document.resolved()) {
        for (const Role role : {Role::Weight, Role::Activation}) {
            const QuantSpec &spec = config.of(role);
            clipped += !spec.isFloat() && spec.bits != 2 && spec.bits != 4 && spec.bits != 8 && spec.bits != 16;
        }
    }
    QString notes = m_document.quantizedLayers().empty() ? tr("Nothing is quantized: this writes the float network.") : QString();
    if (clipped > 0 && m_format->currentIndex() == 0)
        notes = counted(clipped, tr("%1 tensor has a width that ONNX lacks: it is stored in the next wider type, with a Clip; answers stay the same."), tr("%1 tensors have a width that ONNX lacks: they are stored in the next wider type, with a Clip; answers stay the same."));
    m_notes->setText(notes);
    m_notes->setVisible(!notes.isEmpty());
    m_verdict->hide();
    updateState();
}

bool ExportDialog::mayWrite(const QString &path)
{
    const QFileInfo file(path);
    if (!file.isFile() || path == m_ours)
        return true;
    if (m_document.model() && file == QFileInfo(toQString(m_document.model()->path))) {
        setVerdict(tr("%1 is the network that is open; choose another name.").arg(file.fileName()), signalColours(palette()).bad);
        return false;
    }
    if (m_mayReplace == path)
        return true;
    m_mayReplace = path;
    setVerdict(tr("%1 is there already. Press Replace to write over it.").arg(file.fileName()), signalColours(palette()).warning);
    updateState();
    return false;
}

void ExportDialog::start()
{
    if (!mayWrite(m_path->text().trimmed()))
        return;
    ExportRequest request;
    request.config = m_document.config();
    request.weights = m_document.state().weights;
    request.format = m_format->currentData().toString().toStdString();
    request.path = m_path->text().trimmed().toStdString();
    request.verify = m_verify->isChecked();
    m_model->setResult(std::nullopt);
    m_verdict->hide();
    m_progress->setValue(0);
    m_job = m_controller.exportModel(request);
    updateState();
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
    m_ours = toQString(result.path);
    m_mayReplace.clear();
    m_model->setResult(result);
    m_summary->setText(tr("%1 written, %2 as float").arg(formatBytes(double(result.bytes)), formatBytes(double(m_document.floatSizeBytes()))));
    QStringList notes;
    for (const std::string &note : result.notes)
        notes << toQString(note);
    m_notes->setText(notes.join(QChar(u'\n')));
    m_notes->setVisible(!notes.isEmpty());
    const SignalColours colours = signalColours(palette());
    if (!result.verified) {
        setVerdict(tr("Written; not compared."), palette().color(QPalette::WindowText));
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
    const QString path = m_path->text().trimmed();
    m_export->setText(!path.isEmpty() && m_mayReplace == path ? tr("Replace") : tr("Export"));
    m_export->setEnabled(m_job == 0 && !m_path->text().trimmed().isEmpty() && m_document.model());
    m_progress->setVisible(m_job != 0);
}

} // namespace bitwright
