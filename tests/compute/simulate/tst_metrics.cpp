// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/metrics.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;

class TestMetrics : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void top1CountsHits();
    void top5LooksAtFive();
    void agreementComparesWithTheReference();
    void sqnrInDecibels();
    void noNumberIsNoAnswer();
    void lossIsMeanCrossEntropy();
    void batchesAddUp();
    void shapesAndLabelsAreChecked();
};

namespace {
at::Tensor scores()
{
    return at::tensor({0.1F, 0.7F, 0.2F, 0.9F, 0.0F, 0.1F, 0.3F, 0.3F, 0.4F, 0.5F, 0.4F, 0.1F}).reshape({4, 3});
}
at::Tensor labels()
{
    return at::tensor({1, 0, 1, 2}, at::kLong);
}
} // namespace

void TestMetrics::top1CountsHits()
{
    MetricSum sum(Metric::Top1);
    QVERIFY(sum.add(scores(), labels(), {}));
    QCOMPARE(sum.value(), 0.5);
    // Wilson's interval of 2 in 4.
    QVERIFY(std::abs(sum.interval().low - 0.150036) < 1e-5);
    QVERIFY(std::abs(sum.interval().high - 0.849964) < 1e-5);
}

void TestMetrics::top5LooksAtFive()
{
    MetricSum sum(Metric::Top5);
    const at::Tensor seven = at::arange(7, at::kFloat).reshape({1, 7});
    QVERIFY(sum.add(seven, at::tensor({2}, at::kLong), {}));
    QVERIFY(sum.add(seven, at::tensor({1}, at::kLong), {}));
    QCOMPARE(sum.value(), 0.5);
}

void TestMetrics::agreementComparesWithTheReference()
{
    MetricSum sum(Metric::Agreement);
    at::Tensor other = scores().clone();
    other[0][0] = 5;
    QVERIFY(sum.add(other, {}, scores()));
    QCOMPARE(sum.value(), 0.75);
    QVERIFY(std::isnan(sum.loss()));
}

void TestMetrics::sqnrInDecibels()
{
    MetricSum sum(Metric::Sqnr);
    const at::Tensor reference = at::tensor({3.0F, 4.0F, 0.0F, 5.0F}).reshape({2, 2});
    const at::Tensor noisy = reference + at::tensor({0.5F, 0.0F, 0.0F, 0.5F}).reshape({2, 2});
    QVERIFY(sum.add(noisy, {}, reference));
    QVERIFY(std::abs(sum.value() - 10 * std::log10(50 / 0.5)) < 1e-9);
    QVERIFY(sum.interval().low <= sum.value() && sum.interval().high >= sum.value());
    MetricSum same(Metric::Sqnr);
    QVERIFY(same.add(reference, {}, reference));
    QCOMPARE(same.value(), 200.0);
}

void TestMetrics::noNumberIsNoAnswer()
{
    at::Tensor bad = scores().clone();
    bad[0][1] = NAN;   // its label, and argmax takes NaN for the largest
    MetricSum hits(Metric::Top1);
    QVERIFY(hits.add(bad, labels(), {}));
    QCOMPARE(hits.value(), 0.25);
    QCOMPARE(hits.nonFinite(), std::int64_t(1));
    MetricSum same(Metric::Agreement);
    QVERIFY(same.add(bad, {}, bad));
    QCOMPARE(same.value(), 0.75);
    // The SQNR is that of the samples that can be compared: here they are equal.
    MetricSum sqnr(Metric::Sqnr);
    QVERIFY(sqnr.add(bad, {}, scores()));
    QCOMPARE(sqnr.value(), 200.0);
    QCOMPARE(sqnr.nonFinite(), std::int64_t(1));
}

void TestMetrics::lossIsMeanCrossEntropy()
{
    MetricSum sum(Metric::Top1);
    QVERIFY(sum.add(at::zeros({3, 4}), at::tensor({0, 1, 2}, at::kLong), {}));
    QVERIFY(std::abs(sum.loss() - std::log(4.0)) < 1e-6);
}

void TestMetrics::batchesAddUp()
{
    MetricSum whole(Metric::Top1), parts(Metric::Top1);
    QVERIFY(whole.add(scores(), labels(), scores()));
    for (int i = 0; i < 4; ++i)
        QVERIFY(parts.add(scores().narrow(0, i, 1), labels().narrow(0, i, 1), scores().narrow(0, i, 1)));
    QCOMPARE(whole.value(), parts.value());
    QVERIFY(std::abs(whole.loss() - parts.loss()) < 1e-6);
    QCOMPARE(parts.samples(), 4);
}

void TestMetrics::shapesAndLabelsAreChecked()
{
    MetricSum sum(Metric::Top1);
    QVERIFY(!sum.add(at::zeros({2, 3, 4}), labels(), {}));
    QVERIFY(!sum.add(scores(), {}, {}));
    QVERIFY(!sum.add(scores(), at::tensor({0, 1, 2, 3}, at::kLong), {}));
    QVERIFY(!metricFromName("top7"));
}

QTEST_APPLESS_MAIN(TestMetrics)
#include "tst_metrics.moc"
