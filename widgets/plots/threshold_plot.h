// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QPixmap>
#include <QWidget>

#include <memory>
#include <span>
#include <vector>

namespace bitwright {

/// The histogram of a weight's magnitudes with one handle: what is below it goes. Drag it, click where it should be, or
/// use the arrow keys; a double click takes it to zero.
class ThresholdPlot : public QWidget {
    Q_OBJECT
public:
    explicit ThresholdPlot(QWidget *parent = nullptr);

    void setValues(std::span<const float> values);
    void clear();
    /// Magnitude below which weights go; never signals.
    void setThreshold(double threshold);
    [[nodiscard]] double threshold() const { return m_threshold; }
    [[nodiscard]] double top() const { return m_top; }
    void setLogarithmic(bool logarithmic);
    /// Where a magnitude is, in this widget's pixels.
    [[nodiscard]] double pixelOf(double magnitude) const;

    QSize sizeHint() const override { return {420, 96}; }

signals:
    void thresholdDragged(double threshold, bool finished);

protected:
    void paintEvent(QPaintEvent *event) override;
    void mousePressEvent(QMouseEvent *event) override;
    void mouseMoveEvent(QMouseEvent *event) override;
    void mouseReleaseEvent(QMouseEvent *event) override;
    void mouseDoubleClickEvent(QMouseEvent *event) override;
    void keyPressEvent(QKeyEvent *event) override;
    void resizeEvent(QResizeEvent *event) override;
    void changeEvent(QEvent *event) override;

private:
    [[nodiscard]] QRectF area() const;
    [[nodiscard]] double magnitudeAt(double pixel) const;
    void drag(double pixel, bool finished);
    void drawBars();

    std::vector<std::int64_t> m_counts;
    QPixmap m_keptBars, m_prunedBars;   ///< drawn once: a moving handle only shows more of one and less of the other
    double m_top = 0, m_threshold = 0;
    bool m_logarithmic = false, m_dragging = false;
};

} // namespace bitwright
