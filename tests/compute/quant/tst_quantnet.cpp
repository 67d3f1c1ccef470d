// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestQuantNet : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void steps()
    {
        const Options given{{"beta", "0.833333"}, {"alpha", "1.2"}, {"biases", "-0.5|0.5"}, {"temperature", "5"}};
        const auto q = weight("quantnet", 2, given, at::ones({8}));
        QVERIFY(near(q.quantized, {-1.2, -1.2, 0, 0, 0, 0, 1.2, 1.2}));
        QVERIFY(near(q.gradInput, {.353281, 1.219292, .977771, .709823, .735836, 1.131009, .875139, .113039}));
    }
    /// dy/dalpha = y / alpha: element by element the gradient of alpha shows the soft answer.
    void softOutputs_data()
    {
        QTest::addColumn<QString>("temperature");
        QTest::addColumn<QList<double>>("wanted");
        QTest::newRow("1") << "1" << QList<double>{-.528041, -.321535, -.140403, -.023498, .046978, .186587, .407372, .637358};
        QTest::newRow("5") << "5" << QList<double>{-1.108307, -.717916, -.239667, -.035198, .071270, .345208, .930448, 1.172237};
        QTest::newRow("200, as good as hard") << "200" << QList<double>{-1.2, -1.2, 0, 0, 0, 0, 1.2, 1.2};
    }
    void softOutputs()
    {
        QFETCH(QString, temperature);
        QFETCH(QList<double>, wanted);
        const Options given{{"beta", "0.833333"}, {"alpha", "1.2"}, {"biases", "-0.5|0.5"}, {"temperature", temperature.toStdString()}};
        for (std::int64_t i = 0; i < 8; ++i) {
            at::Tensor one = at::zeros({8});
            one[i] = 1;
            const double soft = 1.2 * weight("quantnet", 2, given, one).parameterGradients.at("alpha")[0];
            QVERIFY2(near(soft, wanted[i], 2e-4), qPrintable(QStringLiteral("entry %1: %2").arg(i).arg(soft)));
        }
    }
    void starts()
    {
        const auto q = weight("quantnet", 2);
        QVERIFY(near(q.parameters.at("beta"), {0.833333}) && near(q.parameters.at("alpha"), {1.2}) && near(q.parameters.at("biases"), {-0.05, 0.05}));
        QVERIFY(near(weight("quantnet", 3, {{"set", "-4|-2|-1|0|1|2|4"}}).grid.levels(0), weight("quantnet", 3).grid.levels(0)));
        QCOMPARE(quantized("quantnet", 2, Role::Activation, w8().abs()).grid.levels(0).front(), 0.0);
    }
    /// Derivatives of the soft function.
    void againstDifferences()
    {
        const double t = 3, b[] = {-0.5, 0.5};
        const auto soft = [&](double alpha, double beta) {
            double sum = 0;
            for (std::int64_t i = 0; i < 8; ++i) {
                double y = -1;
                for (const double bias : b)
                    y += 1 / (1 + std::exp(-std::clamp(t * (beta * w8()[i].item<double>() - bias), -10.0, 10.0)));
                sum += g8()[i].item<double>() * alpha * y;
            }
            return sum;
        };
        const auto q = weight("quantnet", 2, {{"beta", "0.8"}, {"alpha", "1.2"}, {"biases", "-0.5|0.5"}, {"temperature", "3"}});
        QVERIFY(near(q.parameterGradients.at("alpha"), {(soft(1.201, 0.8) - soft(1.199, 0.8)) / 2e-3}, 1e-3));
        QVERIFY(near(q.parameterGradients.at("beta"), {(soft(1.2, 0.801) - soft(1.2, 0.799)) / 2e-3}, 1e-3));
    }
    /// Whichever of them is given, each gradient is that of its own name.
    void givenAlone()
    {
        const Options both{{"alpha", "1.25"}, {"beta", "0.8"}, {"biases", "-0.5|0.5"}, {"temperature", "2"}};
        Options betaAlone = both;
        betaAlone.erase("alpha");   // it starts at 1 / beta
        QVERIFY(near(weight("quantnet", 2, betaAlone).parameterGradients.at("alpha"), weight("quantnet", 2, both).parameterGradients.at("alpha")));
        QVERIFY(near(weight("quantnet", 2, betaAlone).parameterGradients.at("beta"), weight("quantnet", 2, both).parameterGradients.at("beta")));
    }
    /// The temperature grows with the epochs: a steeper slope at the step, none away from it.
    void schedule()
    {
        auto q = made("quantnet", 2, Role::Weight, {{"beta", "1"}, {"alpha", "1"}, {"biases", "-0.5|0.5"}});
        const auto slope = [&](int epoch) {
            q->beginStep({0, 10, 100, epoch, 0});
            const c10::AutoGradMode grad(true);
            at::Tensor x = at::tensor({0.5f}).set_requires_grad(true);
            q->forward(x).backward(at::ones({1}));
            return x.grad().item<double>();
        };
        // at one step, a whole unit from the other
        const auto wanted = [](double t) {
            const double far = 1 / (1 + std::exp(-std::min(10.0, t)));
            return t * (0.25 + far * (1 - far));
        };
        QVERIFY(near(slope(1), wanted(5)) && near(slope(4), wanted(20)));
        // no hotter than 2000, where 5 an epoch would be 5000
        QVERIFY(near(slope(400), wanted(2000)) && near(slope(1000), wanted(2000)));
    }
    void refusals()
    {
        QVERIFY(refused("quantnet", 1, Role::Weight, {{"set", "-1|0|1"}}) && refused("quantnet", 2, Role::Weight, {{"set", "1|0"}}));
        QVERIFY(refused("quantnet", 2, Role::Weight, {{"biases", "1"}}) && refused("quantnet", 2, Role::Weight, {{"alpha", "0"}}));
    }
};

QTEST_APPLESS_MAIN(TestQuantNet)
#include "tst_quantnet.moc"
