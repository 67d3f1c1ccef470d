// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestTwn : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void ternary()
    {
        for (const char *solver : {"rule", "exact"}) {
            const auto q = weight("twn", 2, {{"solver", solver}});
            QVERIFY(near(q.quantized, {-1.075, -1.075, 0, 0, 0, 0, 1.075, 1.075}));
            QVERIFY(near(q.mse, 0.07875));
            QVERIFY(near(q.gradInput, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}));
        }
        QVERIFY(near(weight("twn", 2).grid.thresholds(0), {-0.450625, 0.450625}));
        QCOMPARE(weight("twn", 2).sideInformationBits, 32.0);
    }
    /// The exact solver never loses to the rule, nor to any other cut.
    void exactIsBest()
    {
        at::manual_seed(5);
        for (int round = 0; round < 20; ++round) {
            const at::Tensor x = at::randn({40}).pow(3);
            const double best = objective(quantized("twn", 2, Role::Weight, x, {{"solver", "exact"}}));
            QVERIFY(best <= objective(quantized("twn", 2, Role::Weight, x)) + 1e-5);
            const at::Tensor sizes = std::get<0>(x.abs().sort(0, true)), sums = sizes.cumsum(0);
            const double gain = (sums * sums / at::arange(1, 41)).max().item<double>();
            QVERIFY(near(best, x.pow(2).sum().item<double>() - gain, 1e-3));
        }
    }
    void channels()
    {
        const auto q = quantized("twn", 2, Role::Weight, at::stack({w8(), w8() * 2}), {{"granularity", "channel"}});
        QVERIFY(near(q.grid.levels(1), {-2.15, 0, 2.15}));
    }
    void refusals() { QVERIFY(refused("twn", 3, Role::Weight) && refused("twn", 2, Role::Activation)); }
};

QTEST_APPLESS_MAIN(TestTwn)
#include "tst_twn.moc"
