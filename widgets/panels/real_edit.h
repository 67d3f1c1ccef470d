// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QLineEdit>

namespace bitwright {

/// A box for one real number of any magnitude, in the user's locale, six digits; a wrong text goes back to the value.
class RealEdit : public QLineEdit {
    Q_OBJECT
public:
    explicit RealEdit(const QString &name, QWidget *parent = nullptr);
    /// NaN empties the box. Never signals; what a person is typing stays.
    void setValue(double value);
    [[nodiscard]] double value() const { return m_value; }

signals:
    void valueEdited(double value);

private:
    void finish();
    double m_value;
};

} // namespace bitwright
