// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/data_dialog.h"

#include "panels/random_form.h"
#include "panels/samples_view.h"
#include "util/format.h"
#include "util/theme.h"

#include <QComboBox>
#include <QDialogButtonBox>
#include <QFileDialog>
#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QSplitter>
#include <QStandardItemModel>
#include <QTabWidget>
#include <QVBoxLayout>

#include <limits>

namespace bitwright {

namespace {

QSpinBox *makeCount(const QString &name, const QString &none, const QString &tip)
{
    auto *box = new QSpinBox;
    box->setRange(0, std::numeric_limits<int>::max());
    box->setSpecialValueText(none);
    box->setAccessibleName(name);
    box->setToolTip(tip);
    return box;
}

/// Typing is not looked at letter by letter.
constexpr int kPreviewDelayMs = 300;
constexpr qint64 kRandomCount = 256;
constexpr int kEditorWidth = 480, kSamplesWidth = 500;

QLineEdit *makeLine(const QString &name, const QString &placeholder, const QString &tip)
{
    auto *line = new QLineEdit;
    line->setAccessibleName(name);
    line->setPlaceholderText(placeholder);
    line->setToolTip(tip);
    return line;
}

} // namespace

DataSpecEditor::DataSpecEditor(const QString &purpose, const std::vector<InputNeed> &inputs, QWidget *parent)
    : QWidget(parent), m_inputs(inputs), m_kind(new QComboBox), m_sample(new QComboBox), m_split(new QComboBox),
      m_path(makeLine(tr("Path"), tr("File or folder"), tr("Where the data lies"))),
      m_size(makeLine(tr("Size"), tr("as the network wants"), tr("Height x width in pixels that every image is brought to"))),
      m_mean(makeLine(tr("Mean"), tr("as the sample's own, else 0"), tr("Subtracted from every value, one number per channel with “|” between"))),
      m_std(makeLine(tr("Standard deviation"), tr("as the sample's own, else 1"), tr("Every value is divided by it, one number per channel with “|” between"))),
      m_browse(new QPushButton(tr("Browse…"))),
      m_limit(makeCount(tr("Limit"), tr("all"), tr("Use at most this many samples"))),
      m_first(makeCount(tr("First"), tr("0"), tr("Skip this many samples first"))),
      m_count(makeCount(tr("Samples"), tr("256"), tr("How many samples are made"))),
      m_seed(makeCount(tr("Seed"), tr("0"), tr("Another seed makes other samples; the same one always the same"))),
      m_random(new RandomForm(inputs)), m_arrays(new QLabel), m_form(new QFormLayout(this)),
      m_pathRow(new QWidget)
{
    setAccessibleName(purpose);
    setupRows();
    for (QComboBox *box : {m_kind, m_sample, m_split})
        connect(box, &QComboBox::currentIndexChanged, this, [this] { updateRows(); emit edited(); });
    for (QLineEdit *line : {m_path, m_size, m_mean, m_std})
        connect(line, &QLineEdit::textChanged, this, &DataSpecEditor::edited);
    connect(m_random, &RandomForm::edited, this, &DataSpecEditor::edited);
    for (QSpinBox *box : {m_limit, m_first, m_count, m_seed})
        connect(box, &QSpinBox::valueChanged, this, &DataSpecEditor::edited);
    connect(m_browse, &QPushButton::clicked, this, &DataSpecEditor::browse);
    updateRows();
}

void DataSpecEditor::setupKinds()
{
    m_kind->setAccessibleName(tr("Kind"));
    const std::pair<QString, const char *> kinds[] = {
        {tr("None"), ""},
        {tr("Sample (Fashion-MNIST, comes with Bitwright)"), "sample"},
        {tr("IDX folder (MNIST family, plain or .gz)"), "idx"},
        {tr("Image folder (one folder per class)"), "images"},
        {m_inputs.size() > 1 ? tr("NPZ file (an array for each input)") : tr("NPZ file (x and y, or images and labels)"), "npz"},
        {tr("NPY file (inputs only)"), "npy"},
        {tr("Random data (made up, without labels)"), "random"}};
    for (const auto &[title, id] : kinds)
        m_kind->addItem(title, QString::fromLatin1(id));
    auto *items = qobject_cast<QStandardItemModel *>(m_kind->model());
    for (const char *id : {"sample", "idx", "images", "npy"})
        if (const int row = m_kind->findData(QString::fromLatin1(id)); m_inputs.size() > 1 && items) {
            items->item(row)->setEnabled(false);
            items->item(row)->setToolTip(tr("It holds one array, the network reads %1").arg(m_inputs.size()));
        }
    if (const int row = m_kind->findData(QStringLiteral("random")); m_inputs.empty() && items) {
        items->item(row)->setEnabled(false);
        items->item(row)->setToolTip(tr("Open a network first: random data is made for its inputs"));
    }
}

void DataSpecEditor::setupRows()
{
    setupKinds();
    QStringList names;
    for (const InputNeed &need : m_inputs)
        names << toQString(need.info.name);
    m_arrays->setText(tr("%1 (or in0, in1…); labels, if any, as y or labels").arg(names.join(QStringLiteral(", "))));
    m_arrays->setWordWrap(true);
    m_arrays->setTextFormat(Qt::PlainText);
    m_arrays->setEnabled(false);
    m_sample->setAccessibleName(tr("Sample"));
    m_sample->addItem(tr("2,000 test images"), QStringLiteral("test"));
    m_sample->addItem(tr("2,000 training images"), QStringLiteral("train"));
    m_split->setAccessibleName(tr("Split"));
    m_split->addItem(tr("test"), QStringLiteral("test"));
    m_split->addItem(tr("train"), QStringLiteral("train"));

    auto *pathLayout = new QHBoxLayout(m_pathRow);
    pathLayout->setContentsMargins(0, 0, 0, 0);
    pathLayout->addWidget(m_path, 1);
    pathLayout->addWidget(m_browse);
    m_form->setFieldGrowthPolicy(QFormLayout::ExpandingFieldsGrow);
    m_form->setContentsMargins(12, 14, 12, 10);
    m_form->setVerticalSpacing(8);
    m_form->addRow(tr("Kind"), m_kind);
    m_form->addRow(tr("Images"), m_sample);
    m_form->addRow(tr("Path"), m_pathRow);
    m_form->addRow(tr("Arrays"), m_arrays);
    m_form->addRow(tr("Split"), m_split);
    m_form->addRow(tr("Size"), m_size);
    m_form->addRow(tr("Mean"), m_mean);
    m_form->addRow(tr("Std. deviation"), m_std);
    m_form->addRow(tr("First"), m_first);
    m_form->addRow(tr("Limit"), m_limit);
    m_form->addRow(tr("Samples"), m_count);
    m_form->addRow(tr("Seed"), m_seed);
    m_form->addRow(m_random);
}

void DataSpecEditor::updateRows()
{
    const QString kind = m_kind->currentData().toString();
    const bool any = !kind.isEmpty(), sample = kind == QStringLiteral("sample"), synthetic = kind == QStringLiteral("synthetic");
    const bool random = kind == QStringLiteral("random"), file = any && !synthetic && !random;
    const auto show = [this](QWidget *field, bool on) {
        field->setVisible(on);
        m_form->labelForField(field)->setVisible(on);
    };
    show(m_sample, sample);
    show(m_pathRow, file && !sample);
    show(m_arrays, kind == QStringLiteral("npz") && m_inputs.size() > 1);
    show(m_split, kind == QStringLiteral("idx"));
    show(m_size, kind == QStringLiteral("images"));
    show(m_mean, file);
    show(m_std, file);
    show(m_first, file);
    show(m_limit, any && !random);
    show(m_count, random);
    show(m_seed, random);
    m_random->setVisible(random);
}

void DataSpecEditor::browse()
{
    const QString kind = m_kind->currentData().toString();
    const bool file = kind == QStringLiteral("npz") || kind == QStringLiteral("npy");
    auto *dialog = new QFileDialog(this, file ? tr("Choose a file") : tr("Choose a folder"), m_path->text());
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setFileMode(file ? QFileDialog::ExistingFile : QFileDialog::Directory);
    if (file)
        dialog->setNameFilter(QStringLiteral("*.") + kind);
    connect(dialog, &QFileDialog::fileSelected, m_path, &QLineEdit::setText);
    dialog->open();
}

DataFields DataSpecEditor::spec() const
{
    DataFields spec;
    spec.kind = m_kind->currentData().toString();
    if (spec.kind.isEmpty())
        return spec;
    const bool sample = spec.kind == QStringLiteral("sample"), synthetic = spec.kind == QStringLiteral("synthetic");
    if (spec.kind == QStringLiteral("random")) {
        spec.count = m_count->value() > 0 ? m_count->value() : kRandomCount;
        spec.seed = m_seed->value();
        spec.wishes = m_random->wishes();
        return spec;
    }
    spec.path = sample ? m_sample->currentData().toString() : synthetic ? QString() : m_path->text().trimmed();
    if (spec.kind == QStringLiteral("idx"))
        spec.split = m_split->currentData().toString();
    if (spec.kind == QStringLiteral("images"))
        spec.size = m_size->text().trimmed();
    if (!synthetic) {
        spec.mean = m_mean->text().trimmed();
        spec.std = m_std->text().trimmed();
        spec.first = m_first->value();
    }
    spec.limit = m_limit->value();
    return spec;
}

void DataSpecEditor::setSpec(const DataFields &spec)
{
    m_kind->setCurrentIndex(std::max(0, m_kind->findData(spec.kind)));
    if (spec.kind == QStringLiteral("sample"))
        m_sample->setCurrentIndex(std::max(0, m_sample->findData(spec.path)));
    else
        m_path->setText(spec.path);
    m_split->setCurrentIndex(std::max(0, m_split->findData(spec.split)));
    m_size->setText(spec.size);
    m_mean->setText(spec.mean);
    m_std->setText(spec.std);
    m_limit->setValue(int(spec.limit));
    m_first->setValue(int(spec.first));
    m_count->setValue(int(spec.count > 0 ? spec.count : kRandomCount));
    m_seed->setValue(int(spec.seed));
    m_random->setWishes(spec.wishes);
}

DataDialog::DataDialog(EngineController &controller, QWidget *parent)
    : QDialog(parent), m_controller(controller), m_problem(new QLabel), m_preview(new QLabel)
{
    setWindowTitle(tr("Data"));
    setAccessibleName(tr("Data"));
    setAttribute(Qt::WA_DeleteOnClose);
    auto *layout = new QVBoxLayout(this);
    auto *intro = new QLabel(tr("Evaluation data measures accuracy, calibration data sets the ranges of activations, "
                                "training data is for fine-tuning."));
    intro->setWordWrap(true);
    layout->addWidget(intro);
    auto *left = new QWidget;
    auto *leftLayout = new QVBoxLayout(left);
    leftLayout->setContentsMargins(0, 0, 0, 0);
    if (QWidget *inputs = setupInputs())
        leftLayout->addWidget(inputs);
    leftLayout->addWidget(setupEditors(), 1);
    m_samples = new SamplesView;
    auto *splitter = new QSplitter;
    splitter->setAccessibleName(tr("Choice and samples"));
    splitter->setChildrenCollapsible(false);
    splitter->addWidget(left);
    splitter->addWidget(m_samples);
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 1);
    splitter->setHandleWidth(14);
    splitter->setSizes({kEditorWidth, kSamplesWidth});
    layout->addWidget(splitter, 1);

    m_preview->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_preview->setAccessibleName(tr("As on the command line"));
    m_preview->setToolTip(tr("The same choice as --data of bitwright-cli"));
    m_preview->setWordWrap(true);
    m_preview->setEnabled(false);
    m_problem->setAccessibleName(tr("Problem"));
    m_problem->setWordWrap(true);
    layout->addWidget(m_preview);
    layout->addWidget(m_problem);

    auto *buttons = new QDialogButtonBox(QDialogButtonBox::Ok | QDialogButtonBox::Cancel);
    buttons->setAccessibleName(tr("Open or cancel"));
    m_ok = buttons->button(QDialogButtonBox::Ok);
    m_ok->setText(tr("Open"));
    layout->addWidget(buttons);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    connect(buttons, &QDialogButtonBox::accepted, this, [this] {
        m_controller.openData(selection());
        accept();
    });
    resize(1040, 640);
    setupPreview();
    update();
}

DataDialog::~DataDialog()
{
    m_controller.cancelDataPreview();
}

/// What the network reads, one line an input; null where no network is open.
QWidget *DataDialog::setupInputs()
{
    const auto &inputs = m_controller.results().inputs;
    if (inputs.empty())
        return nullptr;
    constexpr std::size_t kMostLines = 6;
    QStringList lines;
    for (std::size_t i = 0; i < std::min(kMostLines, inputs.size()); ++i) {
        const InputNeed &need = inputs[i];
        QString line = tr("%1: %2, %3").arg(toQString(need.info.name), inputText(need), need.info.dtype.empty() ? tr("type unknown") : toQString(need.info.dtype));
        if (need.isWhole() && need.high > 0 && !need.rangeGuessed)
            line += tr(", %1 to %2 (%3)").arg(need.low).arg(need.high - 1).arg(toQString(need.rangeFrom));
        if (need.shared)
            line += tr(", one for all samples");
        lines << (inputs.size() > 1 ? QStringLiteral("   ") : QString()) + line;
    }
    if (inputs.size() > kMostLines)
        lines << tr("and %1 more").arg(inputs.size() - kMostLines);
    auto *label = new QLabel((inputs.size() == 1 ? tr("The network reads ") : tr("The network reads %1 inputs\n").arg(inputs.size())) + lines.join(QChar(u'\n')));
    label->setContentsMargins(0, 0, 0, 6);
    label->setTextFormat(Qt::PlainText);
    label->setWordWrap(true);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    label->setAccessibleName(tr("What the network reads"));
    return label;
}

QWidget *DataDialog::setupEditors()
{
    m_tabs = new QTabWidget;
    m_tabs->setAccessibleName(tr("What the data is for"));
    const std::array titles{tr("Evaluation"), tr("Calibration"), tr("Training")};
    const DataSelection &data = m_controller.data();
    const std::array specs{data.evaluation, data.calibration, data.training};
    const auto &inputs = m_controller.results().inputs;
    for (std::size_t i = 0; i < m_editors.size(); ++i) {
        m_editors[i] = new DataSpecEditor(titles[i], inputs);
        DataFields spec = dataSpecFromText(toQString(specs[i]));
        // Nothing is open: what can be had for any network is offered.
        if (i == 0 && data.empty() && !inputs.empty())
            spec = guessedRandomData(inputs);
        m_editors[i]->setSpec(spec);
        connect(m_editors[i], &DataSpecEditor::edited, this, &DataDialog::update);
        m_tabs->addTab(m_editors[i], titles[i]);
    }
    connect(m_tabs, &QTabWidget::currentChanged, this, &DataDialog::update);
    return m_tabs;
}

void DataDialog::setupPreview()
{
    m_previewTimer.setSingleShot(true);
    m_previewTimer.setInterval(kPreviewDelayMs);
    connect(&m_previewTimer, &QTimer::timeout, this, &DataDialog::askPreview);
    connect(&m_controller, &EngineController::dataPreviewReady, this, [this](const DataPreviewReady &preview) {
        if (preview.request.spec == m_previewed)
            m_samples->showSamples(preview);
    });
    connect(&m_controller, &EngineController::dataPreviewFailed, this, [this](const QString &why) { m_samples->showMessage(why, true); });
    connect(&m_controller, &EngineController::modelOpened, this, &QDialog::reject);
}

/// Looks at the data of the tab in front once nothing has been typed for a while.
void DataDialog::askPreview()
{
    const DataFields spec = m_editors[std::size_t(m_tabs->currentIndex())]->spec();
    const std::string text = toText(spec).toStdString();
    if (text == m_previewed)
        return;
    m_previewed = text;
    m_controller.cancelDataPreview();
    if (m_controller.results().inputs.empty()) {
        m_samples->showMessage(tr("Open a network to see the data beside what it says about it."));
    } else if (text.empty()) {
        m_samples->showMessage(tr("No data: choose a kind to see its first samples."));
    } else if (const QString why = dataSpecProblem(spec); !why.isEmpty()) {
        m_samples->showMessage(why);
    } else {
        m_samples->setWaiting(true);
        m_controller.previewData(text);
    }
}

DataSelection DataDialog::selection() const
{
    const auto text = [this](std::size_t i) { return toText(m_editors[i]->spec()).toStdString(); };
    return {text(0), text(1), text(2)};
}

void DataDialog::update()
{
    QString problem;
    QStringList texts;
    for (const DataSpecEditor *editor : m_editors) {
        const DataFields spec = editor->spec();
        const QString text = toText(spec);
        texts << (text.isEmpty() ? tr("none") : text);
        if (const QString why = dataSpecProblem(spec); !why.isEmpty() && problem.isEmpty())
            problem = tr("%1: %2").arg(editor->accessibleName(), why);
    }
    if (problem.isEmpty() && m_editors[0]->spec().kind.isEmpty())
        problem = tr("Choose evaluation data: without it nothing can be measured.");
    m_preview->setText(texts.join(QStringLiteral("   ·   ")));
    m_problem->setText(problem);
    QPalette palette = m_problem->palette();
    palette.setColor(QPalette::WindowText, signalColours(palette).bad);
    m_problem->setPalette(palette);
    m_ok->setEnabled(problem.isEmpty());
    m_previewTimer.start();
}

} // namespace bitwright
