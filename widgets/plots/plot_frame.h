// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "plots/plot_colors.h"
#include "plots/plot_data.h"

#include <QPointer>
#include <QWidget>

#include <memory>

class QCustomPlot;
class QDialog;
class QMenu;

namespace bitwright {

/// What all plots share: the wheel zooms, a drag pans, a double click resets; the context menu saves PNG, SVG, PDF or
/// the data as CSV, copies, and shows the data as a table. Arrow keys pan, + and - zoom, Home resets. Colours follow
/// the palette. The accessible description carries the key numbers. Replots are queued, so many changes in one turn
/// of the event loop cost one.
class PlotFrame : public QWidget {
    Q_OBJECT
public:
    ~PlotFrame() override;

    /// What is drawn, in numbers.
    [[nodiscard]] virtual PlotTable table() const = 0;
    /// Shows everything again.
    virtual void resetView() = 0;

    [[nodiscard]] const PlotColors &colors() const { return m_colors; }
    /// The widget that takes the mouse; positions of plotRect() and toPixel() are its own.
    [[nodiscard]] QWidget *canvas() const;
    [[nodiscard]] QRectF plotRect() const;
    [[nodiscard]] QPointF toPixel(double x, double y) const;
    [[nodiscard]] PlotRange xRange() const;
    [[nodiscard]] PlotRange yRange() const;
    void setXRange(PlotRange range);

    /// Writes a picture (.png at twice the size, .svg, .pdf) or the data (.csv), by the file's ending. False with
    /// `error` set when it cannot.
    bool saveTo(const QString &file, QString *error = nullptr);
    /// A fresh context menu with this plot's actions; the caller owns it.
    [[nodiscard]] QMenu *createMenu();
    /// Draws at once what is queued; for pictures and tests.
    void replotNow();

public slots:
    void copyPicture();
    void copyData();
    /// A window with table(), not modal, refreshed when it is asked for again.
    void showTable();

signals:
    /// The person zoomed or panned.
    void viewChanged();

protected:
    explicit PlotFrame(const QString &title, QWidget *parent = nullptr);
    [[nodiscard]] QCustomPlot *plot() const { return m_plot; }
    /// Called at the start and whenever the palette changes; a subclass colours its series, then the base replots.
    virtual void recolor() {}
    /// The subclass's constructor calls it last.
    void applyPalette();
    void requestReplot();
    /// Key numbers in a sentence, for screen readers.
    void setSummary(const QString &summary);
    /// Which axes the wheel and a drag change.
    void setZoomAxes(bool x, bool y);
    /// Further actions at the top of the context menu.
    virtual void addActions(QMenu &menu) { Q_UNUSED(menu) }
    /// Left button went down; true takes the drag away from panning.
    virtual bool pressed(QPointF position) { Q_UNUSED(position) return false; }
    virtual void dragged(QPointF position) { Q_UNUSED(position) }
    virtual void released(QPointF position) { Q_UNUSED(position) }
    /// A press and release in one place.
    virtual void clicked(QPointF position) { Q_UNUSED(position) }
    virtual void hovered(QPointF position) { Q_UNUSED(position) }
    virtual void left() {}
    /// After a change of the view by anyone.
    virtual void viewMoved() {}

    void changeEvent(QEvent *event) override;
    bool eventFilter(QObject *watched, QEvent *event) override;

private:
    void setupMouse();
    bool handleKey(int key);
    void zoom(double factor);
    void pan(double shareX, double shareY);
    void openSaveDialog(const QString &suffix, const QString &filter);
    bool saveSvg(const QString &file);

    QCustomPlot *m_plot;
    PlotColors m_colors;
    QString m_title;
    bool m_zoomX = true, m_zoomY = false;
    bool m_pressed = false, m_taken = false;
    QPointF m_pressedAt;
    QPointer<QDialog> m_tableDialog;
};

} // namespace bitwright
