// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/data_preview.h"
#include "util/data_spec.h"

#include <QWidget>

#include <vector>

class QGridLayout;
class QLineEdit;

namespace bitwright {

/// Asks for what a network does not tell of its inputs, for random data: sizes that are free and the range of whole numbers.
/// What it tells is written beside, not asked for.
class RandomForm : public QWidget {
    Q_OBJECT
public:
    explicit RandomForm(const std::vector<InputNeed> &inputs, QWidget *parent = nullptr);
    /// What the fields say, in the order of the inputs. A field left empty has an empty value.
    [[nodiscard]] QList<QPair<QString, QString>> wishes() const;
    /// Fills the fields of which the spec says something.
    void setWishes(const QList<QPair<QString, QString>> &wishes);

signals:
    void edited();

private:
    struct Row {
        QString name;                  ///< as the spec writes it
        QLineEdit *form = nullptr;     ///< sizes, or the value of a number; null where the network tells
        QLineEdit *low = nullptr, *high = nullptr;
        bool formNeeded = false, highNeeded = false;
    };
    void addRow(const InputNeed &need, std::size_t index, QGridLayout *grid);
    QLineEdit *makeField(const QString &text, const QString &name, const QString &placeholder, const QString &tip);

    std::vector<Row> m_rows;
};

} // namespace bitwright
