// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"
#include "bridge/engine_controller.h"
#include "plots/plot_data.h"
#include "plots/provisional_grid.h"

#include <QWidget>

#include <optional>

class QButtonGroup;
class QCheckBox;
class QComboBox;
class QHBoxLayout;
class QLabel;
class QPushButton;
class QSpinBox;
class QToolButton;

namespace bitwright {

class ChannelStrip;
class CurvePlot;
class HistogramPlot;
class ParamForm;
class RealEdit;

/// The current layer's weights or input activations: their histogram with the quantization levels over it, what is
/// clipped, what it costs in error, and everything that sets it. Edits go to the document; the levels of an edit are
/// drawn in the same call from the histogram, and replaced when the engine's preview comes.
class DistributionPanel : public QWidget {
    Q_OBJECT
public:
    /// Both must outlive the panel.
    DistributionPanel(Document &document, EngineController &controller, QWidget *parent = nullptr);
    ~DistributionPanel() override;

    [[nodiscard]] Role role() const { return m_role; }
    void setRole(Role role);
    void setLogarithmic(bool logarithmic);
    [[nodiscard]] bool isLogarithmic() const;
    /// -1 for all channels together.
    void setChannel(std::int64_t channel);
    [[nodiscard]] std::int64_t channel() const { return m_channel; }

    [[nodiscard]] HistogramPlot &histogram() const { return *m_histogram; }
    [[nodiscard]] CurvePlot &errorCurve() const { return *m_curve; }
    [[nodiscard]] ChannelStrip &channelStrip() const { return *m_strip; }
    [[nodiscard]] ParamForm &form() const { return *m_form; }
    [[nodiscard]] QString statisticsText() const;
    [[nodiscard]] QString warningText() const;

protected:
    void changeEvent(QEvent *event) override;

private:
    QWidget *makeHeader();
    QWidget *makeRangeRow();
    QWidget *makeMethodRow();
    QWidget *makeLower();
    void connectAll();

    // ---- from the model side ----
    void showSite();
    void showHistogram(bool keepView);
    void showGrid();
    void showControls();
    void showStatistics();
    void showCurve();
    [[nodiscard]] const StatisticsReady *statistics() const;
    /// The newest preview when it still answers the present spec and channel.
    [[nodiscard]] const PreviewReady *preview() const;
    [[nodiscard]] SiteKnowledge knowledge() const;
    /// Of the present spec, which must be there.
    [[nodiscard]] UniformForm gridForm() const;
    [[nodiscard]] bool isNonNegative() const;
    void refuse(const QString &why);
    [[nodiscard]] QString missingReason() const;
    /// What the last epoch passed back to this weight; null where there is none, or the values are shown.
    [[nodiscard]] const TrainingEpoch *lastTrace() const;
    [[nodiscard]] bool showsGradients() const;
    [[nodiscard]] bool hasFreeLevels() const;
    /// The method has one clip, its value `alpha`, from zero up.
    [[nodiscard]] bool hasUpperClip() const;
    /// The values that bring an end of the present grid there.
    [[nodiscard]] std::map<std::string, std::vector<double>> clipValues(ClipSide side, double position) const;
    void updateGradients();

    // ---- from the person ----
    void dragClip(ClipSide side, double position, bool finished);
    void dragLevel(std::size_t level, double position, bool finished);
    void setClip(ClipSide side, double position);
    void setValues(const std::map<std::string, std::vector<double>> &values);
    void setScale(double scale);
    void setZeroPoint(double zeroPoint);
    void fitRange();
    void resetRange();
    [[nodiscard]] std::optional<std::size_t> editedGroup() const;
    [[nodiscard]] std::size_t shownGroup() const;
    [[nodiscard]] LayerNames editedLayers() const;
    [[nodiscard]] const QuantSpec *spec() const;
    /// What the file itself says of the tensor, or null.
    [[nodiscard]] const StoredQuantization *stored() const;
    [[nodiscard]] QuantGrid fileGrid() const;

    Document &m_document;
    EngineController &m_controller;
    Role m_role = Role::Weight;
    std::int64_t m_channel = -1;
    std::string m_layer;
    std::uint64_t m_drag = 0;
    QuantGrid m_grid;              ///< as drawn, exact or provisional
    bool m_provisional = false;
    std::string m_preset;          ///< layer and role that the histogram's view belongs to

    QLabel *m_title, *m_shape, *m_statistics, *m_warning;
    QButtonGroup *m_roles;
    QSpinBox *m_channelBox, *m_bits;
    QComboBox *m_method;
    QToolButton *m_help;
    std::optional<Role> m_methodsOf;   ///< the role that the method box is filled for
    QCheckBox *m_log, *m_gradients;
    RealEdit *m_low, *m_high, *m_scale, *m_zero;
    QPushButton *m_fit, *m_reset, *m_zoom;
    HistogramPlot *m_histogram;
    CurvePlot *m_curve;
    ChannelStrip *m_strip;
    ParamForm *m_form;
    QWidget *m_controls = nullptr, *m_lower = nullptr;
    int m_sqnrSeries = 0;
};

} // namespace bitwright
