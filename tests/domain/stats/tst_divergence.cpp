// SPDX-License-Identifier: GPL-3.0-or-later
#include "stats/divergence.h"

#include <QtTest/QtTest>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

using namespace bitwright;

namespace {

/// A3.7's histograms of 2048 bins.
std::vector<double> shape(const std::function<double(double)> &f)
{
    std::vector<double> h(2048);
    for (std::size_t i = 0; i < h.size(); ++i)
        h[i] = std::floor(f(double(i) + 0.5));
    return h;
}
std::vector<double> gaussian()
{
    return shape([](double x) { return 2e5 * std::exp(-0.5 * (x / 300) * (x / 300)); });
}
std::vector<double> exponential()
{
    return shape([](double x) { return 2e5 * std::exp(-x / 150); });
}

bool near(double a, double b, double relative = 1e-5)
{
    if (std::abs(a - b) <= relative * std::abs(b))
        return true;
    qWarning("%.9g is not %.9g", a, b);
    return false;
}

} // namespace

class TestDivergence : public QObject {
    Q_OBJECT
private slots:
    void gauss()
    {
        const KlThreshold t = klThreshold(gaussian(), 128);
        QCOMPARE(t.bins, std::size_t(1415));
        QVERIFY(near(t.divergence, 5.93324e-5));
    }

    void firstCandidateIsNoTrap()
    {
        // Q is built without the clipped mass, so that keeping exactly `levels` bins is not free
        std::vector<double> h = gaussian();
        const double clipped = std::accumulate(h.begin() + 128, h.end(), 0.0);
        h.resize(128);
        h[127] += 0;   // the same slice alone: nothing is clipped, nothing diverges
        QVERIFY(clipped > 0);
        QCOMPARE(klThreshold(h, 128).bins, std::size_t(128));
        QCOMPARE(klThreshold(h, 128).divergence, 0.0);
    }

    void shapes()
    {
        QCOMPARE(klThreshold(exponential(), 128).bins, std::size_t(1664));
        const KlThreshold flat = klThreshold(std::vector<double>(2048, 1000.0), 128);
        QCOMPARE(flat.bins, std::size_t(2048));
        QVERIFY(std::abs(flat.divergence) < 1e-12);
    }

    void zeros()
    {
        std::vector<double> h = gaussian();
        h[0] += std::accumulate(h.begin(), h.end(), 0.0);
        QCOMPARE(klThreshold(h, 128).bins, std::size_t(1415));
        QCOMPARE(klThreshold(h, 128, false).bins, std::size_t(640));
    }

    void levels_data()
    {
        QTest::addColumn<int>("levels");
        QTest::addColumn<int>("bins");
        QTest::addColumn<int>("withOutlier");
        QTest::newRow("4") << 4 << 933 << 937;
        QTest::newRow("8") << 8 << 1057 << 1041;
        QTest::newRow("16") << 16 << 1169 << 2048;
        QTest::newRow("32") << 32 << 1259 << 2048;
        QTest::newRow("128") << 128 << 1415 << 2048;
    }
    void levels()
    {
        QFETCH(int, levels);
        QFETCH(int, bins);
        QFETCH(int, withOutlier);
        QCOMPARE(klThreshold(gaussian(), std::size_t(levels)).bins, std::size_t(bins));
        std::vector<double> h = gaussian();
        h[2047] += 75198;
        QCOMPARE(klThreshold(h, std::size_t(levels)).bins, std::size_t(withOutlier));
    }

    void degenerate()
    {
        QCOMPARE(klThreshold({}, 128).bins, std::size_t(0));
        QCOMPARE(klThreshold(std::vector<double>(2048, 0.0), 128).bins, std::size_t(2048));
        QCOMPARE(klThreshold(std::vector<double>(100, 1.0), 128).bins, std::size_t(100));
        // smoothing would take more than the one count there is
        std::vector<double> lone(60000, 0.0);
        lone[59999] = 1;
        lone.resize(2048);
        lone[2047] = 0.05;
        QVERIFY(klThreshold(lone, 4).bins <= 2048);
        QVERIFY(std::isfinite(klThreshold(lone, 4).divergence));
    }

    void decibel()
    {
        QVERIFY(near(signalToNoiseDb(0.6565625, 0.1503125), 6.40281));
        QVERIFY(std::isnan(signalToNoiseDb(0, 1)));
        QVERIFY(std::isnan(signalToNoiseDb(1, 0)));
    }

    void folding()
    {
        const Histogram h{-2, 2, {1, 2, 3, 4}};
        QCOMPARE(foldedMass(h, 2, 2), (std::vector<double>{5, 5}));
        QCOMPARE(foldedMass(h, 2, 4), (std::vector<double>{2.5, 2.5, 2.5, 2.5}));
        // what lies beyond the top goes into the last bin
        QCOMPARE(foldedMass(h, 1, 2), (std::vector<double>{2.5, 7.5}));
        // a bin across zero is split
        QCOMPARE(foldedMass({-1, 3, {4}}, 3, 3), (std::vector<double>{2, 1, 1}));
        QCOMPARE(foldedMass(h, 0, 2), (std::vector<double>{0, 0}));
    }
};

QTEST_APPLESS_MAIN(TestDivergence)
#include "tst_divergence.moc"
