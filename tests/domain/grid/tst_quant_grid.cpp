// SPDX-License-Identifier: GPL-3.0-or-later
#include "grid/quant_grid.h"

#include <QtTest/QtTest>

#include <cmath>
#include <limits>

using namespace bitwright;

namespace {

QuantGrid uniformGrid(double scale, std::int64_t zero, std::int64_t qmin, std::int64_t qmax)
{
    QuantGrid g;
    g.qmin = qmin;
    g.qmax = qmax;
    g.groups = {{scale, zero, {}, {}}};
    return g;
}

} // namespace

class TestQuantGrid : public QObject {
    Q_OBJECT
private slots:
    void uniform()
    {
        const QuantGrid g = uniformGrid(0.5, 1, 0, 3);
        QCOMPARE(g.levelCount(), std::size_t(4));
        QCOMPARE(g.levels(), (std::vector<double>{-0.5, 0, 0.5, 1}));
        QCOMPARE(g.thresholds(), (std::vector<double>{-0.25, 0.25, 0.75}));
        QCOMPARE(g.level(0, 3), 1.0);
    }

    void quantizes_data()
    {
        QTest::addColumn<double>("x");
        QTest::addColumn<double>("y");
        QTest::newRow("below") << -9.0 << -0.5;
        QTest::newRow("tie to even, down") << 0.25 << 0.0;
        QTest::newRow("tie to even, up") << 0.75 << 1.0;
        QTest::newRow("near") << 0.3 << 0.5;
        QTest::newRow("infinite") << std::numeric_limits<double>::infinity() << 1.0;
    }
    void quantizes()
    {
        QFETCH(double, x);
        QFETCH(double, y);
        QCOMPARE(uniformGrid(0.5, 1, 0, 3).quantize(0, x), y);
        QVERIFY(std::isnan(uniformGrid(0.5, 1, 0, 3).quantize(0, std::nan(""))));
    }

    void sixteenBits()
    {
        const QuantGrid g = uniformGrid(1, 0, -32767, 32767);
        QCOMPARE(g.levelCount(), std::size_t(65535));
        QCOMPARE(g.level(0, 0), -32767.0);
        QCOMPARE(g.quantize(0, 1e9), 32767.0);
    }

    void listed()
    {
        QuantGrid g;
        g.uniform = false;
        g.groups = {{0, 0, {-1, 1}, {0}}, {0, 0, {-2, 0, 3}, {-1, 1.5}}};
        QCOMPARE(g.levelCount(0), std::size_t(2));
        QCOMPARE(g.levelCount(1), std::size_t(3));
        QCOMPARE(g.thresholds(1), (std::vector<double>{-1, 1.5}));
        // at a threshold the upper level: sign(0) is +1
        QCOMPARE(g.quantize(0, 0), 1.0);
        QCOMPARE(g.quantize(0, -1e-9), -1.0);
        QCOMPARE(g.quantize(1, 1.49), 0.0);
        QCOMPARE(g.quantize(1, 9), 3.0);
        QCOMPARE(QuantGrid{}.levelCount(), std::size_t(0));
        QVERIFY(QuantGrid{}.empty());
    }
};

QTEST_APPLESS_MAIN(TestQuantGrid)
#include "tst_quant_grid.moc"
