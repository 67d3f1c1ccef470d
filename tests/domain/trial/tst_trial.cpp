// SPDX-License-Identifier: GPL-3.0-or-later
#include "trial/pareto.h"
#include "trial/trial_record.h"

#include <QtTest/QtTest>

#include <cmath>
#include <limits>

using namespace bitwright;

class TestTrial : public QObject {
    Q_OBJECT
private slots:
    /// Computed from the formula with 40 decimal digits; 5 of 10 is the textbook's 0.2366 to 0.7634.
    void wilson_data()
    {
        QTest::addColumn<double>("correct");
        QTest::addColumn<double>("total");
        QTest::addColumn<double>("low");
        QTest::addColumn<double>("high");
        QTest::newRow("9234 of 10000") << 9234.0 << 10000.0 << 0.918023244 << 0.928451586;
        QTest::newRow("5 of 10") << 5.0 << 10.0 << 0.236593091 << 0.763406909;
        QTest::newRow("none of 20") << 0.0 << 20.0 << 0.0 << 0.161125158;
        QTest::newRow("all of 20") << 20.0 << 20.0 << 0.838874842 << 1.0;
        QTest::newRow("nothing seen") << 0.0 << 0.0 << 0.0 << 1.0;
    }
    void wilson()
    {
        QFETCH(double, correct);
        QFETCH(double, total);
        QFETCH(double, low);
        QFETCH(double, high);
        const Interval interval = wilsonInterval(correct, total);
        QVERIFY2(std::abs(interval.low - low) < 1e-6, qPrintable(QString::number(interval.low, 'g', 12)));
        QVERIFY2(std::abs(interval.high - high) < 1e-6, qPrintable(QString::number(interval.high, 'g', 12)));
    }

    void frontIsNotDominated()
    {
        const std::vector<SizeValue> points{{100, 0.9}, {50, 0.8}, {60, 0.7}, {50, 0.85}, {100, 0.95}, {200, 0.95}, {10, 0.1}};
        QCOMPARE(paretoFront(points), (std::vector<std::size_t>{6, 3, 4}));
        // A loss: lower is better. (10, 0.1) beats everything.
        QCOMPARE(paretoFront(points, false), std::vector<std::size_t>{6});
    }
    void frontOfFew()
    {
        const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
        QVERIFY(paretoFront({}).empty());
        QCOMPARE(paretoFront({{1, 1}, {1, 1}}), std::vector<std::size_t>{0});
        QCOMPARE(paretoFront({{nan, 1}, {1, nan}, {1, inf}, {2, 1}}), std::vector<std::size_t>{3});
    }
    void frontByDefinition()
    {
        std::vector<SizeValue> points;
        unsigned state = 1;
        for (int i = 0; i < 200; ++i) {
            state = state * 1664525u + 1013904223u;
            points.push_back({double(state >> 28), double((state >> 20) & 15)});
        }
        const auto front = paretoFront(points);
        for (std::size_t i = 0; i < points.size(); ++i) {
            bool beaten = false;
            for (std::size_t j = 0; j < points.size(); ++j)
                beaten = beaten || (points[j].size <= points[i].size && points[j].value >= points[i].value
                                    && (points[j] != points[i] || j < i));
            QCOMPARE(std::ranges::find(front, i) == front.end(), beaten);
        }
    }
};

QTEST_APPLESS_MAIN(TestTrial)
#include "tst_trial.moc"
