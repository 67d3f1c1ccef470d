// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestAbc : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void weightBases()
    {
        const auto two = weight("abc", 2), three = weight("abc", 3), five = weight("abc", 5);
        QVERIFY(near(two.mse, 0.109) && near(three.mse, 0.055));
        QVERIFY(near(five.mse, 0.03203125));   // two bases coincide
        QVERIFY(near(two.gradInput[0].item<double>(), 0.1 * (0.655 + 0.545)));
        QVERIFY(near(three.gradInput[7].item<double>(), 0.8 * (0.475 + 0.3 + 0.425)));
        QVERIFY(three.grid.thresholds(0).empty());
        QCOMPARE(three.grid.levelCount(0), std::size_t(4));   // the shifted signs are nested
        QVERIFY(near(weight("abc", 1).mse, w8().pow(2).mean().item<double>() - std::pow((w8() * (w8() >= 0.08125f).to(at::kFloat).mul(2).sub(1)).mean().item<double>(), 2)));
        QCOMPARE(three.sideInformationBits, 96.0);
    }
    void activationBases()
    {
        const at::Tensor x = at::tensor({-0.2f, 0.2f, 0.7f, 1.2f});
        const Options given{{"v", "-0.5|0|0.5"}, {"beta", "1|0.5|2"}};
        const auto q = quantized("abc", 3, Role::Activation, x, given, at::tensor({1.0f, 2.0f, 3.0f, 4.0f}));
        // thresholds 1, 0.5 and 0
        QVERIFY(near(q.quantized, {-3.5, 0.5, 1.5, 3.5}));
        // beta of every base with 0 <= x + v <= 1
        QVERIFY(near(q.gradInput, {2, 2 * (0.5 + 2), 3 * (1 + 0.5), 4 * 1}));
        QVERIFY(near(q.parameterGradients.at("v"), {3 + 4, 0.5 * (2 + 3), 2 * (1 + 2)}));
        QVERIFY(near(q.parameterGradients.at("beta"), {-1 - 2 - 3 + 4, -1 - 2 + 3 + 4, -1 + 2 + 3 + 4}));
    }
    void refusals() { QVERIFY(refused("abc", 3, Role::Activation, {{"v", "1|2"}}) && refused("abc", 2, Role::Weight, {{"v", "0|1"}})); }
};

QTEST_APPLESS_MAIN(TestAbc)
#include "tst_abc.moc"
