// SPDX-License-Identifier: GPL-3.0-or-later
#include "window/message_bar.h"

#include "util/theme.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QToolButton>

namespace bitwright {

namespace {

constexpr int kNoticeMs = 8000;

} // namespace

MessageBar::MessageBar(QWidget *parent) : QFrame(parent), m_label(new QLabel), m_buttons(new QHBoxLayout)
{
    setAccessibleName(tr("Message"));
    setObjectName(QStringLiteral("messageBar"));
    m_label->setWordWrap(true);
    m_label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_label->setAccessibleName(tr("Message text"));
    auto *close = new QToolButton;
    close->setIcon(themedIcon(QStringLiteral("cancel")));
    close->setAutoRaise(true);
    close->setAccessibleName(tr("Close message"));
    close->setToolTip(tr("Close"));
    connect(close, &QToolButton::clicked, this, &QWidget::hide);
    auto *layout = new QHBoxLayout(this);
    layout->setContentsMargins(12, 5, 6, 5);
    layout->addWidget(m_label, 1);
    layout->addLayout(m_buttons);
    layout->addWidget(close);
    m_timer.setSingleShot(true);
    connect(&m_timer, &QTimer::timeout, this, &QWidget::hide);
    hide();
}

QString MessageBar::text() const
{
    return m_label->text();
}

void MessageBar::showNotice(const QString &text)
{
    present(text, {}, signalColours(palette()).warning, false);
}

void MessageBar::showError(const QString &text, const QList<Choice> &choices)
{
    present(text, choices, signalColours(palette()).bad, true);
}

void MessageBar::showOffer(const QString &text, const QList<Choice> &choices)
{
    present(text, choices, palette().color(QPalette::Highlight), true);
}

void MessageBar::present(const QString &text, const QList<Choice> &choices, const QColor &colour, bool stays)
{
    while (QLayoutItem *item = m_buttons->takeAt(0)) {
        item->widget()->deleteLater();
        delete item;
    }
    m_label->setText(text);
    for (const Choice &choice : choices) {
        auto *button = new QPushButton(choice.text);
        connect(button, &QPushButton::clicked, this, [this, action = choice.action] {
            hide();
            action();
        });
        m_buttons->addWidget(button);
    }
    setStyleSheet(QStringLiteral("#messageBar { background: rgba(%1,%2,%3,38); border: none; border-left: 4px solid %4; }")
                      .arg(colour.red()).arg(colour.green()).arg(colour.blue()).arg(colour.name()));
    m_timer.stop();
    if (!stays)
        m_timer.start(kNoticeMs);
    show();
}

} // namespace bitwright
