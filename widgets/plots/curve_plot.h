// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/plot_frame.h"

#include <functional>
#include <optional>

class QCPGraph;
class QCPLayer;

namespace bitwright {

/// Lines over one x: loss and metric while training, error against bits. Series differ in colour, dash and marker.
/// Cheap to append to; long series are drawn with two points a pixel.
class CurvePlot : public PlotFrame {
    Q_OBJECT
public:
    struct SeriesStyle {
        int look = 0;              ///< colour and dash
        bool rightAxis = false;
        bool markers = false;      ///< a marker on each point
        bool line = true;
        bool faint = false;        ///< behind the others, as the raw values behind a smoothed line
        bool legend = true;
        double width = 1.6;
    };

    explicit CurvePlot(const QString &title, QWidget *parent = nullptr);
    ~CurvePlot() override;

    void setAxisTitles(const QString &x, const QString &left, const QString &right = {});
    /// How values of an axis are written, on the ticks and in tooltips; percent for shares, say.
    enum class Axis { X, Left, Right };
    void setAxisFormat(Axis axis, std::function<QString(double)> format);
    /// Bits, epochs: ticks at whole numbers only.
    void setIntegerX(bool integer);
    void setLegendShown(bool shown);
    /// The series' number for the calls below.
    int addSeries(const QString &name, SeriesStyle style);
    void setData(int series, PlotPoints points);
    void append(int series, double x, double y);
    /// Empties all series, keeps their styles.
    void clearData();
    [[nodiscard]] const PlotPoints &data(int series) const { return m_series[std::size_t(series)].points; }
    /// A vertical line at the present value (bits) with a ring on each series there; nullopt takes it away.
    void setMarker(std::optional<double> x);
    [[nodiscard]] std::optional<double> marker() const { return m_marker; }
    /// While following, the view grows with the data; zooming stops that and a reset starts it again.
    [[nodiscard]] bool isFollowing() const { return m_following; }
    /// Fixed ends of an axis instead of the data's; NaN leaves an end to the data.
    void setLimits(Axis axis, double lower, double upper);
    /// Shown in the middle while there is no data.
    void setEmptyMessage(const QString &message);

    [[nodiscard]] PlotTable table() const override;
    void resetView() override;

signals:
    /// A click at this x, between the axes.
    void xActivated(double x);

protected:
    void recolor() override;
    void viewMoved() override;
    void hovered(QPointF position) override;
    void clicked(QPointF position) override;

private:
    struct Series {
        QString name;
        SeriesStyle style;
        PlotPoints points;
        QCPGraph *graph = nullptr;
    };
    struct AxisState {
        QString title;
        std::function<QString(double)> format;
        double lower, upper;
    };
    void refresh();
    void fit();
    void describe();
    void paintMarker(QPainter &painter) const;
    [[nodiscard]] QString format(Axis axis, double value) const;
    AxisState &axis(Axis which) { return m_axes[std::size_t(which)]; }
    [[nodiscard]] const AxisState &axis(Axis which) const { return m_axes[std::size_t(which)]; }

    std::vector<Series> m_series;
    std::vector<AxisState> m_axes;
    std::optional<double> m_marker;
    QString m_emptyMessage;
    QCPLayer *m_markerLayer = nullptr;
    bool m_following = true;
};

} // namespace bitwright
