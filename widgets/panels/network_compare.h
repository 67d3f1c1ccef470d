// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"
#include "bridge/engine_controller.h"

#include <QWidget>

#include <functional>

class QComboBox;
class QGridLayout;
class QLabel;
class QPushButton;
class QSpinBox;
class QTableView;
class QToolButton;
class QTreeWidget;
class QTreeWidgetItem;

namespace bitwright {

class BitToggles;
class CompareSortModel;
class NetworkCompareModel;

/// Methods and widths on the whole network: what to compare, a table that fills as the engine goes, and a double click
/// that takes an assignment with its trained weights. Measured trials are points of the trade-off too.
class NetworkCompare : public QWidget {
    Q_OBJECT
public:
    /// Both must outlive the panel.
    NetworkCompare(Document &document, EngineController &controller, QWidget *parent = nullptr);

    /// Where the options of training come from, epochs apart; without it they are the defaults.
    void setTraining(std::function<FineTuneOptions()> options) { m_training = std::move(options); }
    void setMethods(const std::vector<std::string> &ids);
    [[nodiscard]] std::vector<std::string> methods() const;
    /// What would be compared now.
    [[nodiscard]] CompareNetworksRequest request() const;
    /// Why it cannot start; empty when it can.
    [[nodiscard]] QString obstacle() const;
    [[nodiscard]] QTableView &table() const { return *m_table; }
    [[nodiscard]] NetworkCompareModel &model() const { return *m_model; }
    [[nodiscard]] QString hintText() const;
    void start();
    /// Makes a row's assignment and weights the document's; false where there is nothing to take.
    bool take(int row);

private:
    /// One row of the table to be: its quantizers, without the rest of the assignment, which may be large.
    struct Choice { QuantSpec weight, activation; };
    [[nodiscard]] std::vector<Choice> choices() const;
    void setupForm(QGridLayout *form);
    QToolButton *makeMethodsButton();
    void fillMethods();
    void setupTable();
    void updateState();
    void showPolicy();
    [[nodiscard]] QList<QTreeWidgetItem *> methodItems() const;

    Document &m_document;
    EngineController &m_controller;
    std::function<FineTuneOptions()> m_training;
    QTreeWidget *m_tree;
    QToolButton *m_methods;
    BitToggles *m_bits;
    QComboBox *m_activation, *m_activationBits, *m_firstLast, *m_shortcuts;
    QSpinBox *m_samples, *m_epochs;
    QPushButton *m_start, *m_cancel, *m_take;
    QLabel *m_hint;
    QTableView *m_table;
    NetworkCompareModel *m_model;
    CompareSortModel *m_sorted;
    JobId m_job = 0;
    std::string m_weights;   ///< that the shown rows were measured with, before training
};

/// "same as the others", "8 bit", "float", with LayerPolicy::Keep as data.
void fillKeepBox(QComboBox *box);

} // namespace bitwright
