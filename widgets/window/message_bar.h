// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QFrame>
#include <QTimer>

#include <functional>

class QHBoxLayout;
class QLabel;

namespace bitwright {

/// One sentence in place, with the way out beside it: instead of a stack of dialogs. Notices go by themselves, errors
/// and offers stay until they are answered.
class MessageBar : public QFrame {
    Q_OBJECT
public:
    struct Choice {
        QString text;
        std::function<void()> action;
    };
    explicit MessageBar(QWidget *parent = nullptr);
    void showNotice(const QString &text);
    void showError(const QString &text, const QList<Choice> &choices = {});
    void showOffer(const QString &text, const QList<Choice> &choices);
    [[nodiscard]] QString text() const;

private:
    void present(const QString &text, const QList<Choice> &choices, const QColor &colour, bool stays);
    QLabel *m_label;
    QHBoxLayout *m_buttons;
    QTimer m_timer;
};

} // namespace bitwright
