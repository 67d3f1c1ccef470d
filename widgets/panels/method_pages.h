// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "catalog/method_traits.h"

#include <QDialog>

class QTextBrowser;
class QToolButton;

namespace bitwright {

/// The pages of docs/methods, compiled into the program: what a method is, its formula, paper and options. Links between
/// pages work, others open the web browser. A method without a page gets one made from its traits.
class MethodPages : public QDialog {
    Q_OBJECT
public:
    /// `catalog` must outlive the window.
    explicit MethodPages(const Catalog &catalog, QWidget *parent = nullptr);
    /// One of "uniform", "kmeans", …; also "pruning", "training".
    void showPage(const QString &id);
    [[nodiscard]] QString page() const { return m_page; }
    [[nodiscard]] QTextBrowser *browser() const { return m_browser; }
    /// Opens the page in the one such window of `parent`'s window, which is made where there is none.
    static MethodPages *open(QWidget *parent, const Catalog &catalog, const QString &id);
    /// Ids of the pages that are compiled in, in the order of the alphabet.
    static QStringList compiledIn();

protected:
    void changeEvent(QEvent *event) override;

private:
    void follow(const QUrl &link);
    void render();
    void go(int step);
    [[nodiscard]] QString markdown(const QString &id) const;

    const Catalog &m_catalog;
    QTextBrowser *m_browser;
    QToolButton *m_back, *m_forward;
    QString m_page;
    QStringList m_history;
    int m_at = -1;
};

/// A "?" that opens a page.
QToolButton *makeHelpButton(const QString &tip);

} // namespace bitwright
