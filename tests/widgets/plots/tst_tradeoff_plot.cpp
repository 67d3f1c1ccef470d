// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/tradeoff_plot.h"
#include "plot_fixture.h"

#include <QSignalSpy>

#include <limits>

using namespace bitwright;
using namespace bitwright::fixture;

class TestTradeoffPlot : public QObject {
    Q_OBJECT
private slots:
    void init() { failOnAnyWarning(); }
    void frontHoldsMeasuredPointsOnly();
    void clickActivates();
    void hoverExplains();
    void axisChoiceMovesPoints();
    void presentPulsesWhileRefining();
    void describesItself();
    void looks();

private:
    static TradeoffPoint point(qint64 id, double bytes, double value, TradeoffPoint::Kind kind = TradeoffPoint::Kind::Evaluated)
    {
        TradeoffPoint p;
        p.id = id;
        p.kind = kind;
        p.cost = {bytes, bytes * 700, bytes / 34000};
        p.value = value;
        p.low = value - 0.006;
        p.high = value + 0.005;
        p.title = QStringLiteral("Trial %1").arg(id);
        return p;
    }
    static void fill(TradeoffPlot &plot)
    {
        plot.setMetric(QStringLiteral("top-1 accuracy"), true);
        plot.setReference(point(0, 1.08e6, 0.9242));
        plot.setPoints({point(1, 2.8e5, 0.9238), point(2, 1.6e5, 0.915), point(3, 1.1e5, 0.871), point(4, 1.4e5, 0.86),
                        point(5, 1.1e5, 0.909, TradeoffPoint::Kind::FineTuned), point(6, 8.2e4, 0.78),
                        point(7, 2.2e5, 0.921), point(0, 9.4e4, 0.85, TradeoffPoint::Kind::Predicted),
                        point(8, 8.2e4, 0.893, TradeoffPoint::Kind::FineTuned)});
        plot.setPresent(point(0, 1.25e5, 0.897), false);
    }
    static void show(TradeoffPlot &plot, QSize size = {480, 340})
    {
        plot.resize(size);
        plot.show();
        QVERIFY(QTest::qWaitForWindowExposed(&plot));
        plot.replotNow();
    }
    static QPointF at(const TradeoffPlot &plot, std::size_t i)
    {
        return plot.toPixel(plot.points()[i].costOn(plot.costAxis()), plot.points()[i].value);
    }
};

void TestTradeoffPlot::frontHoldsMeasuredPointsOnly()
{
    TradeoffPlot plot(QStringLiteral("Trade-off"));
    fill(plot);
    const std::vector<std::size_t> wanted{8, 4, 1, 6, 0};
    QCOMPARE(plot.front(), wanted);
}

void TestTradeoffPlot::clickActivates()
{
    TradeoffPlot plot(QStringLiteral("Trade-off"));
    fill(plot);
    show(plot);
    QSignalSpy spy(&plot, &TradeoffPlot::trialActivated);
    QTest::mouseClick(plot.canvas(), Qt::LeftButton, {}, at(plot, 1).toPoint());
    QCOMPARE(spy.count(), 1);
    QCOMPARE(spy[0][0].toLongLong(), 2);
    // A predicted point was never measured: there is nothing to bring back.
    QTest::mouseClick(plot.canvas(), Qt::LeftButton, {}, at(plot, 7).toPoint());
    QTest::mouseClick(plot.canvas(), Qt::LeftButton, {}, plot.plotRect().topLeft().toPoint() + QPoint(3, 3));
    QCOMPARE(spy.count(), 1);
}

void TestTradeoffPlot::hoverExplains()
{
    TradeoffPlot plot(QStringLiteral("Trade-off"));
    fill(plot);
    show(plot);
    hover(plot.canvas(), at(plot, 6) + QPointF(2, 2));
    QVERIFY2(plot.canvas()->toolTip().startsWith(QStringLiteral("Trial 7")), qPrintable(plot.canvas()->toolTip()));
    QVERIFY(plot.canvas()->toolTip().contains(QStringLiteral("92.10")));
    hover(plot.canvas(), plot.plotRect().topLeft() + QPointF(3, 3));
    QVERIFY(plot.canvas()->toolTip().isEmpty());
}

void TestTradeoffPlot::axisChoiceMovesPoints()
{
    TradeoffPlot plot(QStringLiteral("Trade-off"));
    fill(plot);
    plot.setCostAxis(CostAxis::MeanBits);
    QVERIFY(plot.xRange().upper < 40);
    plot.setCostAxis(CostAxis::Bops);
    QVERIFY(plot.xRange().upper > 7e8 && plot.xRange().lower > 0);
}

void TestTradeoffPlot::presentPulsesWhileRefining()
{
    TradeoffPlot plot(QStringLiteral("Trade-off"));
    fill(plot);
    show(plot);
    QVERIFY(!plot.isRefining());
    plot.setPresent(point(0, 1.3e5, 0.9), true);
    QVERIFY(plot.isRefining());
    plot.setPresent(point(0, 1.3e5, std::numeric_limits<double>::quiet_NaN()), true);
    plot.replotNow();
    plot.setPresent(std::nullopt, false);
    QVERIFY(!plot.isRefining());
}

void TestTradeoffPlot::describesItself()
{
    TradeoffPlot plot(QStringLiteral("Trade-off"));
    fill(plot);
    const QString text = plot.accessibleDescription();
    QVERIFY2(text.contains(QStringLiteral("8 measured")), qPrintable(text));
    QVERIFY(text.contains(QStringLiteral("best 92.38")));
    QVERIFY(text.contains(QStringLiteral("float 92.42")));
    QCOMPARE(plot.table().rows.size(), std::size_t(9));
}

void TestTradeoffPlot::looks()
{
    for (const bool dark : {false, true}) {
        TradeoffPlot plot(QStringLiteral("Trade-off"));
        plot.setPalette(dark ? darkPalette() : lightPalette());
        show(plot, {380, 300});
        plot.replotNow();
        saveShot(plot, dark ? QStringLiteral("tradeoff_empty_dark") : QStringLiteral("tradeoff_empty_light"));
        fill(plot);
        plot.replotNow();
        saveShot(plot, dark ? QStringLiteral("tradeoff_dark") : QStringLiteral("tradeoff_light"));
        plot.setCostAxis(CostAxis::Bops);
        plot.replotNow();
        saveShot(plot, dark ? QStringLiteral("tradeoff_bops_dark") : QStringLiteral("tradeoff_bops_light"));
    }
}

QTEST_MAIN(TestTradeoffPlot)
#include "tst_tradeoff_plot.moc"
