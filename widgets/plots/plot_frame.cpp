// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/plot_frame.h"

#include "plots/plot_parts.h"
#include "plots/plot_table_dialog.h"

#include <qcustomplot.h>

#include <QClipboard>
#include <QFileDialog>
#include <QFileInfo>
#include <QGuiApplication>
#include <QMenu>
#include <QMimeData>
#include <QSaveFile>
#include <QSvgGenerator>
#include <QToolTip>
#include <QVBoxLayout>

namespace bitwright {

PlotFrame::PlotFrame(const QString &title, QWidget *parent)
    : QWidget(parent), m_plot(new QCustomPlot(this)), m_title(title)
{
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_plot);
    m_plot->setMinimumSize(60, 40);
    m_plot->setFocusPolicy(Qt::StrongFocus);
    m_plot->setMouseTracking(true);
    m_plot->axisRect()->setMinimumMargins(QMargins(8, 8, 10, 4));
    m_plot->plotLayout()->setRowSpacing(0);
    setFocusProxy(m_plot);
    setAccessibleName(title);
    m_plot->setAccessibleName(title);
    m_plot->legend->setVisible(false);
    setLinearTicks(m_plot->xAxis);
    setLinearTicks(m_plot->yAxis, {}, 42);
    setLinearTicks(m_plot->yAxis2, {}, 42);
    setZoomAxes(true, false);
    setupMouse();
    connect(m_plot->xAxis, qOverload<const QCPRange &>(&QCPAxis::rangeChanged), this, [this] { viewMoved(); });
}

PlotFrame::~PlotFrame()
{
    m_plot->removeEventFilter(this);
}

QWidget *PlotFrame::canvas() const
{
    return m_plot;
}

QRectF PlotFrame::plotRect() const
{
    return QRectF(m_plot->axisRect()->rect());
}

QPointF PlotFrame::toPixel(double x, double y) const
{
    return {m_plot->xAxis->coordToPixel(x), m_plot->yAxis->coordToPixel(y)};
}

PlotRange PlotFrame::xRange() const
{
    return {m_plot->xAxis->range().lower, m_plot->xAxis->range().upper};
}

PlotRange PlotFrame::yRange() const
{
    return {m_plot->yAxis->range().lower, m_plot->yAxis->range().upper};
}

void PlotFrame::setXRange(PlotRange range)
{
    m_plot->xAxis->setRange(range.lower, range.upper);
    requestReplot();
}

void PlotFrame::replotNow()
{
    m_plot->replot(QCustomPlot::rpQueuedRefresh);
}

void PlotFrame::requestReplot()
{
    m_plot->replot(QCustomPlot::rpQueuedReplot);
}

void PlotFrame::setSummary(const QString &summary)
{
    setAccessibleDescription(summary);
    m_plot->setAccessibleDescription(summary);
}

void PlotFrame::setZoomAxes(bool x, bool y)
{
    m_zoomX = x;
    m_zoomY = y;
    const Qt::Orientations orientations =
        (x ? Qt::Orientations(Qt::Horizontal) : Qt::Orientations()) | (y ? Qt::Orientations(Qt::Vertical) : Qt::Orientations());
    m_plot->axisRect()->setRangeDrag(orientations);
    m_plot->axisRect()->setRangeZoom(orientations);
    m_plot->setInteractions(x || y ? QCP::iRangeDrag | QCP::iRangeZoom : QCP::Interactions());
}

void PlotFrame::setupMouse()
{
    m_plot->installEventFilter(this);
    connect(m_plot, &QCustomPlot::mousePress, this, [this](QMouseEvent *event) {
        if (event->button() != Qt::LeftButton)
            return;
        m_pressed = true;
        m_pressedAt = event->position();
        m_taken = pressed(m_pressedAt);
        m_plot->setInteraction(QCP::iRangeDrag, !m_taken && (m_zoomX || m_zoomY));
    });
    connect(m_plot, &QCustomPlot::mouseMove, this, [this](QMouseEvent *event) {
        if (m_pressed && m_taken)
            dragged(event->position());
        else if (m_pressed)
            emit viewChanged();
        else
            hovered(event->position());
    });
    connect(m_plot, &QCustomPlot::mouseRelease, this, [this](QMouseEvent *event) {
        if (event->button() != Qt::LeftButton || !m_pressed)
            return;
        m_pressed = false;
        if (m_taken)
            released(event->position());
        m_taken = false;
        m_plot->setInteraction(QCP::iRangeDrag, m_zoomX || m_zoomY);
        if ((event->position() - m_pressedAt).manhattanLength() < 4)
            clicked(event->position());
    });
    connect(m_plot, &QCustomPlot::mouseDoubleClick, this, [this] {
        resetView();
        emit viewChanged();
    });
    connect(m_plot, &QCustomPlot::mouseWheel, this, [this] { emit viewChanged(); });
}

bool PlotFrame::eventFilter(QObject *watched, QEvent *event)
{
    if (watched != m_plot)
        return QWidget::eventFilter(watched, event);
    switch (event->type()) {
    case QEvent::Leave:
        left();
        break;
    case QEvent::ContextMenu: {
        auto *menu = createMenu();
        menu->setAttribute(Qt::WA_DeleteOnClose);
        menu->popup(static_cast<QContextMenuEvent *>(event)->globalPos());
        return true;
    }
    case QEvent::KeyPress:
        return handleKey(static_cast<QKeyEvent *>(event)->key());
    default:
        break;
    }
    return false;
}

bool PlotFrame::handleKey(int key)
{
    switch (key) {
    case Qt::Key_Left: pan(-0.1, 0); return true;
    case Qt::Key_Right: pan(0.1, 0); return true;
    case Qt::Key_Up: pan(0, 0.1); return true;
    case Qt::Key_Down: pan(0, -0.1); return true;
    case Qt::Key_Plus: zoom(0.8); return true;
    case Qt::Key_Minus: zoom(1.25); return true;
    case Qt::Key_Home: resetView(); return true;
    default: return false;
    }
}

void PlotFrame::zoom(double factor)
{
    if (m_zoomX)
        m_plot->xAxis->scaleRange(factor);
    if (m_zoomY)
        m_plot->yAxis->scaleRange(factor);
    emit viewChanged();
    requestReplot();
}

void PlotFrame::pan(double shareX, double shareY)
{
    if (m_zoomX)
        m_plot->xAxis->moveRange(m_plot->xAxis->range().size() * shareX);
    if (m_zoomY)
        m_plot->yAxis->moveRange(m_plot->yAxis->range().size() * shareY);
    emit viewChanged();
    requestReplot();
}

void PlotFrame::changeEvent(QEvent *event)
{
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange)
        applyPalette();
    QWidget::changeEvent(event);
}

void PlotFrame::applyPalette()
{
    m_colors = plotColors(palette());
    applyColors(m_plot, m_colors, font());
    recolor();
    requestReplot();
}

QMenu *PlotFrame::createMenu()
{
    auto *menu = new QMenu(this);
    addActions(*menu);
    if (!menu->isEmpty())
        menu->addSeparator();
    menu->addAction(tr("&Reset view"), this, [this] { resetView(); });
    menu->addAction(tr("Show as &table"), this, &PlotFrame::showTable);
    menu->addSeparator();
    menu->addAction(tr("Save as &PNG…"), this, [this] { openSaveDialog(QStringLiteral("png"), tr("PNG picture (*.png)")); });
    menu->addAction(tr("Save as &SVG…"), this, [this] { openSaveDialog(QStringLiteral("svg"), tr("SVG drawing (*.svg)")); });
    menu->addAction(tr("Save as P&DF…"), this, [this] { openSaveDialog(QStringLiteral("pdf"), tr("PDF document (*.pdf)")); });
    menu->addAction(tr("Save data as CS&V…"), this,
                    [this] { openSaveDialog(QStringLiteral("csv"), tr("Comma-separated values (*.csv)")); });
    menu->addSeparator();
    menu->addAction(tr("&Copy picture"), this, &PlotFrame::copyPicture);
    menu->addAction(tr("Copy d&ata"), this, &PlotFrame::copyData);
    return menu;
}

void PlotFrame::openSaveDialog(const QString &suffix, const QString &filter)
{
    auto *dialog = new QFileDialog(this, tr("Save %1").arg(m_title), {}, filter);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setAcceptMode(QFileDialog::AcceptSave);
    dialog->setDefaultSuffix(suffix);
    connect(dialog, &QFileDialog::fileSelected, this, [this](const QString &file) {
        QString error;
        if (!saveTo(file, &error))
            QToolTip::showText(mapToGlobal(rect().center()), error, this);
    });
    dialog->open();
}

bool PlotFrame::saveTo(const QString &file, QString *error)
{
    const QString suffix = QFileInfo(file).suffix().toLower();
    bool written = false;
    if (suffix == u"svg") {
        written = saveSvg(file);
    } else if (suffix == u"pdf") {
        written = m_plot->savePdf(file);
    } else if (suffix == u"csv") {
        QSaveFile out(file);
        written = out.open(QIODevice::WriteOnly) && out.write(csvText(table()).toUtf8()) >= 0 && out.commit();
    } else {
        written = m_plot->savePng(file, 0, 0, 2.0);
    }
    if (!written && error)
        *error = tr("%1 was not written, the folder or the file may be read-only; choose another place").arg(file);
    return written;
}

bool PlotFrame::saveSvg(const QString &file)
{
    QSvgGenerator generator;
    generator.setFileName(file);
    generator.setSize(m_plot->size());
    generator.setViewBox(QRect(QPoint(0, 0), m_plot->size()));
    generator.setTitle(m_title);
    QCPPainter painter;
    if (!painter.begin(&generator))
        return false;
    painter.setMode(QCPPainter::pmVectorized);
    painter.setMode(QCPPainter::pmNoCaching);
    painter.fillRect(QRect(QPoint(0, 0), m_plot->size()), m_colors.background);
    m_plot->toPainter(&painter, m_plot->width(), m_plot->height());
    return painter.end();
}

void PlotFrame::copyPicture()
{
    QGuiApplication::clipboard()->setImage(m_plot->toPixmap(0, 0, 2.0).toImage());
}

void PlotFrame::copyData()
{
    QGuiApplication::clipboard()->setText(csvText(table()));
}

void PlotFrame::showTable()
{
    delete m_tableDialog.data();
    m_tableDialog = new PlotTableDialog(m_title, table(), this);
    m_tableDialog->setAttribute(Qt::WA_DeleteOnClose);
    m_tableDialog->show();
}

} // namespace bitwright
