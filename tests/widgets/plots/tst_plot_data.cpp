// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/plot_colors.h"
#include "plots/plot_data.h"

#include "plot_fixture.h"

#include <limits>

using namespace bitwright;
using namespace bitwright::fixture;

class TestPlotData : public QObject {
    Q_OBJECT
private slots:
    void stepOutlineOfFourBins();
    void stepOutlineKeepsPeaks();
    void stepOutlineOfNothing();
    void quantizedOutlineSpreadsOverCells();
    void quantizedOutlineOfFineGridIsTheOriginal();
    void quantizeHistogramMovesCounts();
    void logTicksOfANarrowRange();
    void countCeilings_data();
    void countCeilings();
    void levelsInView_data();
    void levelsInView();
    void listedLevels();
    void thresholdsLieBetween();
    void answersThatDoNotAscend();
    void widestGroupStandsForAll();
    void ticks_data();
    void ticks();
    void decimals_data();
    void decimals();
    void decimationKeepsExtremes();
    void smoothing();
    void outliersStandOut();
    void csv();
    void colorsDiffer();
};

void TestPlotData::stepOutlineOfFourBins()
{
    const Histogram h{0, 4, {1, 0, 3, 2}, 0, 0, 0};
    const PlotPoints points = stepOutline(h, {0, 4}, 100);
    const std::vector<double> x{0, 0, 1, 1, 2, 2, 3, 3, 4, 4}, y{0, 1, 1, 0, 0, 3, 3, 2, 2, 0};
    QCOMPARE(points.x, x);
    QCOMPARE(points.y, y);
    const std::vector<double> logY{0.5, 1, 1, 0.5, 0.5, 3, 3, 2, 2, 0.5};
    QCOMPARE(stepOutline(h, {0, 4}, 100, true).y, logY);
}

void TestPlotData::stepOutlineKeepsPeaks()
{
    Histogram h{0, 1, std::vector<std::uint64_t>(2048, 1), 0, 0, 0};
    h.counts[777] = 500;
    const PlotPoints points = stepOutline(h, {0, 1}, 100);
    QVERIFY(points.size() <= 2 * 100 + 2);
    QCOMPARE(*std::ranges::max_element(points.y), 500.0);
    // Zoomed in, each bin is its own again.
    QCOMPARE(stepOutline(h, {0, 0.01}, 100).size(), std::size_t(2 * 22 + 2));
}

void TestPlotData::stepOutlineOfNothing()
{
    QCOMPARE(stepOutline({}, {0, 1}, 100).size(), std::size_t(0));
    QCOMPARE(stepOutline({1, 1, {5}, 0, 0, 0}, {0, 1}, 100).size(), std::size_t(0));
}

void TestPlotData::quantizedOutlineSpreadsOverCells()
{
    // Levels -1, 0, 1: cells (-1.5, -0.5), (-0.5, 0.5), (0.5, 1.5), each four bins wide.
    const Histogram h{-1.5, 1.5, {0, 0, 0, 8, 10, 10, 10, 10, 4, 4, 0, 0}, 4, 0, 0};
    const QuantGrid grid{true, -1, 1, false, {{1.0, 0, {}, {}}}, 0};
    const PlotPoints points = quantizedOutline(h, grid, 0);
    const std::vector<double> x{-1.5, -1.5, -0.5, -0.5, 0.5, 0.5, 1.5, 1.5}, y{0, 3, 3, 10, 10, 2, 2, 0};
    QCOMPARE(points.x, x);
    QCOMPARE(points.y, y);
}

void TestPlotData::quantizedOutlineOfFineGridIsTheOriginal()
{
    const Histogram h = bellHistogram(0.08, -0.5, 0.5, 512);
    const PlotPoints points = quantizedOutline(h, symmetricGrid(8, 0.5), 0);
    for (std::size_t i = 0; i < points.size(); ++i)
        QVERIFY(points.y[i] <= 1.02 * double(*std::ranges::max_element(h.counts)));
    const double top = *std::ranges::max_element(points.y);
    QVERIFY(top > 0.97 * double(*std::ranges::max_element(h.counts)));
    QVERIFY(quantizedOutline(h, symmetricGrid(16, 0.5), 0).size() <= 2 * 512 + 2);
}

void TestPlotData::quantizeHistogramMovesCounts()
{
    const Histogram h{-2, 2, {1, 2, 3, 4, 5, 6, 7, 8}, 3, 2, 0};
    const QuantGrid grid{true, -1, 1, false, {{1.0, 0, {}, {}}}, 0};
    const Histogram q = quantizeHistogram(h, grid, 0);
    // -1 lies in bin 2, 0 in bin 4, 1 in bin 6; the centres -0.25 and 0.25 go to 0.
    const std::vector<std::uint64_t> wanted{0, 0, 9, 0, 9, 0, 23, 0};
    QCOMPARE(q.counts, wanted);
    QCOMPARE(q.underflow + q.overflow, std::uint64_t(0));
}

void TestPlotData::logTicksOfANarrowRange()
{
    QCOMPARE(logTicks({1, 1000}, 400), (std::vector<double>{1, 10, 100, 1000}));
    // A single point of 293 kB: no power of ten is near, and yet the axis says where it is.
    QCOMPARE(logTicks({234e3, 366e3}, 250), (std::vector<double>{250e3, 300e3, 350e3}));
    QCOMPARE(logTicks({0, 10}, 300).size(), std::size_t(0));
}

void TestPlotData::countCeilings_data()
{
    QTest::addColumn<QVector<int>>("counts");
    QTest::addColumn<double>("wanted");
    QTest::newRow("plain") << QVector<int>{10, 50, 100} << 108.0;
    QTest::newRow("spike") << QVector<int>{10, 100000, 100} << 1.6 * 100 * 1.08;
    QTest::newRow("one bin") << QVector<int>{0, 70, 0} << 1.08 * 70;
    QTest::newRow("empty") << QVector<int>{} << 1.0;
}

void TestPlotData::countCeilings()
{
    QFETCH(QVector<int>, counts);
    QFETCH(double, wanted);
    Histogram h{0, 1, {counts.begin(), counts.end()}, 0, 0, 0};
    QCOMPARE(countCeiling(h, false), wanted);
}

void TestPlotData::levelsInView_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<double>("lower");
    QTest::addColumn<double>("upper");
    QTest::addColumn<int>("drawn");
    QTest::addColumn<int>("inView");
    QTest::addColumn<bool>("aggregated");
    QTest::newRow("2 bits") << 2 << -2.0 << 2.0 << 3 << 3 << false;
    QTest::newRow("4 bits") << 4 << -2.0 << 2.0 << 15 << 15 << false;
    QTest::newRow("4 bits, half in view") << 4 << -0.01 << 2.0 << 8 << 8 << false;
    QTest::newRow("8 bits") << 8 << -2.0 << 2.0 << 0 << 255 << true;
    QTest::newRow("16 bits") << 16 << -2.0 << 2.0 << 0 << 65535 << true;
    QTest::newRow("16 bits zoomed in") << 16 << 0.5 << 0.501 << 33 << 33 << false;
    QTest::newRow("outside") << 4 << 5.0 << 6.0 << 0 << 0 << false;
}

void TestPlotData::levelsInView()
{
    QFETCH(int, bits);
    QFETCH(double, lower);
    QFETCH(double, upper);
    QFETCH(int, drawn);
    QFETCH(int, inView);
    QFETCH(bool, aggregated);
    const LineSelection lines = levelLines(symmetricGrid(bits, 1), 0, {lower, upper}, 500);
    QCOMPARE(int(lines.values.size()), drawn);
    QCOMPARE(int(lines.inView), inView);
    QCOMPARE(lines.aggregated, aggregated);
}

void TestPlotData::listedLevels()
{
    const QuantGrid grid{false, 0, 0, false, {{0, 0, {-1, -0.25, 0.5, 2}, {-0.6, 0.1, 1.2}}}, 0};
    const LineSelection lines = levelLines(grid, 0, {-0.5, 1}, 500);
    const std::vector<double> wanted{-0.25, 0.5};
    QCOMPARE(lines.values, wanted);
    const std::vector<double> between{0.1};
    QCOMPARE(thresholdLines(grid, 0, {-0.5, 1}, 500).values, between);
    QVERIFY(levelLines(grid, 3, {-0.5, 1}, 500).values.empty());
}

void TestPlotData::thresholdsLieBetween()
{
    const LineSelection lines = thresholdLines(symmetricGrid(2, 1), 0, {-2, 2}, 500);
    const std::vector<double> wanted{-0.5, 0.5};
    QCOMPARE(lines.values, wanted);
}

void TestPlotData::answersThatDoNotAscend()
{
    // Below 1 comes 2, from 1 to 3 comes 0, above that 2 again.
    QuantGrid grid;
    grid.uniform = false;
    grid.groups = {{.levels = {0, 2}, .thresholds = {}, .answers = {2, 0, 2}, .breaks = {1, 3}}};
    const Histogram h{0, 4, {8, 4, 4, 6}, 0, 0, 0};
    const LineSelection lines = thresholdLines(grid, 0, {0, 4}, 400);
    QCOMPARE(lines.values, (std::vector<double>{1, 3}));
    const PlotPoints points = quantizedOutline(h, grid, 0);
    // The middle between the levels parts the cells: 8 counts at 0 over [-1, 1] cut to [0, 1], 14 at 2 over [1, 3] cut to its end.
    const std::vector<double> x{0, 0, 1, 1, 3, 3}, y{0, 8, 8, 7, 7, 0};
    QCOMPARE(points.x, x);
    QCOMPARE(points.y, y);
}

void TestPlotData::widestGroupStandsForAll()
{
    QuantGrid grid{true, -1, 1, true, {{5, 0, {}, {}}, {1, 0, {}, {}}, {2, 0, {}, {}}}, 0};
    QCOMPARE(widestGroup(grid), std::size_t(0));
    QCOMPARE(gridRange(grid), (PlotRange{-5, 5}));
    QCOMPARE(widestGroup({}), std::size_t(0));
}

void TestPlotData::ticks_data()
{
    QTest::addColumn<double>("lower");
    QTest::addColumn<double>("upper");
    QTest::addColumn<int>("most");
    QTest::addColumn<QVector<double>>("wanted");
    QTest::newRow("unit") << 0.0 << 1.0 << 5 << QVector<double>{0, 0.2, 0.4, 0.6, 0.8, 1.0};
    QTest::newRow("odd") << -0.37 << 0.61 << 4 << QVector<double>{-0.25, 0, 0.25, 0.5};
    QTest::newRow("large") << 0.0 << 93000.0 << 5 << QVector<double>{0, 20000, 40000, 60000, 80000};
    QTest::newRow("empty") << 1.0 << 1.0 << 5 << QVector<double>{};
}

void TestPlotData::ticks()
{
    QFETCH(double, lower);
    QFETCH(double, upper);
    QFETCH(int, most);
    QFETCH(QVector<double>, wanted);
    const auto got = niceTicks({lower, upper}, most);
    QCOMPARE(int(got.size()), int(wanted.size()));
    for (std::size_t i = 0; i < got.size(); ++i)
        QVERIFY(std::abs(got[i] - wanted[qsizetype(i)]) < 1e-9);
}

void TestPlotData::decimals_data()
{
    QTest::addColumn<double>("step");
    QTest::addColumn<int>("wanted");
    QTest::newRow("2") << 2.0 << 0;
    QTest::newRow("0.5") << 0.5 << 1;
    QTest::newRow("0.25") << 0.25 << 2;
    QTest::newRow("0.02") << 0.02 << 2;
    QTest::newRow("0") << 0.0 << 0;
}

void TestPlotData::decimals()
{
    QFETCH(double, step);
    QFETCH(int, wanted);
    QCOMPARE(tickDecimals(step), wanted);
}

void TestPlotData::decimationKeepsExtremes()
{
    PlotPoints points;
    for (int i = 0; i < 10000; ++i) {
        points.x.push_back(i);
        points.y.push_back(i == 4321 ? 100 : i == 8765 ? -100 : std::sin(i * 0.01));
    }
    const PlotPoints few = decimate(points, 200);
    QVERIFY(few.size() <= 400);
    QCOMPARE(*std::ranges::max_element(few.y), 100.0);
    QCOMPARE(*std::ranges::min_element(few.y), -100.0);
    QVERIFY(std::ranges::is_sorted(few.x));
    QCOMPARE(decimate(points, 6000), points);
}

void TestPlotData::smoothing()
{
    const std::vector<double> wanted{2, 3, 4, 6};
    QCOMPARE(smoothed({2, 4, 6, 8}, 3), wanted);
    const std::vector<double> same{2, 4};
    QCOMPARE(smoothed({2, 4}, 1), same);
}

void TestPlotData::outliersStandOut()
{
    const std::vector<std::size_t> wanted{5};
    QCOMPARE(outliers({1, 1.1, 0.9, 1.05, 0.95, 7, 1, 1.02}), wanted);
    QVERIFY(outliers({1, 1, 9}).empty());
}

void TestPlotData::csv()
{
    const PlotTable table{{QStringLiteral("a"), QStringLiteral("b, c")},
                          {{0.1, QStringLiteral("say \"x\"")}, {qulonglong(3), QVariant()}}};
    QCOMPARE(csvText(table), QStringLiteral("a,\"b, c\"\n0.1,\"say \"\"x\"\"\"\n3,\n"));
}

void TestPlotData::colorsDiffer()
{
    for (const QPalette &palette : {lightPalette(), darkPalette()}) {
        const PlotColors colors = plotColors(palette);
        for (int i = 0; i < 6; ++i)
            QVERIFY2(contrastRatio(colors.series(i), colors.background) >= 3.0, qPrintable(colors.series(i).name()));
        QVERIFY(contrastRatio(colors.mutedText, colors.background) >= 4.5);
        QVERIFY(dashOf(0) != dashOf(1));
    }
    QCOMPARE(plotColors(darkPalette()).dark, true);
    QCOMPARE(plotColors(lightPalette()).dark, false);
}

QTEST_MAIN(TestPlotData)
#include "tst_plot_data.moc"
