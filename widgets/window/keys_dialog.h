// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QDialog>

class QAction;

namespace bitwright {

/// The list of keys, made from the actions; does not block the window.
class KeysDialog : public QDialog {
    Q_OBJECT
public:
    KeysDialog(const QList<QAction *> &actions, QWidget *parent = nullptr);
};

} // namespace bitwright
