// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/channel_strip.h"
#include "plots/curve_plot.h"
#include "plot_fixture.h"

#include <QSignalSpy>

using namespace bitwright;
using namespace bitwright::fixture;

class TestCurvePlot : public QObject {
    Q_OBJECT
private slots:
    void init() { failOnAnyWarning(); }
    void appendsAndFollows();
    void marksThePresentBits();
    void stripMarksOutliersAndSelects();
    void stripWithManyChannels();
    void looks();
};

namespace {

std::vector<Moments> someChannels(int count)
{
    std::vector<Moments> channels(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < channels.size(); ++i) {
        const double reach = (i % 16 == 11 ? 0.6 : 0.2) + 0.05 * std::sin(double(i));
        Moments &m = channels[i];
        m.count = 144;
        m.min = -reach;
        m.max = reach * 0.9;
        m.sumSquares = 144 * reach * reach * 0.1;
    }
    return channels;
}

void show(QWidget &widget, QSize size)
{
    widget.resize(size);
    widget.show();
    QVERIFY(QTest::qWaitForWindowExposed(&widget));
}

} // namespace

void TestCurvePlot::appendsAndFollows()
{
    CurvePlot plot(QStringLiteral("Training"));
    plot.setAxisTitles(QStringLiteral("step"), QStringLiteral("loss"));
    const int loss = plot.addSeries(QStringLiteral("loss"), {});
    for (int i = 0; i <= 100; ++i)
        plot.append(loss, i, 2.0 / (1 + i));
    QVERIFY(plot.xRange().upper >= 100);
    QVERIFY2(plot.accessibleDescription().contains(QStringLiteral("101 point")), qPrintable(plot.accessibleDescription()));
    show(plot, {400, 240});
    plot.replotNow();
    QTest::keyClick(plot.canvas(), Qt::Key_Plus);
    QVERIFY(!plot.isFollowing());
    const PlotRange zoomed = plot.xRange();
    plot.append(loss, 500, 0);
    QCOMPARE(plot.xRange(), zoomed);
    plot.resetView();
    QVERIFY(plot.xRange().upper >= 500);
    QCOMPARE(plot.table().rows.size(), std::size_t(102));
    plot.clearData();
    QCOMPARE(plot.table().rows.size(), std::size_t(0));
}

void TestCurvePlot::marksThePresentBits()
{
    CurvePlot plot(QStringLiteral("Error against bits"));
    plot.setAxisTitles(QStringLiteral("bits"), QStringLiteral("SQNR, dB"));
    const int sqnr = plot.addSeries(QStringLiteral("SQNR"), {.markers = true});
    plot.setData(sqnr, {{2, 3, 4, 8}, {6.4, 15, 22, 47}});
    plot.setMarker(4.0);
    QVERIFY(plot.accessibleDescription().contains(QStringLiteral("present: 4")));
    show(plot, {240, 180});
    plot.replotNow();
    QSignalSpy spy(&plot, &CurvePlot::xActivated);
    QTest::mouseClick(plot.canvas(), Qt::LeftButton, {}, plot.toPixel(3, 20).toPoint());
    QCOMPARE(spy.count(), 1);
    QCOMPARE(std::lround(spy[0][0].toDouble()), 3L);
}

void TestCurvePlot::stripMarksOutliersAndSelects()
{
    ChannelStrip strip(QStringLiteral("Channels"));
    strip.setChannels(someChannels(32));
    const std::vector<std::size_t> wanted{11, 27};
    QCOMPARE(strip.standingOut(), wanted);
    show(strip, {500, 120});
    strip.replotNow();
    QSignalSpy spy(&strip, &ChannelStrip::channelActivated);
    QTest::mouseClick(strip.canvas(), Qt::LeftButton, {}, strip.toPixel(11, 0).toPoint());
    QCOMPARE(spy.count(), 1);
    QCOMPARE(spy[0][0].toLongLong(), 11);
    strip.setSelected(11);
    QTest::mouseClick(strip.canvas(), Qt::LeftButton, {}, strip.toPixel(11, 0).toPoint());
    QCOMPARE(spy[1][0].toLongLong(), -1);
    QVERIFY(strip.accessibleDescription().contains(QStringLiteral("32 channel")));
    QVERIFY(strip.accessibleDescription().contains(QStringLiteral("2 with a range that stands out")));
    QCOMPARE(strip.table().rows.size(), std::size_t(32));
}

void TestCurvePlot::stripWithManyChannels()
{
    ChannelStrip strip(QStringLiteral("Channels"));
    strip.setChannels(someChannels(4096));
    show(strip, {300, 100});
    QElapsedTimer timer;
    timer.start();
    strip.replotNow();
    QVERIFY(timer.elapsed() < 200);
    strip.setChannels({});
    strip.replotNow();
}

void TestCurvePlot::looks()
{
    for (const bool dark : {false, true}) {
        const QString end = dark ? QStringLiteral("_dark") : QStringLiteral("_light");
        CurvePlot training(QStringLiteral("Training"));
        training.setPalette(dark ? darkPalette() : lightPalette());
        training.setAxisTitles(QStringLiteral("step"), QStringLiteral("loss"), QStringLiteral("accuracy, %"));
        training.setAxisFormat(CurvePlot::Axis::Right, [](double v) { return QString::number(v * 100, 'g', 3); });
        training.setLegendShown(true);
        const int raw = training.addSeries(QStringLiteral("batch"), {.faint = true, .legend = false});
        const int loss = training.addSeries(QStringLiteral("loss"), {});
        const int metric = training.addSeries(QStringLiteral("accuracy"), {.look = 1, .rightAxis = true, .markers = true});
        PlotPoints points;
        for (int i = 0; i < 900; ++i) {
            points.x.push_back(i);
            points.y.push_back(0.9 * std::exp(-i / 300.0) + 0.25 + 0.12 * std::sin(i * 12.9898) * std::cos(i * 78.233));
        }
        training.setData(raw, points);
        training.setData(loss, {points.x, smoothed(points.y, 40)});
        for (int e = 1; e <= 3; ++e)
            training.append(metric, e * 300, 0.80 + 0.04 * e);
        show(training, {380, 240});
        training.replotNow();
        saveShot(training, QStringLiteral("training") + end);
        CurvePlot bits(QStringLiteral("Error"));
        bits.setPalette(dark ? darkPalette() : lightPalette());
        bits.setAxisTitles(QStringLiteral("bits"), QStringLiteral("SQNR, dB"));
        bits.setIntegerX(true);
        const int sqnr = bits.addSeries(QStringLiteral("SQNR"), {.markers = true});
        bits.setData(sqnr, {{1, 2, 3, 4, 5, 6, 7, 8}, {2, 6.4, 14.9, 22, 28, 34, 40, 47}});
        bits.setMarker(4);
        show(bits, {240, 160});
        bits.replotNow();
        saveShot(bits, QStringLiteral("bits") + end);
        ChannelStrip strip(QStringLiteral("Channels"));
        strip.setPalette(dark ? darkPalette() : lightPalette());
        strip.setChannels(someChannels(64));
        strip.setClips({{-0.25, 0.25}});
        strip.setSelected(20);
        show(strip, {420, 130});
        strip.replotNow();
        saveShot(strip, QStringLiteral("strip") + end);
    }
}

QTEST_MAIN(TestCurvePlot)
#include "tst_curve_plot.moc"
