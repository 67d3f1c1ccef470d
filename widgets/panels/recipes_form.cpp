// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/recipes_form.h"

#include "catalog/recipes.h"
#include "panels/param_form.h"
#include "util/format.h"

#include <QCheckBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>

namespace bitwright {

namespace {

constexpr int kIndent = 22;   // under the text of a check box

} // namespace

RecipesForm::RecipesForm(const Catalog &catalog, QWidget *parent) : QWidget(parent)
{
    setAccessibleName(tr("Training recipes"));
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(4);
    m_rows.reserve(catalog.methods().size());   // the connections name rows by index
    for (const MethodTraits &method : catalog.methods())
        if (method.kind == MethodKind::Recipe)
            addRow(method);
}

void RecipesForm::addRow(const MethodTraits &recipe)
{
    const std::size_t index = m_rows.size();
    Row row;
    row.recipe = &recipe;
    row.box = new QCheckBox(toQString(recipe.title));
    row.box->setToolTip(QStringLiteral("%1\n%2").arg(toQString(recipe.summary), toQString(recipe.paper)));
    row.options = new QWidget;
    auto *inside = new QVBoxLayout(row.options);
    inside->setContentsMargins(kIndent, 0, 0, 4);
    inside->setSpacing(4);
    row.form = new ParamForm;
    row.form->setParams(recipe.options, {});
    inside->addWidget(row.form);
    if (learnsFromTeacher(recipe.id))
        inside->addWidget(makeTeacher());
    row.options->hide();
    layout()->addWidget(row.box);
    layout()->addWidget(row.options);
    connect(row.box, &QCheckBox::toggled, this, [this, index](bool on) {
        m_rows[index].options->setVisible(on);
        emit changed();
    });
    connect(row.form, &ParamForm::edited, this, [this, index](const std::string &name, const std::optional<ParamValue> &value) {
        Row &edited = m_rows[index];
        if (value)
            edited.values[name] = *value;
        else
            edited.values.erase(name);
        edited.form->setParams(edited.recipe->options, edited.values);
        emit changed();
    });
    connect(row.form, &ParamForm::refused, this, &RecipesForm::refused);
    m_rows.push_back(std::move(row));
}

QWidget *RecipesForm::makeTeacher()
{
    auto *row = new QWidget;
    auto *layout = new QHBoxLayout(row);
    layout->setContentsMargins(0, 0, 6, 0);
    m_teacher = new QLineEdit;
    m_teacher->setAccessibleName(tr("Teacher"));
    m_teacher->setPlaceholderText(tr("this network in float"));
    m_teacher->setToolTip(tr("File of another network of the same task to learn from; empty for this one as it was opened"));
    auto *label = new QLabel(tr("teacher"));
    label->setBuddy(m_teacher);
    auto *choose = new QToolButton;
    choose->setText(QStringLiteral("…"));
    choose->setAccessibleName(tr("Choose the teacher's file"));
    choose->setToolTip(tr("Choose the teacher's file"));
    layout->addWidget(label);
    layout->addWidget(m_teacher, 1);
    layout->addWidget(choose);
    connect(choose, &QToolButton::clicked, this, &RecipesForm::chooseTeacher);
    connect(m_teacher, &QLineEdit::textChanged, this, &RecipesForm::changed);
    return row;
}

void RecipesForm::chooseTeacher()
{
    auto *dialog = new QFileDialog(this, tr("Teacher"), QFileInfo(m_teacher->text()).path(),
                                   tr("Networks (*.pt *.pt2 *.onnx);;All files (*)"));
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setFileMode(QFileDialog::ExistingFile);
    connect(dialog, &QFileDialog::fileSelected, m_teacher, &QLineEdit::setText);
    dialog->open();
}

std::vector<RecipeChoice> RecipesForm::choices() const
{
    std::vector<RecipeChoice> chosen;
    for (const Row &row : m_rows)
        if (row.box->isChecked())
            chosen.push_back({row.recipe->id, row.values});
    return chosen;
}

void RecipesForm::setChoices(const std::vector<RecipeChoice> &choices)
{
    for (Row &row : m_rows) {
        const auto chosen = std::ranges::find(choices, row.recipe->id, &RecipeChoice::id);
        if (chosen != choices.end()) {
            row.values = chosen->options;
            std::erase_if(row.values, [&](const auto &value) {
                const ParamSpec *option = row.recipe->option(value.first);
                return !option || !checkParam(*option, value.second);
            });
            row.form->setParams(row.recipe->options, row.values);
        }
        row.box->setChecked(chosen != choices.end());
    }
}

std::string RecipesForm::teacher() const
{
    const bool taught = std::ranges::any_of(m_rows, [](const Row &row) { return row.box->isChecked() && learnsFromTeacher(row.recipe->id); });
    return taught && m_teacher ? m_teacher->text().trimmed().toStdString() : std::string();
}

void RecipesForm::setTeacher(const std::string &path)
{
    if (m_teacher)
        m_teacher->setText(toQString(path));
}

QString RecipesForm::clash() const
{
    std::vector<std::string> ids;
    for (const RecipeChoice &choice : choices())
        ids.push_back(choice.id);
    QString why = toQString(recipeClash(ids));
    if (!why.isEmpty())
        why[0] = why[0].toUpper();
    return why.isEmpty() ? why : why + QLatin1Char('.');
}

} // namespace bitwright
