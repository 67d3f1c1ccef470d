// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QList>
#include <QWidget>

#include <vector>

class QToolButton;

namespace bitwright {

/// Which widths, 1 to 8, several at once; at least one stays on.
class BitToggles : public QWidget {
    Q_OBJECT
public:
    explicit BitToggles(std::vector<int> bits, QWidget *parent = nullptr);
    /// Ascending.
    [[nodiscard]] std::vector<int> bits() const;
    void setBits(const std::vector<int> &bits);

signals:
    void changed();

private:
    QList<QToolButton *> m_buttons;
};

} // namespace bitwright
