// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/bit_toggles.h"

#include <QHBoxLayout>
#include <QToolButton>

#include <algorithm>

namespace bitwright {

BitToggles::BitToggles(std::vector<int> bits, QWidget *parent) : QWidget(parent)
{
    setAccessibleName(tr("Bits"));
    auto *layout = new QHBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(2);
    for (int width = 1; width <= 8; ++width) {
        auto *button = new QToolButton;
        button->setText(QString::number(width));
        button->setAccessibleName(width == 1 ? tr("1 bit") : tr("%1 bits").arg(width));
        button->setToolTip(tr("Compare at %1").arg(button->accessibleName()));
        button->setCheckable(true);
        button->setStyleSheet(QStringLiteral(
            "QToolButton { padding: 2px 0; min-width: 20px; border: 1px solid palette(mid); border-radius: 4px; }"
            "QToolButton:checked { background: palette(highlight); color: palette(highlighted-text); border-color: palette(highlight); }"
            "QToolButton:focus { border-color: palette(text); }"));
        connect(button, &QToolButton::clicked, this, [this, button] {
            if (this->bits().empty())
                button->setChecked(true);
            else
                emit changed();
        });
        m_buttons << button;
        layout->addWidget(button);
    }
    setBits(bits);
}

std::vector<int> BitToggles::bits() const
{
    std::vector<int> chosen;
    for (qsizetype i = 0; i < m_buttons.size(); ++i)
        if (m_buttons[i]->isChecked())
            chosen.push_back(int(i) + 1);
    return chosen;
}

void BitToggles::setBits(const std::vector<int> &bits)
{
    for (qsizetype i = 0; i < m_buttons.size(); ++i)
        m_buttons[i]->setChecked(std::ranges::find(bits, int(i) + 1) != bits.end());
}

} // namespace bitwright
