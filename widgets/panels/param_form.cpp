// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/param_form.h"

#include "util/format.h"

#include <QAbstractItemView>
#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QSignalBlocker>
#include <QSpinBox>

#include <limits>

namespace bitwright {

namespace {

bool sameParams(const std::vector<ParamSpec> &a, const std::vector<ParamSpec> &b)
{
    return std::ranges::equal(a, b, [](const ParamSpec &x, const ParamSpec &y) {
        return x.name == y.name && x.type == y.type && x.choices == y.choices && x.minimum == y.minimum
               && x.maximum == y.maximum;
    });
}

QString listText(const std::vector<double> &values)
{
    QStringList parts;
    for (const double value : values)
        parts << QString::number(value, 'g', 6);
    return parts.join(u'|');
}

/// A value as `onlyWith` spells it: a choice's name, true or false, a whole number.
std::string asText(const ParamValue &value)
{
    if (const auto *text = std::get_if<std::string>(&value))
        return *text;
    if (const auto *on = std::get_if<bool>(&value))
        return *on ? "true" : "false";
    const auto *whole = std::get_if<std::int64_t>(&value);
    return whole ? std::to_string(*whole) : std::string();
}

QString helpText(const ParamSpec &param)
{
    QString text = toQString(param.help);
    if (!param.unit.empty())
        text += QStringLiteral(" (%1)").arg(toQString(param.unit));
    return text;
}

} // namespace

ParamForm::ParamForm(QWidget *parent) : QWidget(parent), m_layout(new QFormLayout(this))
{
    m_layout->setContentsMargins(0, 0, 6, 0);
    m_layout->setVerticalSpacing(4);
    m_layout->setHorizontalSpacing(10);
    m_layout->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_layout->setLabelAlignment(Qt::AlignLeft | Qt::AlignVCenter);
}

QString ParamForm::label(const std::string &name)
{
    QString text = toQString(name);
    return text.replace(u'_', u' ');
}

void ParamForm::setParams(const std::vector<ParamSpec> &params, const ParamValues &values)
{
    if (!sameParams(params, m_params) || m_fields.size() != params.size()) {
        m_params = params;
        rebuild();
    }
    m_values = values;
    for (const ParamSpec &param : m_params)
        show(param, values);
    enableDependents(values);
}

QWidget *ParamForm::field(const std::string &name) const
{
    const auto found = m_fields.find(name);
    return found == m_fields.end() ? nullptr : found->second;
}

void ParamForm::rebuild()
{
    while (m_layout->rowCount() > 0)
        m_layout->removeRow(0);
    m_fields.clear();
    for (const ParamSpec &param : m_params) {
        QWidget *widget = makeField(param);
        const QString title = label(param.name);
        widget->setAccessibleName(title);
        widget->setToolTip(helpText(param));
        if (auto *box = qobject_cast<QComboBox *>(widget))
            box->view()->setAccessibleName(title);
        widget->setObjectName(toQString(param.name));
        if (qobject_cast<QCheckBox *>(widget)) {
            m_layout->addRow(widget);
        } else {
            m_layout->addRow(title, widget);
            m_layout->labelForField(widget)->setToolTip(helpText(param));
        }
        m_fields[param.name] = widget;
    }
}

QWidget *ParamForm::makeField(const ParamSpec &param)
{
    const std::string name = param.name;
    switch (param.type) {
    case ParamType::Bool: {
        if (param.optional)
            return makeSwitch(param);
        auto *box = new QCheckBox(label(name), this);
        connect(box, &QCheckBox::toggled, this, [this, name](bool on) { emit edited(name, ParamValue(on)); });
        return box;
    }
    case ParamType::Choice: {
        auto *box = new QComboBox(this);
        if (param.optional)
            box->addItem(tr("automatic"));   // without data: the method decides
        for (const std::string &choice : param.choices)
            box->addItem(label(choice), toQString(choice));
        // As narrow as the form has to be; the list that opens is as wide as its texts.
        box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        box->setMinimumContentsLength(5);
        connect(box, &QComboBox::activated, this, [this, name, box](int index) {
            const QVariant choice = box->itemData(index);
            emit edited(name, choice.isValid() ? std::optional<ParamValue>(choice.toString().toStdString()) : std::nullopt);
        });
        return box;
    }
    case ParamType::Int: {
        if (param.optional)
            return makeLine(param);
        auto *box = new QSpinBox(this);
        const bool bounded = param.minimum != 0 || param.maximum != 0;
        box->setRange(bounded ? int(param.minimum) : std::numeric_limits<int>::min(),
                      bounded ? int(param.maximum) : std::numeric_limits<int>::max());
        box->setKeyboardTracking(false);
        connect(box, &QSpinBox::valueChanged, this,
                [this, name](int value) { emit edited(name, ParamValue(std::int64_t(value))); });
        return box;
    }
    case ParamType::Real:
    case ParamType::RealList:
        break;
    }
    return makeLine(param);
}

QWidget *ParamForm::makeSwitch(const ParamSpec &param)
{
    // A check box cannot say "left to the method".
    auto *box = new QComboBox(this);
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(5);
    box->addItem(tr("automatic"));
    box->addItem(tr("yes"), true);
    box->addItem(tr("no"), false);
    connect(box, &QComboBox::activated, this, [this, name = param.name, box](int index) {
        emit edited(name, index == 0 ? std::nullopt : std::optional<ParamValue>(box->itemData(index).toBool()));
    });
    return box;
}

QWidget *ParamForm::makeLine(const ParamSpec &param)
{
    auto *line = new QLineEdit(this);
    if (param.optional)
        line->setPlaceholderText(tr("automatic"));
    line->setMinimumWidth(60);
    connect(line, &QLineEdit::editingFinished, this, [this, param, line] {
        if (!line->isModified())
            return;
        line->setModified(false);
        const QString text = line->text().trimmed();
        if (text.isEmpty() && param.optional) {
            emit edited(param.name, std::nullopt);
            return;
        }
        const auto value = parseParam(param, text.toStdString());
        if (value) {
            emit edited(param.name, *value);
            return;
        }
        show(param, m_values);
        emit refused(toQString(value.error().message));
    });
    return line;
}

void ParamForm::show(const ParamSpec &param, const ParamValues &values)
{
    QWidget *widget = field(param.name);
    const QSignalBlocker blocker(widget);
    const auto given = values.find(param.name);
    const ParamValue value = given != values.end() ? given->second : param.fallback;
    if (auto *box = qobject_cast<QCheckBox *>(widget)) {
        box->setChecked(std::holds_alternative<bool>(value) && std::get<bool>(value));
    } else if (auto *combo = qobject_cast<QComboBox *>(widget); combo && param.type == ParamType::Bool) {
        combo->setCurrentIndex(given == values.end() ? 0 : combo->findData(boolParam(values, param.name)));
    } else if (combo) {
        const auto *text = std::get_if<std::string>(&value);
        const bool decided = text && (given != values.end() || !param.optional);
        combo->setCurrentIndex(decided ? combo->findData(toQString(*text)) : param.optional ? 0 : -1);
    } else if (auto *spin = qobject_cast<QSpinBox *>(widget)) {
        spin->setValue(std::holds_alternative<std::int64_t>(value) ? int(std::get<std::int64_t>(value)) : 0);
    } else if (auto *line = qobject_cast<QLineEdit *>(widget); line && !(line->hasFocus() && line->isModified())) {
        QString text;
        if (given != values.end() || !param.optional) {
            if (const auto *real = std::get_if<double>(&value))
                text = QString::number(*real, 'g', 8);
            else if (const auto *whole = std::get_if<std::int64_t>(&value))
                text = QString::number(*whole);
            else if (const auto *list = std::get_if<std::vector<double>>(&value))
                text = listText(*list);
        }
        line->setText(text);
    }
}

void ParamForm::enableDependents(const ParamValues &values)
{
    for (const ParamSpec &param : m_params) {
        const auto equals = param.onlyWith.find('=');
        QWidget *dependent = field(param.name);
        if (equals == std::string::npos || !dependent)
            continue;
        const std::string chooser = param.onlyWith.substr(0, equals), choice = param.onlyWith.substr(equals + 1);
        const auto spec = std::ranges::find(m_params, chooser, &ParamSpec::name);
        const auto given = values.find(chooser);
        const ParamValue value = given != values.end() ? given->second : spec == m_params.end() ? ParamValue() : spec->fallback;
        const bool counts = asText(value) == choice;
        dependent->setEnabled(counts);
        if (QWidget *title = m_layout->labelForField(dependent))
            title->setEnabled(counts);
    }
}

} // namespace bitwright
