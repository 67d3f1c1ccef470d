// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers of methods.md B1 unless said otherwise.
#include "cost/size_model.h"
#include "quant/quantize_tensor.h"
#include "tensor/codebook.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>
#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>

using namespace bitwright;

namespace {

const at::Tensor kW8 = at::tensor({-1.2f, -0.7f, -0.3f, -0.05f, 0.1f, 0.4f, 0.9f, 1.5f});
const at::Tensor kG8 = at::tensor({0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f});

std::unique_ptr<Quantizer> make(int bits, const char *init = "linear", std::vector<double> codebook = {})
{
    QuantSpec spec{"kmeans", bits, {{"init", std::string(init)}}, {}};
    if (!codebook.empty())
        spec.values["codebook"] = codebook;
    auto made = makeQuantizer(spec, {"conv", Role::Weight, 0, false});
    return made ? std::move(*made) : nullptr;
}

bool near(const std::vector<double> &a, const std::vector<double> &b)
{
    if (a.size() != b.size())
        return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (std::abs(a[i] - b[i]) > 1e-5)
            return false;
    return true;
}

double objective(const QuantizedTensor &q) { return q.mse * 8; }

} // namespace

class TestKMeans : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void oracles_data()
    {
        QTest::addColumn<int>("bits");
        QTest::addColumn<QString>("init");
        QTest::addColumn<QList<double>>("codebook");
        QTest::addColumn<double>("objective");
        QTest::addRow("linear 4") << 2 << "linear" << QList<double>{-1.2, -.2375, .65, 1.5} << .491875;
        QTest::addRow("density 4") << 2 << "density" << QList<double>{-.95, -.175, .25, 1.2} << .38125;
        QTest::addRow("linear 2") << 1 << "linear" << QList<double>{-.43, .9333333} << 1.7146667;
    }
    void oracles()
    {
        QFETCH(int, bits);
        QFETCH(QString, init);
        QFETCH(QList<double>, codebook);
        QFETCH(double, objective);
        const auto spec = specFromText("kmeans", bits, Role::Weight, {{"init", init.toStdString()}});
        QVERIFY(spec.has_value());
        const auto q = quantizeTensor(kW8, *spec, Role::Weight);
        QVERIFY(q.has_value());
        const std::vector<double> wanted(codebook.begin(), codebook.end());
        QVERIFY(near(q->parameters.at("codebook"), wanted));
        QVERIFY(near(q->grid.levels(), wanted));
        QVERIFY(std::abs(::objective(*q) - objective) < 1e-5);
        QCOMPARE(q->sideInformationBits, 32.0 * double(wanted.size()));
        QCOMPARE(sideBits(*spec, Role::Weight, 1), q->sideInformationBits);
    }

    void gradients()
    {
        const auto spec = specFromText("kmeans", 2, Role::Weight, {});
        const auto q = quantizeTensor(kW8, *spec, Role::Weight, kG8);
        QVERIFY(q.has_value());
        QVERIFY(near(q->parameterGradients.at("codebook"), {0.1, 1.4, 1.3, 0.8}));
        QVERIFY(at::equal(q->gradInput, at::zeros({8})));   // the weight itself is not trained
    }

    void midpointTakesTheLower()
    {
        const auto q = make(1, "linear", {-1, 1});
        const float above = std::nextafter(0.0f, 1.0f), infinity = std::numeric_limits<float>::infinity();
        const at::Tensor y = q->apply(at::tensor({0.0f, above, -infinity, infinity}), false);
        QVERIFY(at::equal(y, at::tensor({-1.0f, 1.0f, -1.0f, 1.0f})));
        QCOMPARE(q->grid().quantize(0, 0.0), -1.0);
        QCOMPARE(q->grid().quantize(0, double(above)), 1.0);
    }

    /// By hand: from 0, 4/3, 8/3, 4 the values 0, 0, 4 leave the inner two clusters empty, and they stay.
    void emptyClusterKeepsItsCentroid()
    {
        const auto q = make(2);
        QVERIFY(q->calibrate(at::tensor({0.0f, 0.0f, 4.0f})).has_value());
        QVERIFY(near(q->values().at("codebook"), {0, 4.0 / 3, 8.0 / 3, 4}));
    }

    void onlySurvivorsCount()
    {
        const float nan = std::numeric_limits<float>::quiet_NaN();
        const auto q = make(1);
        QVERIFY(q->calibrate(at::tensor({nan, 1.0f, 3.0f, nan, 7.0f, 9.0f})).has_value());
        QVERIFY(near(q->values().at("codebook"), {2, 8}));
    }

    void random()
    {
        const at::Tensor x = at::sin(at::arange(0, 1000));
        const auto of = [&](const char *seed) {
            const auto spec = specFromText("kmeans", 3, Role::Weight, {{"init", "random"}, {"seed", seed}});
            return quantizeTensor(x, *spec, Role::Weight)->parameters.at("codebook");
        };
        QVERIFY(of("1") == of("1"));
        QVERIFY(of("1") != of("2"));
    }

    /// Codes are those of the start, even where a centroid is learned past another; the result then codes itself.
    void frozenCodes()
    {
        const auto q = make(1, "linear", {-1, 1});
        const at::Tensor x = at::tensor({-2.0f, 3.0f, -0.5f});
        q->freeze(x);
        {
            const c10::NoGradGuard noGrad;
            q->learnables()[0].tensor.copy_(at::tensor({5.0f, 4.0f}));
            QVERIFY(at::equal(q->forward(x), at::tensor({5.0f, 4.0f, 5.0f})));
        }
        QVERIFY(at::equal(q->frozen(), at::tensor({5.0f, 4.0f, 5.0f})));
        QVERIFY(near(q->values().at("codebook"), {4, 5}));
        const auto again = make(1, "linear", q->values().at("codebook"));
        QVERIFY(at::equal(again->apply(q->frozen(), false), q->frozen()));
    }

    void refusals()
    {
        QVERIFY(!make(1, "linear", {1, 2, 3}));
        QVERIFY(!make(2, "linear", {1e300}));
        const auto activation = makeQuantizer({"kmeans", 4, {}, {}}, {"conv", Role::Activation, 0, false});
        QVERIFY(!activation && activation.error().message.find("activation") != std::string::npos);
        QVERIFY(!specFromText("kmeans", 2, Role::Weight, {{"init", "best"}}).has_value());
    }

    void nearestAgainstTheDefinition()
    {
        at::manual_seed(4);
        const at::Tensor x = at::randn({3, 7000}).t();
        for (const std::int64_t levels : {1, 2, 3, 16, 255, 256}) {
            const at::Tensor sorted = std::get<0>(at::randn({levels}).sort());
            const std::vector<float> list(sorted.const_data_ptr<float>(), sorted.const_data_ptr<float>() + levels);
            const LevelTable table = nearestLevels(list);
            const at::Tensor nearest = (x.contiguous().to(at::kDouble).unsqueeze(-1) - sorted.to(at::kDouble)).abs().argmin(-1);
            QVERIFY(at::equal(levelCodes(x, table).to(at::kLong), nearest));
            QVERIFY(at::equal(toLevels(x, table), sorted.index_select(0, nearest.flatten()).reshape(x.sizes())));
        }
    }
};

QTEST_APPLESS_MAIN(TestKMeans)
#include "tst_kmeans.moc"
