// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/histogram_plot.h"
#include "plot_fixture.h"

#include <QMenu>
#include <QSignalSpy>

using namespace bitwright;
using namespace bitwright::fixture;

class TestHistogramPlot : public QObject {
    Q_OBJECT
private slots:
    void init() { failOnAnyWarning(); }
    void showsLevelsOverHistogram();
    void levelGeometryFollowsTheAxis();
    void sixteenBitsBecomeABand();
    void draggingAHandleTellsWhere();
    void draggingElsewherePans();
    void freeLevelsAreDragged();
    void wheelZoomsAndDoubleClickResets();
    void gridChangeRepaintsWithoutReplot();
    void themeChangeRecolors();
    void describesItself();
    void saves_data();
    void saves();
    void tableHasOneRowPerBin();
    void menuOffersEverything();
    void looks();

private:
    static void fill(HistogramPlot &plot, int bits, double amax = 0.4)
    {
        const Histogram h = bellHistogram();
        plot.setHistogram(h);
        const QuantGrid grid = symmetricGrid(bits, amax);
        plot.setHandles(true, true);
        plot.setGrid(grid, 0, quantizeHistogram(h, grid, 0), false);
    }
    static void show(HistogramPlot &plot, QSize size = {700, 360})
    {
        plot.resize(size);
        plot.show();
        QVERIFY(QTest::qWaitForWindowExposed(&plot));
        plot.replotNow();
    }
};

void TestHistogramPlot::showsLevelsOverHistogram()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    fill(plot, 3);
    show(plot);
    QCOMPARE(plot.overlay().grid().levelCount(), std::size_t(7));
    QVERIFY(plot.xRange().lower < -0.4 && plot.xRange().upper > 0.4);
    plot.clearGrid();
    QVERIFY(plot.overlay().empty());
}

void TestHistogramPlot::levelGeometryFollowsTheAxis()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    fill(plot, 3, 0.3);
    show(plot);
    const PlotArea area{plot.plotRect(), [&](double x) { return plot.toPixel(x, 0).x(); },
                        [&](double y) { return plot.toPixel(0, y).y(); }};
    const LineSelection lines = plot.overlay().levels(area, plot.xRange());
    QCOMPARE(lines.values.size(), std::size_t(7));
    QVERIFY(std::abs(lines.values.front() + 0.3) < 1e-9 && std::abs(lines.values.back() - 0.3) < 1e-9);
    const LineSelection between = plot.overlay().thresholds(area, plot.xRange());
    QCOMPARE(between.values.size(), std::size_t(6));
    QVERIFY(std::abs(between.values[2] + 0.05) < 1e-9);
    QCOMPARE(plot.overlay().handleAt({area.x(0.3), area.rect.center().y()}, area), std::optional(ClipSide::High));
    QCOMPARE(plot.overlay().handleAt({area.x(-0.3) + 4, area.rect.center().y()}, area), std::optional(ClipSide::Low));
    QVERIFY(!plot.overlay().handleAt({area.x(0.1), area.rect.center().y()}, area));
}

void TestHistogramPlot::sixteenBitsBecomeABand()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    fill(plot, 16);
    show(plot);
    const PlotArea area{plot.plotRect(), [&](double x) { return plot.toPixel(x, 0).x(); }, [](double) { return 0.0; }};
    const LineSelection lines = plot.overlay().levels(area, plot.xRange());
    QVERIFY(lines.aggregated);
    QVERIFY(lines.values.empty());
    QCOMPARE(lines.inView, std::size_t(65535));
}

void TestHistogramPlot::draggingAHandleTellsWhere()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    fill(plot, 4);
    show(plot);
    QSignalSpy spy(&plot, &HistogramPlot::clipDragged);
    const PlotRange before = plot.xRange();
    const double y = plot.plotRect().center().y();
    drag(plot.canvas(), {plot.toPixel(0.4, 0).x(), y}, {plot.toPixel(0.25, 0).x(), y});
    QVERIFY(spy.count() >= 3);
    QCOMPARE(spy.back().at(0).value<ClipSide>(), ClipSide::High);
    QVERIFY(std::abs(spy.back().at(1).toDouble() - 0.25) < 1e-6);
    QCOMPARE(spy.back().at(2).toBool(), true);
    QCOMPARE(spy.front().at(2).toBool(), false);
    QCOMPARE(plot.xRange(), before);
}

void TestHistogramPlot::freeLevelsAreDragged()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    const Histogram h = bellHistogram();
    plot.setHistogram(h);
    QuantGrid grid;
    grid.uniform = false;
    grid.groups = {{.levels = {-0.2, 0.05, 0.3}, .thresholds = {-0.075, 0.175}}};
    plot.setGrid(grid, 0, quantizeHistogram(h, grid, 0), false);
    show(plot);
    QSignalSpy moved(&plot, &HistogramPlot::levelDragged), clips(&plot, &HistogramPlot::clipDragged);
    const QPointF from = plot.toPixel(0.05, 0) - QPointF(0, 60), to = plot.toPixel(0.15, 0) - QPointF(0, 60);
    drag(plot.canvas(), from, to);
    QCOMPARE(moved.size(), 0);   // not free yet
    plot.resetView();
    plot.replotNow();
    plot.setFreeLevels(true);
    drag(plot.canvas(), from, to);
    QVERIFY(moved.size() >= 2);
    QCOMPARE(moved.last().at(0).value<std::size_t>(), std::size_t(1));
    QVERIFY(std::abs(moved.last().at(1).toDouble() - 0.15) < 0.005);
    QCOMPARE(moved.last().at(2).toBool(), true);
    QCOMPARE(clips.size(), 0);
    hover(plot.canvas(), plot.toPixel(0.3, 0) - QPointF(0, 60));
    QCOMPARE(plot.overlay().hotLevel(), std::optional<std::size_t>(2));
    saveShot(plot, QStringLiteral("free-levels"));
}

void TestHistogramPlot::draggingElsewherePans()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    fill(plot, 4);
    show(plot);
    QSignalSpy clip(&plot, &HistogramPlot::clipDragged);
    const PlotRange before = plot.xRange();
    const QPointF centre = plot.plotRect().center();
    drag(plot.canvas(), centre, centre + QPointF(40, 0));
    QCOMPARE(clip.count(), 0);
    QVERIFY(plot.xRange().lower < before.lower);
}

void TestHistogramPlot::wheelZoomsAndDoubleClickResets()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    fill(plot, 4);
    show(plot);
    const PlotRange all = plot.xRange();
    const QPointF centre = plot.plotRect().center();
    QWheelEvent wheel(centre, plot.canvas()->mapToGlobal(centre), {}, {0, 120}, Qt::NoButton, Qt::NoModifier,
                      Qt::NoScrollPhase, false);
    QApplication::sendEvent(plot.canvas(), &wheel);
    QVERIFY(plot.xRange().size() < all.size() * 0.95);
    QTest::mouseDClick(plot.canvas(), Qt::LeftButton, {}, centre.toPoint());
    QVERIFY(std::abs(plot.xRange().size() - all.size()) < 1e-9);
    plot.zoomToClip();
    QVERIFY(std::abs(plot.xRange().lower + 0.448) < 1e-6);
    QTest::keyClick(plot.canvas(), Qt::Key_Plus);
    QVERIFY(plot.xRange().size() < 0.896);
}

void TestHistogramPlot::gridChangeRepaintsWithoutReplot()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    fill(plot, 8);
    show(plot);
    QTest::qWait(20);
    const QImage before = plot.grab().toImage();
    const QuantGrid grid = symmetricGrid(2, 0.4);
    plot.setGrid(grid, 0, quantizeHistogram(plot.histogram(), grid, 0), true);
    QVERIFY(plot.grab().toImage() != before);
    QVERIFY(plot.overlay().isProvisional());
}

void TestHistogramPlot::themeChangeRecolors()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    plot.setPalette(lightPalette());
    fill(plot, 4);
    show(plot);
    QVERIFY(!plot.colors().dark);
    QCOMPARE(plot.grab().toImage().pixelColor(2, 2), QColor(0xFFFFFF));
    plot.setPalette(darkPalette());
    QVERIFY(plot.colors().dark);
    plot.replotNow();
    QCOMPARE(plot.grab().toImage().pixelColor(2, 2), QColor(0x1B1E23));
    const PlotColors c = plot.colors();
    for (const QColor &color : {c.text, c.mutedText, c.original, c.quantized, c.level, c.error})
        QVERIFY2(contrastRatio(color, c.background) >= 3.0, qPrintable(color.name()));
}

void TestHistogramPlot::describesItself()
{
    HistogramPlot plot(QStringLiteral("Weights of conv1"));
    QVERIFY(!plot.accessibleDescription().isEmpty());
    fill(plot, 4);
    QCOMPARE(plot.accessibleName(), QStringLiteral("Weights of conv1"));
    QVERIFY2(plot.accessibleDescription().contains(QStringLiteral("15 levels from")),
             qPrintable(plot.accessibleDescription()));
    QCOMPARE(plot.canvas()->accessibleDescription(), plot.accessibleDescription());
    plot.showMessage(QStringLiteral("No data"));
    QCOMPARE(plot.accessibleDescription(), QStringLiteral("No data"));
}

void TestHistogramPlot::saves_data()
{
    QTest::addColumn<QString>("suffix");
    QTest::addColumn<QByteArray>("magic");
    QTest::newRow("png") << "png" << QByteArray("\x89PNG");
    QTest::newRow("svg") << "svg" << QByteArray("<?xml");
    QTest::newRow("pdf") << "pdf" << QByteArray("%PDF");
    QTest::newRow("csv") << "csv" << QByteArray("from,to,count");
}

void TestHistogramPlot::saves()
{
    QFETCH(QString, suffix);
    QFETCH(QByteArray, magic);
    QTemporaryDir folder;
    HistogramPlot plot(QStringLiteral("Weights"));
    fill(plot, 4);
    show(plot);
    const QString file = folder.filePath(QStringLiteral("plot.") + suffix);
    QVERIFY(plot.saveTo(file));
    QFile in(file);
    QVERIFY(in.open(QIODevice::ReadOnly));
    QVERIFY(in.read(2000).startsWith(magic));
    QString error;
    if (suffix == u"csv") {
        QVERIFY(!plot.saveTo(folder.filePath(QStringLiteral("none/plot.csv")), &error));
        QVERIFY(error.contains(QStringLiteral("plot.csv")));
    }
}

void TestHistogramPlot::tableHasOneRowPerBin()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    fill(plot, 4);
    QCOMPARE(plot.table().rows.size(), std::size_t(512));
    QCOMPARE(plot.table().header.size(), 4);
}

void TestHistogramPlot::menuOffersEverything()
{
    HistogramPlot plot(QStringLiteral("Weights"));
    fill(plot, 4);
    const std::unique_ptr<QMenu> menu(plot.createMenu());
    QStringList texts;
    for (const QAction *action : menu->actions())
        texts << action->text();
    for (const char *wanted : {"PNG", "SVG", "CS&V", "&table", "&Copy picture", "&Logarithmic"})
        QVERIFY2(texts.join(u'\n').contains(QLatin1String(wanted)), wanted);
}

void TestHistogramPlot::looks()
{
    for (const bool dark : {false, true}) {
        HistogramPlot plot(QStringLiteral("Weights"));
        plot.setPalette(dark ? darkPalette() : lightPalette());
        fill(plot, 4, 0.32);
        plot.setAxisTitle(QStringLiteral("weight"));
        show(plot, {640, 320});
        saveShot(plot, dark ? QStringLiteral("hist4_dark") : QStringLiteral("hist4_light"));
        fill(plot, 2, 0.4);
        plot.setLogarithmic(true);
        plot.replotNow();
        saveShot(plot, dark ? QStringLiteral("hist2log_dark") : QStringLiteral("hist2log_light"));
        const Histogram relu = reluHistogram();
        QuantGrid grid;
        grid.qmax = 15;
        grid.groups = {{5.0 / 15, 0, {}, {}}};
        plot.setLogarithmic(false);
        plot.setSeriesColor(2);
        plot.setHistogram(relu);
        plot.setGrid(grid, 0, quantizeHistogram(relu, grid, 0), false);
        plot.resetView();
        plot.replotNow();
        saveShot(plot, dark ? QStringLiteral("relu_dark") : QStringLiteral("relu_light"));
        const QuantGrid many = symmetricGrid(8, 0.4);
        fill(plot, 8, 0.4);
        plot.replotNow();
        saveShot(plot, dark ? QStringLiteral("hist8_dark") : QStringLiteral("hist8_light"));
    }
}

QTEST_MAIN(TestHistogramPlot)
#include "tst_histogram_plot.moc"
