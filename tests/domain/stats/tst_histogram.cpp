// SPDX-License-Identifier: GPL-3.0-or-later
#include "stats/histogram.h"

#include <QtTest/QtTest>

using namespace bitwright;

class TestHistogram : public QObject {
    Q_OBJECT
private slots:
    void edges()
    {
        const Histogram h{-1, 3, {1, 2, 3, 4}, 5, 6, 7};
        QCOMPARE(h.binWidth(), 1.0);
        QCOMPARE(h.edge(0), -1.0);
        QCOMPARE(h.edge(4), 3.0);
        QCOMPARE(h.center(1), 0.5);
        QCOMPARE(h.total(), std::uint64_t(10));
        QCOMPARE(Histogram{}.binWidth(), 0.0);
        QCOMPARE(Histogram{}.total(), std::uint64_t(0));
    }

    void rebinning_data()
    {
        QTest::addColumn<double>("lo");
        QTest::addColumn<double>("hi");
        QTest::addColumn<int>("bins");
        QTest::addColumn<QList<int>>("counts");
        QTest::addColumn<int>("under");
        QTest::addColumn<int>("over");
        QTest::newRow("same") << 0.0 << 4.0 << 4 << QList<int>{1, 2, 3, 4} << 5 << 6;
        QTest::newRow("pairs") << 0.0 << 4.0 << 2 << QList<int>{3, 7} << 5 << 6;
        QTest::newRow("finer") << 0.0 << 4.0 << 8 << QList<int>{0, 1, 0, 2, 0, 3, 0, 4} << 5 << 6;
        QTest::newRow("part") << 1.0 << 3.0 << 2 << QList<int>{2, 3} << 6 << 10;
        QTest::newRow("across the ends") << 0.9 << 3.1 << 1 << QList<int>{10} << 5 << 6;
        QTest::newRow("point") << 2.0 << 2.0 << 1 << QList<int>{3} << 8 << 10;
        QTest::newRow("wider") << -4.0 << 4.0 << 2 << QList<int>{0, 10} << 5 << 6;
        QTest::newRow("nothing") << 0.0 << 4.0 << 0 << QList<int>{} << 15 << 6;
    }
    void rebinning()
    {
        QFETCH(double, lo);
        QFETCH(double, hi);
        QFETCH(int, bins);
        QFETCH(QList<int>, counts);
        QFETCH(int, under);
        QFETCH(int, over);
        const Histogram out = rebin({0, 4, {1, 2, 3, 4}, 5, 6, 7}, lo, hi, std::size_t(bins));
        QCOMPARE(out.counts, std::vector<std::uint64_t>(counts.begin(), counts.end()));
        QCOMPARE(out.underflow, std::uint64_t(under));
        QCOMPARE(out.overflow, std::uint64_t(over));
        QCOMPARE(out.nanCount, std::uint64_t(7));
    }

    void moments()
    {
        Moments a;
        a.count = 2;
        a.min = 1;
        a.max = 3;
        a.sum = 4;
        a.sumSquares = 10;
        a.sumAbs = 4;
        QCOMPARE(a.mean(), 2.0);
        QCOMPARE(a.variance(), 1.0);
        QCOMPARE(a.std(), 1.0);
        Moments b;
        b.count = 1;
        b.nanCount = 4;
        b.min = b.max = -5;
        b.sum = -5;
        b.sumSquares = 25;
        b.sumAbs = 5;
        a.merge(b);
        QCOMPARE(a.min, -5.0);
        QCOMPARE(a.max, 3.0);
        QCOMPARE(a.count, std::uint64_t(3));
        QCOMPARE(a.nanCount, std::uint64_t(4));
        QCOMPARE(a.sumAbs, 9.0);
        // nothing changes nothing, whatever its unset extremes say
        Moments empty, before = a;
        a.merge(empty);
        QCOMPARE(a, before);
        empty.merge(before);
        QCOMPARE(empty, before);
        QCOMPARE(Moments{}.variance(), 0.0);
    }
};

QTEST_APPLESS_MAIN(TestHistogram)
#include "tst_histogram.moc"
