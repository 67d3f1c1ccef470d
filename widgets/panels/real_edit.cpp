// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/real_edit.h"

#include <QLocale>

#include <cmath>
#include <limits>

namespace bitwright {

namespace {

QString textOf(double value)
{
    return std::isfinite(value) ? QLocale().toString(value, 'g', 5) : QString();
}

} // namespace

RealEdit::RealEdit(const QString &name, QWidget *parent)
    : QLineEdit(parent), m_value(std::numeric_limits<double>::quiet_NaN())
{
    setAccessibleName(name);
    setMinimumWidth(fontMetrics().horizontalAdvance(QStringLiteral("−0.000000")) + 12);
    setMaximumWidth(fontMetrics().horizontalAdvance(QStringLiteral("−0.00000e-00")) + 16);
    connect(this, &QLineEdit::editingFinished, this, &RealEdit::finish);
}

void RealEdit::setValue(double value)
{
    m_value = value;
    if (!(hasFocus() && isModified())) {
        setText(textOf(value));
        setCursorPosition(0);
    }
}

void RealEdit::finish()
{
    if (!isModified())
        return;
    setModified(false);
    bool ok = false;
    double entered = QLocale().toDouble(text(), &ok);
    if (!ok)
        entered = QLocale::c().toDouble(text(), &ok);
    if (ok && std::isfinite(entered)) {
        m_value = entered;
        emit valueEdited(entered);
    }
    setText(textOf(m_value));
}

} // namespace bitwright
