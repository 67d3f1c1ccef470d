// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"
#include "bridge/engine_controller.h"
#include "config/mask_edit.h"
#include "network/channel_unit.h"

#include <QWidget>

#include <optional>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QLabel;
class QPushButton;
class QSortFilterProxyModel;
class QTableView;

namespace bitwright {

class ChannelListModel;
class MaskPicture;
class RealEdit;
class ThresholdPlot;

/// The current layer's mask: the weight as a picture, a threshold on its magnitudes that prunes as it moves, its
/// channels with what goes with them, and what all that saves. Every change is an edit of the document; the picture
/// follows the document. The weight itself comes from the engine, asked for while the panel can be seen.
class MaskPanel : public QWidget {
    Q_OBJECT
public:
    /// Both must outlive the panel.
    MaskPanel(Document &document, EngineController &controller, QWidget *parent = nullptr);
    ~MaskPanel() override;

    [[nodiscard]] MaskPicture &picture() const { return *m_picture; }
    [[nodiscard]] ThresholdPlot &threshold() const { return *m_plot; }
    [[nodiscard]] QTableView &channels() const { return *m_list; }
    /// The weight of the current layer is here and can be edited.
    [[nodiscard]] bool isReady() const;
    [[nodiscard]] QString sizesText() const;
    [[nodiscard]] QString keptText() const;
    /// What goes with the channel under the pointer or the chosen ones, or why an edit was refused.
    [[nodiscard]] QString noteText() const;

signals:
    /// The dialog for pruning by a criterion is wanted.
    void pruneRequested();

protected:
    void showEvent(QShowEvent *event) override;
    bool eventFilter(QObject *watched, QEvent *event) override;

private:
    QWidget *makeHeader();
    QWidget *makeChannels();
    QWidget *makeThresholdRow();
    QWidget *makeButtons();
    void connectAll();

    // ---- from the model side ----
    void showLayer();
    void askWeight();
    void takeWeight(const WeightReady &event);
    void showMask();
    void showThreshold();
    void showSizes();
    void showImportance();
    void showNote();
    void setNote(const QString &text, const QString &tip, bool warning);
    void updateButtons();
    void onChanged(const ChangeEvent &event);

    // ---- from the person ----
    void dragThreshold(double threshold, bool finished);
    void setShare(double percent);
    void editRegion(const WeightRegion &region, bool keep);
    void setChannels(const std::vector<std::int64_t> &channels, bool keep);
    /// False where the edit was refused.
    bool apply(std::vector<std::uint8_t> kept, HandEdit edit, const QString &text, quint64 drag = 0);
    void holdByHand();
    void invertSelection();
    [[nodiscard]] std::vector<std::int64_t> chosenChannels() const;
    [[nodiscard]] std::string criterion() const;
    [[nodiscard]] std::span<const float> values() const { return *m_weight->values; }

    Document &m_document;
    EngineController &m_controller;
    std::string m_layer;
    std::optional<WeightReady> m_weight;
    WeightLayout m_layout;
    double m_std = 0;
    std::vector<std::uint8_t> m_kept;     ///< of m_keptMask
    Mask m_keptMask;
    std::vector<std::uint8_t> m_held;     ///< what a threshold leaves pruned, as of m_heldMask; empty for nothing
    Mask m_heldMask;
    bool m_heldKnown = false;
    double m_threshold = 0;
    quint64 m_drag = 0;
    bool m_stale = true;                  ///< the weight has to be asked for when the panel is seen
    qint64 m_hovered = -1;
    QString m_refusal;
    int m_undoAfterClick = -1;

    QLabel *m_title, *m_shape, *m_keptLabel, *m_sizes, *m_note;
    QComboBox *m_colour, *m_unit;
    MaskPicture *m_picture;
    ThresholdPlot *m_plot;
    QTableView *m_list;
    ChannelListModel *m_model;
    QSortFilterProxyModel *m_sorted;
    RealEdit *m_thresholdBox, *m_quality;
    QDoubleSpinBox *m_share;
    QCheckBox *m_log;
    QPushButton *m_prune, *m_clear, *m_invert, *m_remove, *m_keep;
};

} // namespace bitwright
