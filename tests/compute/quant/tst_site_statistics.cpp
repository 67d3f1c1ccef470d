// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"
#include "quant/quantizer.h"
#include "quant/site_statistics.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <cmath>
#include <limits>

using namespace bitwright;

namespace {

SiteStatistics collected(const std::vector<at::Tensor> &batches)
{
    SiteCollector collector;
    for (const at::Tensor &b : batches)
        collector.add(b);
    return collector.finish();
}

} // namespace

class TestSiteStatistics : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void mergesExactly()
    {
        // batches of growing range and sign, in any order, count like one tensor
        at::manual_seed(1);
        const at::Tensor small = at::rand({40, 25}) * 0.01, middle = at::rand({40, 25}) * 3, big = at::randn({40, 25}) * 100;
        const SiteStatistics ascending = collected({small, middle, big});
        const SiteStatistics descending = collected({big, middle, small});
        const SiteStatistics whole = collected({at::cat({small, middle, big})});
        QCOMPARE(ascending.histogram, whole.histogram);
        QCOMPARE(descending.histogram, whole.histogram);
        QCOMPARE(whole.histogram.total(), std::uint64_t(3000));
        QVERIFY(whole.histogram.counts.size() >= 8192);
        QCOMPARE(ascending.moments.min, whole.moments.min);
        QCOMPARE(ascending.moments.max, whole.moments.max);
        QCOMPARE(ascending.batches, std::int64_t(3));
        QCOMPARE(ascending.featuresPerSample, std::int64_t(25));
        // each bin really holds what lies in it
        const Histogram &h = whole.histogram;
        const at::Tensor all = at::cat({small, middle, big});
        for (std::size_t i = 0; i < h.counts.size(); i += 517)
            QCOMPARE(h.counts[i], std::uint64_t((all >= h.edge(i)).logical_and(all < h.edge(i + 1)).sum().item<std::int64_t>()));
    }

    void ranges_data()
    {
        QTest::addColumn<double>("min");
        QTest::addColumn<double>("max");
        QTest::addColumn<double>("lo");
        QTest::addColumn<double>("hi");
        QTest::newRow("unit") << 0.0 << 0.9 << 0.0 << 1.0;
        QTest::newRow("power of two") << 0.0 << 1.0 << 0.0 << 2.0;
        QTest::newRow("both signs") << -3.0 << 0.5 << -4.0 << 4.0;
        QTest::newRow("tiny") << 0.0 << 1e-38 << 0.0 << std::ldexp(1.0, -100);
        QTest::newRow("largest") << 0.0 << 3.4e38 << 0.0 << std::ldexp(1.0, 128);
    }
    void ranges()
    {
        QFETCH(double, min);
        QFETCH(double, max);
        QFETCH(double, lo);
        QFETCH(double, hi);
        const SiteStatistics s = collected({at::tensor({float(min), float(max)}).reshape({2, 1})});
        QCOMPARE(s.histogram.lo, lo);
        QCOMPARE(s.histogram.hi, hi);
        QCOMPARE(s.histogram.total(), std::uint64_t(2));
    }

    void notFinite()
    {
        const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
        const SiteStatistics s = collected({at::full({3, 1}, nan), at::tensor({1.0f, nan, inf, -inf}).reshape({4, 1})});
        QCOMPARE(s.moments.nanCount, std::uint64_t(4));
        QCOMPARE(s.moments.infCount, std::uint64_t(2));
        QCOMPARE(s.histogram.nanCount, std::uint64_t(4));
        QCOMPARE(s.histogram.overflow + s.histogram.underflow, std::uint64_t(2));
        QCOMPARE(s.batches, std::int64_t(1));
        QCOMPARE(s.averageMax, 1.0);
        const SiteStatistics none = collected({});
        QCOMPARE(none.histogram.total(), std::uint64_t(0));
    }

    void averages()
    {
        SiteCollector collector(16384, 0.9);
        for (const float top : {1.0f, 3.0f, 2.0f})
            collector.add(at::tensor({-top, top}).reshape({2, 1}));
        const SiteStatistics s = collector.finish();
        QVERIFY(std::abs(s.averageMax - 1.28) < 1e-12);
        QVERIFY(std::abs(s.averageMin + 1.28) < 1e-12);
        QCOMPARE(s.firstBatchMeanAbs, 1.0);
    }

    /// The fine histogram and the values themselves give nearly the same range.
    void estimatorsAgree_data()
    {
        QTest::addColumn<QString>("id");
        QTest::addColumn<int>("form");
        QTest::addColumn<int>("bits");
        for (const CalibratorRow &row : calibratorRows())
            for (const int form : {0, 1, 2})
                for (const int bits : {3, 8})
                    QTest::addRow("%s form %d bits %d", row.id, form, bits) << QString::fromLatin1(row.id) << form << bits;
    }
    void estimatorsAgree()
    {
        QFETCH(QString, id);
        QFETCH(int, form);
        QFETCH(int, bits);
        at::manual_seed(5);
        const at::Tensor x = form == 1 ? at::randn({200000}).abs() : at::randn({200000});
        const CalibratorRow *row = findCalibrator(id.toStdString());
        RangeRequest r;
        r.bits = bits;
        r.form = GridForm(form);
        r.qmin = form == 0 ? -(1 << (bits - 1)) + 1 : 0;
        r.qmax = form == 0 ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
        const Range exact = row->fromValues(floatSpan(x), momentsOf(x), r);
        const Range streamed = row->fromStatistics(collected({x.reshape({-1, 1})}), r);
        // KL is flat around its minimum, and its bins are filled with counts that scatter
        const double tolerance = id == QLatin1String("kl") ? 0.06 : 0.012;
        QVERIFY2(std::abs(exact.hi - streamed.hi) <= tolerance * exact.hi, qPrintable(QString::number(exact.hi) + u' ' + QString::number(streamed.hi)));
        QVERIFY2(std::abs(exact.lo - streamed.lo) <= tolerance * exact.hi, qPrintable(QString::number(exact.lo) + u' ' + QString::number(streamed.lo)));
    }

    void klOnValues()
    {
        // A3.7's oracle as values: the histogram of the text, thinned, gives back its threshold
        std::vector<float> values;
        for (int i = 0; i < 2048; ++i)
            for (int n = int(2e3 * std::exp(-0.5 * ((i + .5) / 300) * ((i + .5) / 300))); n > 0; --n)
                values.push_back(float((i + 0.5) / 2048 * 8));
        values.push_back(8);
        RangeRequest r;
        const Range t = klCalibrator().fromValues(values, momentsOf(std::span<const float>(values)), r);
        // thinned by 100 the tail is empty from 1166 on but for the largest value
        QVERIFY(t.hi > 0 && t.hi <= (2048.5) * 8 / 2048);
        QElapsedTimer timer;
        timer.start();
        klCalibrator().fromValues(values, momentsOf(std::span<const float>(values)), r);
        QVERIFY(timer.elapsed() < 500);
        qInfo("KL over 2048 bins: %lld ms", timer.elapsed());
    }

    void neverWorseThanMinMax()
    {
        at::manual_seed(6);
        const at::Tensor x = at::randn({5000});
        for (const int bits : {2, 3, 4, 8}) {
            double error[2] = {};
            int i = 0;
            for (const char *id : {"mse", "minmax"}) {
                auto q = makeQuantizer({"uniform", bits, {{"range", std::string(id)}}, {}}, {});
                QVERIFY((*q)->calibrate(x).has_value());
                error[i++] = compare(x, (*q)->apply(x, false)).error;
            }
            QVERIFY(error[0] <= error[1]);
        }
    }

    /// The extremes lie on the outermost levels although the step is rounded: their gradient passes.
    void stepReaches()
    {
        at::manual_seed(7);
        const at::Tensor tops = at::rand({2000}) * 10;
        for (std::int64_t i = 0; i < tops.numel(); ++i) {
            const double top = tops[i].item<double>();
            for (const int bits : {2, 3, 4, 8}) {
                RangeRequest r;
                r.bits = bits;
                r.qmax = (1 << (bits - 1)) - 1;
                r.qmin = -r.qmax;
                QVERIFY(float(r.qmax) * stepFor({-top, top}, r).scale >= float(top));
                r.form = GridForm::Asymmetric;
                r.qmin = 0;
                r.qmax = (1 << bits) - 1;
                const Step positive = stepFor({0, top}, r);
                QCOMPARE(positive.zeroPoint, 0.0f);
                QVERIFY(float(r.qmax) * positive.scale >= float(top));
                const Step negative = stepFor({-top, 0}, r);
                QVERIFY(negative.zeroPoint * negative.scale >= float(top));
                r.form = GridForm::Unsigned;
                QVERIFY(float(r.qmax) * stepFor({0, top}, r).scale >= float(top));
            }
        }
    }
};

QTEST_APPLESS_MAIN(TestSiteStatistics)
#include "tst_site_statistics.moc"
