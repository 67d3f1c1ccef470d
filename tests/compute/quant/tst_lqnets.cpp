// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestLqNets : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void rounds()
    {
        const Options tensor{{"granularity", "tensor"}, {"basis", "0.168625|0.33725"}};
        const double chain[] = {1.710363, 0.767, 0.5379, 0.449375};
        // after coding with each basis; the last is a fixed point
        auto with = [&](int rounds, Options options) {
            options["rounds"] = std::to_string(rounds);
            return weight("lqnets", 2, options);
        };
        QVERIFY(near(objective(with(0, tensor)), chain[0]));
        QVERIFY(near(objective(with(10, tensor)), chain[3]));
        double before = 1e9;
        for (int n = 0; n < 6; ++n) {
            const double now = objective(with(n, tensor));
            QVERIFY(now <= before + 1e-5);
            before = now;
        }
        const auto q = weight("lqnets", 2, {{"granularity", "tensor"}, {"basis", "0.3|0.6"}});
        QVERIFY(near(q.parameters.at("basis"), {0.43125, 0.64375}) && near(q.grid.levels(0), {-1.075, -0.2125, 0.2125, 1.075}));
        const auto three = weight("lqnets", 3, {{"granularity", "tensor"}, {"basis", "0.0843125|0.168625|0.33725"}});
        QVERIFY(near(three.parameters.at("basis"), {0.24375, 0.46875, 0.60625}) && near(objective(three), 0.0790625));
        QVERIFY(near(q.gradInput, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}));
    }
    void activations()
    {
        const at::Tensor x = at::tensor({0.0f, .1f, .3f, .5f, .8f, 1.1f, 1.6f, 2.4f});
        const auto with = [&](const char *rounds) {
            return quantized("lqnets", 2, Role::Activation, x, {{"basis", "0.449667|0.899333"}, {"rounds", rounds}}, at::ones({8}));
        };
        QVERIFY(near(with("0").quantized, {0, 0, .449667, .449667, .899333, .899333, 1.349, 1.349}));
        QVERIFY(near(with("0").grid.thresholds(0), {.224833, .6745, 1.124167}));
        QVERIFY(near(with("0").gradInput, {1, 1, 1, 1, 1, 1, 0, 0}));
        QVERIFY(near(with("1").parameters.at("basis"), {.616667, 1.166667}));
        QVERIFY(near(with("10").parameters.at("basis"), {.7125, 1.225}) && near(objective(with("10")), 0.49625));
        QVERIFY(near(quantized("lqnets", 1, Role::Activation, at::tensor({-1.0f, 5.0f}), {{"basis", "1"}, {"rounds", "0"}}, at::ones({2})).gradInput, {1, 0}));
    }
    /// A step of training: coded with the old basis, then nine tenths of it and one of the new.
    void movingAverage()
    {
        const at::Tensor x = at::tensor({0.0f, .1f, .3f, .5f, .8f, 1.1f, 1.6f, 2.4f});
        auto q = made("lqnets", 2, Role::Activation, {{"basis", "0.449667|0.899333"}});
        QVERIFY(q->calibrated() && q->keepsValues());
        q->observe(x);
        QVERIFY(near(q->values().at("basis"), {.449667, .899333}));
        q->endStep();
        QVERIFY(near(q->values().at("basis"), {.466367, .926067}));
    }
    void channels()
    {
        const auto q = quantized("lqnets", 2, Role::Weight, at::stack({w8(), w8() * 3}));
        QCOMPARE(q.grid.groups.size(), std::size_t(2));
        QVERIFY(near(q.grid.levels(1)[3], 3 * q.grid.levels(0)[3], 1e-3));
        QCOMPARE(q.sideInformationBits, 128.0);
    }
    void refusals() { QVERIFY(refused("lqnets", 5, Role::Weight) && refused("lqnets", 2, Role::Activation, {{"basis", "1|2|3"}})); }
};

QTEST_APPLESS_MAIN(TestLqNets)
#include "tst_lqnets.moc"
