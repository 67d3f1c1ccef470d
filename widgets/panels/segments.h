// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QButtonGroup>
#include <QToolButton>

namespace bitwright {

/// One of a few choices that lie side by side, as between weights and activations.
inline QToolButton *makeSegment(QButtonGroup *group, int id, const QString &text, const QString &tip)
{
    auto *button = new QToolButton;
    button->setText(text);
    button->setToolTip(tip);
    button->setAccessibleName(text);
    button->setCheckable(true);
    button->setStyleSheet(QStringLiteral(
        "QToolButton { padding: 3px 10px; border: 1px solid palette(mid); border-radius: 4px; }"
        "QToolButton:checked { background: palette(highlight); color: palette(highlighted-text);"
        " border-color: palette(highlight); }"
        "QToolButton:focus { border-color: palette(text); }"));
    group->addButton(button, id);
    return button;
}

} // namespace bitwright
