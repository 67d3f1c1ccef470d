// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"
#include "bridge/engine_controller.h"
#include "plots/tradeoff_plot.h"

#include <QWidget>

#include <map>

class QComboBox;
class QLabel;

namespace bitwright {

/// The trade-off plot of the present model: trials come from the controller, the present configuration's cost from the
/// document in the same call as an edit, its value from the running estimate. A click brings a trial back.
class TradeoffPanel : public QWidget {
    Q_OBJECT
public:
    /// Both must outlive the panel.
    TradeoffPanel(Document &document, EngineController &controller, QWidget *parent = nullptr);
    ~TradeoffPanel() override;

    [[nodiscard]] TradeoffPlot &plot() const { return *m_plot; }
    void setCostAxis(CostAxis axis);
    [[nodiscard]] QString summaryText() const;
    /// Makes the trial's assignment and weights the document's, as one undo step.
    void restoreTrial(qint64 id);

private:
    void reload();
    [[nodiscard]] bool belongs(const TrialRecord &trial) const;
    void showPresent();
    void showReference();
    [[nodiscard]] TradeoffPoint pointOf(const TrialRecord &trial) const;
    /// Mean weight bits of a whole configuration and a sentence about it; NaN where it does not fit this model.
    struct Digest {
        double meanBits = 0;
        QString text;
    };
    [[nodiscard]] Digest digest(const std::string &assignment) const;
    [[nodiscard]] Digest digest(const ResolvedConfig &config) const;

    Document &m_document;
    EngineController &m_controller;
    TradeoffPlot *m_plot;
    QComboBox *m_axis;
    QLabel *m_summary;
    bool m_stale = false;   // the estimate belongs to an earlier configuration
    std::string m_metric;
};

} // namespace bitwright
