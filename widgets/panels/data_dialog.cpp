// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/data_dialog.h"

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

QLineEdit *makeLine(const QString &name, const QString &placeholder, const QString &tip)
{
    auto *line = new QLineEdit;
    line->setAccessibleName(name);
    line->setPlaceholderText(placeholder);
    line->setToolTip(tip);
    return line;
}

} // namespace

DataSpecEditor::DataSpecEditor(const QString &purpose, QWidget *parent)
    : QWidget(parent), m_kind(new QComboBox), m_sample(new QComboBox), m_split(new QComboBox),
      m_path(makeLine(tr("Path"), tr("File or folder"), tr("Where the data lies"))),
      m_size(makeLine(tr("Size"), tr("as the network wants"), tr("Height x width in pixels that every image is brought to"))),
      m_mean(makeLine(tr("Mean"), tr("as the sample's own, else 0"), tr("Subtracted from every value, one number per channel with “|” between"))),
      m_std(makeLine(tr("Standard deviation"), tr("as the sample's own, else 1"), tr("Every value is divided by it, one number per channel with “|” between"))),
      m_browse(new QPushButton(tr("Browse…"))),
      m_limit(makeCount(tr("Limit"), tr("all"), tr("Use at most this many samples"))),
      m_first(makeCount(tr("First"), tr("0"), tr("Skip this many samples first"))), m_form(new QFormLayout(this)),
      m_pathRow(new QWidget)
{
    setAccessibleName(purpose);
    setupRows();
    for (QComboBox *box : {m_kind, m_sample, m_split})
        connect(box, &QComboBox::currentIndexChanged, this, [this] { updateRows(); emit edited(); });
    for (QLineEdit *line : {m_path, m_size, m_mean, m_std})
        connect(line, &QLineEdit::textChanged, this, &DataSpecEditor::edited);
    for (QSpinBox *box : {m_limit, m_first})
        connect(box, &QSpinBox::valueChanged, this, &DataSpecEditor::edited);
    connect(m_browse, &QPushButton::clicked, this, &DataSpecEditor::browse);
    updateRows();
}

void DataSpecEditor::setupRows()
{
    m_kind->setAccessibleName(tr("Kind"));
    const std::pair<QString, const char *> kinds[] = {
        {tr("None"), ""},
        {tr("Sample (Fashion-MNIST, comes with Bitwright)"), "sample"},
        {tr("IDX folder (MNIST family, plain or .gz)"), "idx"},
        {tr("Image folder (one folder per class)"), "images"},
        {tr("NPZ file (x and y, or images and labels)"), "npz"},
        {tr("NPY file (inputs only)"), "npy"}};
    for (const auto &[title, id] : kinds)
        m_kind->addItem(title, QString::fromLatin1(id));
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
    m_form->addRow(tr("Split"), m_split);
    m_form->addRow(tr("Size"), m_size);
    m_form->addRow(tr("Mean"), m_mean);
    m_form->addRow(tr("Std. deviation"), m_std);
    m_form->addRow(tr("First"), m_first);
    m_form->addRow(tr("Limit"), m_limit);
}

void DataSpecEditor::updateRows()
{
    const QString kind = m_kind->currentData().toString();
    const bool any = !kind.isEmpty(), sample = kind == QStringLiteral("sample"), synthetic = kind == QStringLiteral("synthetic");
    const auto show = [this](QWidget *field, bool on) {
        field->setVisible(on);
        m_form->labelForField(field)->setVisible(on);
    };
    show(m_sample, sample);
    show(m_pathRow, any && !sample && !synthetic);
    show(m_split, kind == QStringLiteral("idx"));
    show(m_size, kind == QStringLiteral("images"));
    show(m_mean, any && !synthetic);
    show(m_std, any && !synthetic);
    show(m_first, any && !synthetic);
    show(m_limit, any);
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

DataSpec DataSpecEditor::spec() const
{
    DataSpec spec;
    spec.kind = m_kind->currentData().toString();
    if (spec.kind.isEmpty())
        return spec;
    const bool sample = spec.kind == QStringLiteral("sample"), synthetic = spec.kind == QStringLiteral("synthetic");
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

void DataSpecEditor::setSpec(const DataSpec &spec)
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

    auto *tabs = new QTabWidget;
    tabs->setAccessibleName(tr("What the data is for"));
    const std::array titles{tr("Evaluation"), tr("Calibration"), tr("Training")};
    const std::array specs{controller.data().evaluation, controller.data().calibration, controller.data().training};
    for (std::size_t i = 0; i < m_editors.size(); ++i) {
        m_editors[i] = new DataSpecEditor(titles[i]);
        m_editors[i]->setSpec(dataSpecFromText(toQString(specs[i])));
        connect(m_editors[i], &DataSpecEditor::edited, this, &DataDialog::update);
        tabs->addTab(m_editors[i], titles[i]);
    }
    layout->addWidget(tabs, 1);

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
    resize(560, 460);
    update();
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
        const DataSpec spec = editor->spec();
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
}

} // namespace bitwright
