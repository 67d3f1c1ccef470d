// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/mask_raster.h"
#include "plots/plot_data.h"

#include <QPixmap>
#include <QWidget>

#include <memory>
#include <optional>
#include <vector>

class QMenu;

namespace bitwright {

/// What a click, a rubber band or a key acts on.
enum class MaskUnit { Weight, Kernel, Column, Filter, Channel };

/// A weight as a picture with its mask on it: rows are output channels, columns input channels, kernel cells inside.
/// The wheel zooms about the pointer, the middle button or space and drag pan, a double click resets. A click turns one
/// unit over, a rubber band all that it covers, shift and click all since the last click; arrows, Enter and Delete do
/// the same. Draws and tells; changes no mask itself.
class MaskPicture : public QWidget {
    Q_OBJECT
public:
    explicit MaskPicture(QWidget *parent = nullptr);
    ~MaskPicture() override;

    /// `scores` may be null: one per element or one per output channel. Everything kept until setKept. The view is reset
    /// where the layout is another one.
    void setWeight(std::shared_ptr<const std::vector<float>> values, std::shared_ptr<const std::vector<float>> scores,
                   const WeightLayout &layout);
    /// Nothing to draw, and why.
    void showMessage(const QString &message);
    /// One entry per element, and how many are kept of each output channel.
    void setKept(std::vector<std::uint8_t> kept, std::vector<std::int64_t> byRow);
    [[nodiscard]] const std::vector<std::uint8_t> &kept() const { return m_kept; }
    void setColouring(MaskColouring colouring);
    [[nodiscard]] MaskColouring colouring() const { return m_colouring; }
    void setUnit(MaskUnit unit);
    [[nodiscard]] MaskUnit unit() const { return m_unit; }
    /// Channels that are chosen, and those that go with what the pointer is on.
    void setChosenRows(std::vector<std::int64_t> rows);
    void setMarkedRows(std::vector<std::int64_t> rows);
    [[nodiscard]] const MaskScene &scene() const { return m_scene; }
    [[nodiscard]] double zoom() const { return m_zoom; }
    /// Where an element is drawn, in this widget's pixels.
    [[nodiscard]] QRectF pixelRect(const MaskScene::Place &place) const;
    [[nodiscard]] QString tipAt(QPointF position) const;
    /// By output channel: kept elements, the L1 norm; for "show as table" and CSV.
    [[nodiscard]] PlotTable table() const;
    /// Draws what is queued at once.
    [[nodiscard]] QImage image() const { return m_image; }

    QSize sizeHint() const override { return {420, 300}; }

public slots:
    void resetView();

signals:
    /// The pointer or the keys' cursor is on this output channel; -1 for none.
    void rowHovered(qint64 row);
    /// Keep or remove a region; units are whole. Channels are rows of it.
    void edited(const bitwright::WeightRegion &region, bool keep);
    /// A click turned out to be the first half of a double click.
    void clickTakenBack();

protected:
    bool event(QEvent *event) override;
    void paintEvent(QPaintEvent *event) override;
    void resizeEvent(QResizeEvent *event) override;
    void changeEvent(QEvent *event) override;
    void wheelEvent(QWheelEvent *event) override;
    void mousePressEvent(QMouseEvent *event) override;
    void mouseMoveEvent(QMouseEvent *event) override;
    void mouseReleaseEvent(QMouseEvent *event) override;
    void mouseDoubleClickEvent(QMouseEvent *event) override;
    void keyPressEvent(QKeyEvent *event) override;
    void keyReleaseEvent(QKeyEvent *event) override;
    void leaveEvent(QEvent *event) override;
    void focusOutEvent(QFocusEvent *event) override;
    void contextMenuEvent(QContextMenuEvent *event) override;

private:
    [[nodiscard]] QRectF area() const;
    [[nodiscard]] QPointF toScene(QPointF position) const;
    [[nodiscard]] QRectF toPixels(const QRectF &rect) const;
    [[nodiscard]] QPointF scale() const { return m_fit * m_zoom; }
    void layOut(bool reset);
    void clampOrigin();
    void zoomAt(QPointF position, double factor);
    void weigh();
    void invalidate();
    void render();
    void paintLines(QPainter &painter) const;
    void paintRowMarks(QPainter &painter) const;
    void paintLabels(QPainter &painter) const;
    void paintBand(QPainter &painter) const;
    void setCursorPlace(std::optional<MaskScene::Place> place);
    [[nodiscard]] WeightRegion regionOf(MaskScene::Place from, MaskScene::Place to) const;
    [[nodiscard]] QRectF regionRect(const WeightRegion &region) const;
    [[nodiscard]] bool isAllPruned(const WeightRegion &region) const;
    void turnOver(MaskScene::Place from, MaskScene::Place to, std::optional<bool> keep);
    void moveCursor(int key);
    void describe();
    void save();
    void showTable();

    std::shared_ptr<const std::vector<float>> m_values, m_scores;
    MaskScene m_scene;
    std::vector<std::uint8_t> m_kept;
    std::vector<std::int64_t> m_keptByRow, m_chosenRows, m_markedRows;
    QString m_message;
    MaskColouring m_colouring = MaskColouring::Magnitude;
    MaskUnit m_unit = MaskUnit::Channel;

    MaskRaster m_raster;
    MaskColours m_colours;
    QImage m_image;
    bool m_imageStale = true, m_weighed = false;
    QPointF m_fit{1, 1};       ///< pixels per element that show everything
    double m_zoom = 1;
    QPointF m_origin;          ///< scene place of the area's upper left corner

    std::optional<MaskScene::Place> m_cursor, m_pressed, m_lastClicked;
    bool m_lastKeep = false, m_space = false, m_panning = false, m_banding = false, m_clicked = false;
    QPointF m_pressedAt, m_panFrom;
    std::optional<MaskScene::Place> m_bandTo;
};

} // namespace bitwright
