// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestLqNets : public QObject {
    Q_OBJECT

    /// Half a round: the objective of the codes of one answer to w8() with the basis of the next.
    static double afterSolving(const QuantizedTensor &coded, const QuantizedTensor &solved)
    {
        const std::vector<double> &before = coded.parameters.at("basis"), &after = solved.parameters.at("basis");
        double sum = 0;
        for (std::int64_t n = 0; n < 8; ++n) {
            const double q = coded.quantized[n].item<double>(), x = w8()[n].item<double>();
            double nearest = 1e9, level = 0;
            for (std::size_t code = 0; code < std::size_t(1) << before.size(); ++code) {
                double a = 0, b = 0;
                for (std::size_t i = 0; i < before.size(); ++i) {
                    a += (code >> i & 1 ? 1 : -1) * before[i];
                    b += (code >> i & 1 ? 1 : -1) * after[i];
                }
                if (std::abs(a - q) < nearest) {
                    nearest = std::abs(a - q);
                    level = b;
                }
            }
            sum += (x - level) * (x - level);
        }
        return sum;
    }

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
        for (int n = 0; n < 2; ++n)
            QVERIFY2(near(objective(with(n, tensor)), chain[2 * n]) && near(afterSolving(with(n, tensor), with(n + 1, tensor)), chain[2 * n + 1]),
                     qPrintable(QString::number(n)));
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
    void threeBits()
    {
        const double chain[] = {1.311776, 0.442386, 0.322546, 0.188661, 0.133151, 0.0790625};
        const auto with = [](int rounds) {
            return weight("lqnets", 3, {{"granularity", "tensor"}, {"basis", "0.0843125|0.168625|0.33725"}, {"rounds", std::to_string(rounds)}});
        };
        for (int n = 0; n < 3; ++n)
            QVERIFY2(near(objective(with(n)), chain[2 * n]) && near(afterSolving(with(n), with(n + 1)), chain[2 * n + 1]), qPrintable(QString::number(n)));
    }
    /// Where nothing is given: 2^i 0.6745 sqrt(2 / n) / 2^(K - 1) with n = kH kW C_out, activations 2^i 1.349 / (2^K - 1).
    void paperStart()
    {
        const auto start = [](int bits, Role role, const at::Tensor &x) { return quantized("lqnets", bits, role, x, {{"rounds", "0"}}).parameters.at("basis"); };
        QVERIFY(near(start(2, Role::Weight, w8()), {0.168625, 0.33725}));
        QVERIFY(near(start(3, Role::Weight, w8()), {0.0843125, 0.168625, 0.33725}));
        const double conv = 0.6745 * std::sqrt(2.0 / (3 * 3 * 4)) / 2;
        QVERIFY(near(start(2, Role::Weight, at::ones({4, 5, 3, 3})), {conv, 2 * conv, conv, 2 * conv, conv, 2 * conv, conv, 2 * conv}));
        const double linear = 0.6745;   // two outputs, seven inputs, one bit
        QVERIFY(near(start(1, Role::Weight, at::ones({2, 7})), {linear, linear}));
        QVERIFY(near(start(2, Role::Activation, w8()), {.449667, .899333}) && near(start(1, Role::Activation, w8()), {1.349}));
    }
    /// Values that are much smaller or larger than the paper supposes must not leave all codes together.
    void otherSizes()
    {
        at::manual_seed(13);
        const at::Tensor x = at::randn({4, 500});
        for (const Role role : {Role::Weight, Role::Activation})
            for (const int bits : {2, 3}) {
                const at::Tensor values = role == Role::Weight ? x : x.clamp_min(0);
                const double one = quantized("lqnets", bits, role, values).mse;
                for (const double size : {1e-4, 1e-2, 50.0, 1e4})
                    QVERIFY2(quantized("lqnets", bits, role, values * size).mse <= 1.1 * one * size * size,
                             qPrintable(QStringLiteral("%1 bits, times %2, %3 of %4").arg(bits).arg(size)
                                            .arg(quantized("lqnets", bits, role, values * size).mse / size / size).arg(one)));
            }
        QVERIFY(near(quantized("lqnets", 2, Role::Weight, at::zeros({8})).quantized.abs().max().item<double>(), 0, 0.2));
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
