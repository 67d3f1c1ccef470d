// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/compare_site.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <cmath>
#include <limits>

using namespace bitwright;

namespace {

const std::vector<float> kW8{-1.2f, -0.7f, -0.3f, -0.05f, 0.1f, 0.4f, 0.9f, 1.5f};

PreviewSource sourceOf(const at::Tensor &weight, int axis = 0)
{
    return previewSource(weight, {"w", Role::Weight, axis, false}).value();
}

QuantSpec uniform(int bits, ParamValues options)
{
    return {.method = "uniform", .bits = bits, .options = std::move(options), .values = {}};
}

} // namespace

class TestCompareSite : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// methods.md A1: codes 0 0 1 1 1 1 2 3, so shares 1/4, 1/2, 1/8, 1/8.
    void entropyOfTheCodes()
    {
        const auto row = compareSite(sourceOf(at::tensor(kW8)), uniform(2, {{"symmetric", false}}));
        QVERIFY2(row.has_value(), row ? "" : row.error().message.c_str());
        QVERIFY(std::abs(row->mse - 0.0603125) < 1e-6);
        QVERIFY(std::abs(row->sqnrDb - 10 * std::log10(0.6565625 / 0.0603125)) < 1e-4);
        QVERIFY(std::abs(row->entropyBits - 1.75) < 1e-12);
        QCOMPARE(row->grid.levelCount(), std::size_t(4));
        QCOMPARE(row->spec.values.at("scale").size(), std::size_t(1));
        QVERIFY(row->error.empty() && row->warning.empty());
    }

    /// Channels share one message: equal codes of channels with other scales are the same symbol.
    void channelsShareOneMessage()
    {
        const at::Tensor both = at::stack({at::tensor(kW8), at::tensor(kW8) * 8});
        const QuantSpec spec = uniform(2, {{"symmetric", false}, {"granularity", std::string("channel")}});
        const auto row = compareSite(sourceOf(both), spec);
        QVERIFY(row.has_value());
        QVERIFY(std::abs(row->entropyBits - 1.75) < 1e-12);
        QCOMPARE(row->grid.groups.size(), std::size_t(2));
        const auto transposed = compareSite(sourceOf(both.t().contiguous(), 1), spec);
        QCOMPARE(transposed->mse, row->mse);
        QCOMPARE(transposed->entropyBits, row->entropyBits);
    }

    /// Centroids -1.2, -.2375, .65, 1.5 with codes 0 1 1 1 1 2 2 3 (methods.md B1).
    void codebooks()
    {
        const auto row = compareSite(sourceOf(at::tensor(kW8)), {.method = "kmeans", .bits = 2, .options = {}, .values = {}});
        QVERIFY(std::abs(row->mse - 0.491875 / 8) < 1e-6);
        QVERIFY(std::abs(row->entropyBits - 1.75) < 1e-12);
    }

    void whatIsNoNumberHasNoCode()
    {
        std::vector<float> more = kW8;
        more.insert(more.end(), 8, std::numeric_limits<float>::quiet_NaN());
        const auto row = compareSite(sourceOf(at::tensor(more)), uniform(2, {{"symmetric", false}}));
        QVERIFY(std::abs(row->mse - 0.0603125) < 1e-6);
        QVERIFY(std::abs(row->entropyBits - 1.75) < 1e-12);
        QVERIFY(row->warning.find("8 values are not numbers") != std::string::npos);
    }

    /// What is streamed and what is held give the same, up to the width of the fine histogram's bins.
    void inputsAsTheirHistogram()
    {
        const at::Tensor x = at::randn({64, 100}).abs();
        SiteCollector collector;
        collector.add(x);
        const auto row = compareSite(previewSource(collector.finish(), {"x", Role::Activation, 0, true}), uniform(4, {}));
        QVERIFY2(row.has_value(), row ? "" : row.error().message.c_str());
        const auto exact = compareSite(sourceOf(x.reshape({-1})), uniform(4, {{"symmetric", false}}));
        QVERIFY(std::abs(row->mse / exact->mse - 1) < 0.01);
        QVERIFY(std::abs(row->entropyBits - exact->entropyBits) < 0.01);
    }

    /// Above 2^18 elements the values are still the whole weight's: the sample steps over the only large one.
    void valuesOfBigWeights()
    {
        at::Tensor big = (at::rand({1, 1 << 20}) - 0.5) * 2.8;
        big[0][1] = 7;
        const auto row = compareSite(sourceOf(big), uniform(4, {}));
        QCOMPARE(float(row->spec.values.at("scale")[0]), 1.0f);
        QVERIFY(row->entropyBits > 1.5 && row->entropyBits < 1e-9 + std::log2(3.0));
    }

    void degenerate()
    {
        for (const at::Tensor &x : {at::zeros({16}), at::full({1}, 3.0f), at::empty({0})}) {
            const auto row = compareSite(sourceOf(x), uniform(4, {}));
            QVERIFY2(row.has_value(), row ? "" : row.error().message.c_str());
            QVERIFY(std::isfinite(row->mse) && std::isfinite(row->entropyBits));
            QCOMPARE(row->entropyBits, 0.0);
        }
        const auto refused = compareSite(sourceOf(at::tensor(kW8)), uniform(1, {}));
        QVERIFY(!refused.has_value() && refused.error().message.find(';') != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(TestCompareSite)
#include "tst_compare_site.moc"
