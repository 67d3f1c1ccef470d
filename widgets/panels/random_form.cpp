// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/random_form.h"

#include "util/elided_label.h"
#include "util/format.h"

#include <QGridLayout>
#include <QLabel>
#include <QLineEdit>

namespace bitwright {

namespace {

enum Column { Name, Sizes, Low, High };

bool isFree(const InputNeed &need)
{
    return !need.rankKnown || !need.asked.empty() || !need.info.freeDimensions.empty();
}

QLabel *muted(const QString &text)
{
    auto *label = new QLabel(text);
    label->setEnabled(false);
    return label;
}

} // namespace

RandomForm::RandomForm(const std::vector<InputNeed> &inputs, QWidget *parent) : QWidget(parent)
{
    setAccessibleName(tr("Random data"));
    auto *grid = new QGridLayout(this);
    grid->setContentsMargins(0, 8, 0, 0);
    grid->setHorizontalSpacing(8);
    grid->setVerticalSpacing(6);
    grid->addWidget(muted(tr("Input")), 0, Name);
    grid->addWidget(muted(tr("One sample")), 0, Sizes);
    grid->addWidget(muted(tr("From")), 0, Low);
    grid->addWidget(muted(tr("To below")), 0, High);
    grid->setColumnStretch(Sizes, 2);
    grid->setColumnStretch(Low, 1);
    grid->setColumnStretch(High, 1);
    for (std::size_t i = 0; i < inputs.size(); ++i)
        addRow(inputs[i], i, grid);
}

QLineEdit *RandomForm::makeField(const QString &text, const QString &name, const QString &placeholder, const QString &tip)
{
    auto *field = new QLineEdit(text);
    field->setAccessibleName(name);
    field->setPlaceholderText(placeholder);
    field->setToolTip(tip);
    field->setMinimumWidth(70);
    connect(field, &QLineEdit::textChanged, this, &RandomForm::edited);
    return field;
}

void RandomForm::addRow(const InputNeed &need, std::size_t index, QGridLayout *grid)
{
    const QString title = toQString(need.info.name);
    Row row;
    row.name = toQString(dataNameOf(need.info.name, index));
    const int line = int(index) + 1;
    auto *name = new ElidedLabel(title);
    name->setToolTip(tr("%1, %2, reads %3").arg(title, toQString(need.info.dtype), inputText(need)));
    grid->addWidget(name, line, Name);
    const bool rangeGuessed = need.isWhole() && (need.high <= 0 || need.rangeGuessed);
    if (need.isNumber() && !need.isFlag()) {
        const bool whole = need.isWhole();
        row.formNeeded = whole && rangeGuessed;
        row.form = makeField(whole && need.high > 0 ? QString::number(need.low) : QString(), tr("Value of %1").arg(title),
                             whole ? tr("a whole number") : tr("normal"), tr("One number for all samples%1").arg(need.rangeFrom.empty() ? QString() : QStringLiteral("; ") + toQString(need.rangeFrom)));
        grid->addWidget(row.form, line, Sizes);
    } else if (isFree(need)) {
        row.formNeeded = !need.asked.empty() || !need.rankKnown;
        row.form = makeField(guessText(need), tr("Sizes of %1").arg(title), tr("sizes, like 1x3x224x224"),
                             tr("The network reads %1: write a number for each size that is free, 1 for the batch").arg(inputText(need)));
        grid->addWidget(row.form, line, Sizes);
    } else {
        grid->addWidget(new QLabel(need.isNumber() ? tr("true or false") : guessText(need).replace(QChar(u'x'), QStringLiteral(" × "))), line, Sizes);
    }
    if (need.isFlag() || need.isNumber()) {
        grid->addWidget(muted(need.isFlag() ? tr("a coin") : QString()), line, Low, 1, 2);
    } else if (need.isWhole()) {
        row.highNeeded = rangeGuessed;
        const QString why = need.rangeFrom.empty() ? tr("The network does not tell which whole numbers it knows: only you can") : toQString(need.rangeFrom);
        row.low = makeField(rangeGuessed && need.low > 0 ? QString::number(need.low) : QString(), tr("Lowest of %1").arg(title), QStringLiteral("0"), why);
        row.high = makeField(rangeGuessed && need.high > 0 ? QString::number(need.high) : QString(), tr("%1 lies below").arg(title),
                             need.high > 0 ? QString::number(need.high) : tr("needed"), why);
        grid->addWidget(row.low, line, Low);
        grid->addWidget(row.high, line, High);
    } else {
        row.low = makeField({}, tr("Lowest of %1").arg(title), tr("normal"), tr("Empty: normally distributed with mean 0 and deviation 1; with both numbers evenly between them"));
        row.high = makeField({}, tr("%1 lies below").arg(title), tr("normal"), row.low->toolTip());
        grid->addWidget(row.low, line, Low);
        grid->addWidget(row.high, line, High);
    }
    m_rows.push_back(row);
}

QList<QPair<QString, QString>> RandomForm::wishes() const
{
    QList<QPair<QString, QString>> wishes;
    const auto add = [&](const QString &name, const QLineEdit *field, bool needed) {
        if (field && (needed || !field->text().trimmed().isEmpty()))
            wishes.append({name, field->text().simplified().remove(QChar(u' ')).replace(QChar(u'×'), QChar(u'x'))});
    };
    for (const Row &row : m_rows) {
        add(row.name, row.form, row.formNeeded);
        add(row.name + QStringLiteral(".low"), row.low, false);
        add(row.name + QStringLiteral(".high"), row.high, row.highNeeded);
    }
    return wishes;
}

void RandomForm::setWishes(const QList<QPair<QString, QString>> &wishes)
{
    for (const auto &[name, value] : wishes)
        for (const Row &row : m_rows) {
            if (row.form && name == row.name)
                row.form->setText(value);
            else if (row.low && name == row.name + QStringLiteral(".low"))
                row.low->setText(value);
            else if (row.high && name == row.name + QStringLiteral(".high"))
                row.high->setText(value);
        }
}

} // namespace bitwright
