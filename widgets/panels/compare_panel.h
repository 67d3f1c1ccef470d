// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"
#include "bridge/engine_controller.h"

#include <QTimer>
#include <QWidget>

class QButtonGroup;
class QLabel;
class QPushButton;
class QStackedWidget;
class QTableView;
class QToolButton;

namespace bitwright {

class BitToggles;
class CompareModel;
class CompareSortModel;
class NetworkCompare;

/// Every method at several widths beside each other: on the selected layer by error and size, or on the whole network by
/// accuracy. A row is taken by a double click, as one undo step. Asks the engine only while it is seen.
class ComparePanel : public QWidget {
    Q_OBJECT
public:
    /// Both must outlive the panel.
    ComparePanel(Document &document, EngineController &controller, QWidget *parent = nullptr);
    ~ComparePanel() override;

    [[nodiscard]] Role role() const { return m_role; }
    void setRole(Role role);
    void setBits(const std::vector<int> &bits);
    [[nodiscard]] QTableView &table() const { return *m_table; }
    [[nodiscard]] CompareModel &model() const { return *m_model; }
    [[nodiscard]] NetworkCompare &network() const { return *m_network; }
    [[nodiscard]] QString wordsText() const;
    /// Shows the comparison on the whole network.
    void showNetwork();
    /// Gives a row's spec to the selected layers; false where the method refuses or there is no such row.
    bool apply(int row);

protected:
    void showEvent(QShowEvent *event) override;
    void hideEvent(QHideEvent *event) override;

private:
    QWidget *makeLayerPage();
    QWidget *makeHeader();
    void setupTable();
    void connectAll();
    void refreshSoon();
    void refresh();
    void showMessage(const QString &message);
    void showWords();
    void markPresent();
    void showAxis();
    [[nodiscard]] std::vector<QuantSpec> wanted() const;
    [[nodiscard]] QString missingReason() const;
    [[nodiscard]] int currentRow() const;
    [[nodiscard]] LayerNames editedLayers() const;

    /// What the rows belong to: with another one nothing that is known holds any more.
    struct Context {
        std::string layer;
        Role role = Role::Weight;
        bool foldBatchNorm = false;
        std::string weights;
        Mask mask;
        friend bool operator==(const Context &, const Context &) = default;
    };
    [[nodiscard]] Context context() const;

    Document &m_document;
    EngineController &m_controller;
    Role m_role = Role::Weight;
    Context m_shown;
    JobId m_job = 0;
    std::vector<QuantSpec> m_asked;   ///< of the running job
    QString m_failure;                ///< why the last job gave nothing
    QTimer m_timer;

    QStackedWidget *m_pages;
    QButtonGroup *m_pageGroup, *m_roles;
    QLabel *m_title, *m_shape, *m_progress, *m_message, *m_words;
    BitToggles *m_bits;
    QTableView *m_table;
    CompareModel *m_model;
    CompareSortModel *m_sorted;
    QPushButton *m_apply;
    QToolButton *m_help;
    NetworkCompare *m_network;
};

} // namespace bitwright
