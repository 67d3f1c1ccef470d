// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"
#include "config/presets.h"

#include <QDialog>

class QLabel;
class QLineEdit;
class QPushButton;
class QToolButton;
class QTreeWidget;
class QTreeWidgetItem;

namespace bitwright {

/// The assignments of the papers: which one, what it quantizes how, what it keeps, how it is trained. Taking one is one
/// undo step; masks stay.
class PresetDialog : public QDialog {
    Q_OBJECT
public:
    /// `document` must outlive the dialog.
    explicit PresetDialog(Document &document, QWidget *parent = nullptr);
    void choose(const QString &id);
    /// Makes the marked preset the document's assignment; false where none is marked or the program lacks its method.
    bool apply();
    [[nodiscard]] QString detailsText() const;
    [[nodiscard]] QTreeWidget &list() const { return *m_list; }

private:
    void fill();
    void filter(const QString &text);
    void showDetails();
    [[nodiscard]] const Preset *current() const;
    [[nodiscard]] bool isPossible(const Preset &preset) const;

    Document &m_document;
    QLineEdit *m_filter;
    QTreeWidget *m_list;
    QLabel *m_details;
    QToolButton *m_help;
    QPushButton *m_apply = nullptr;
};

} // namespace bitwright
