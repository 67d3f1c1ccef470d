// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

#include "quant/optimal_levels.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestHwgq : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void halfWave()
    {
        const at::Tensor x = at::tensor({-1.0f, 0.0f, 1e-6f, 0.80f, 0.81f, 9.0f});
        QVERIFY(near(quantized("hwgq", 2, Role::Activation, x).quantized, {0, 0, 0.538, 0.538, 1.076, 1.614}));
        QVERIFY(near(quantized("hwgq", 2, Role::Activation, x, {{"first_threshold", "half"}}).grid.levels(0), {0, 0.65077, 1.30154, 1.95231}));
    }
    void gradients()
    {
        const at::Tensor x = at::tensor({-1.0f, 0.0f, 1.0f, 2.0f});
        const auto with = [&](const char *rule) { return quantized("hwgq", 2, Role::Activation, x, {{"gradient", rule}}, at::ones({4})).gradInput; };
        QVERIFY(near(with("clipped"), {0, 0, 1, 0}));
        QVERIFY(near(with("vanilla"), {0, 0, 1, 1}));
        QVERIFY(near(with("log_tail"), {0, 0, 1, 0.7215}));
    }
    /// Solved, not tabled: the numbers of methods.md.
    void lloydLevels()
    {
        const auto of = [](int bits) { return quantized("hwgq", bits, Role::Activation, w8(), {{"spacing", "lloyd"}}).grid.levels(0); };
        QVERIFY(near(of(1), {0, 0.79788}));
        QVERIFY(near(of(2), {0, 0.31772, 1.00011, 1.89359}));
        QVERIFY(near(of(3), {0, .14571, .44132, .75044, 1.08564, 1.46753, 1.93861, 2.62506}));
    }
    /// The two uneven levels of the released code, and the ones solved here, by another solver: the best levels of a finely cut
    /// half normal distribution.
    void releasedLevels()
    {
        std::vector<double> points, weights;
        for (int i = 0; i < 8000; ++i) {
            points.push_back((i + 0.5) * 1e-3);
            weights.push_back(std::exp(-points.back() * points.back() / 2));
        }
        const auto best = [&](std::size_t count) {
            const std::vector<float> levels = optimalLevels(points, weights, count);
            return std::vector<double>(levels.begin(), levels.end());
        };
        QVERIFY(near(best(2), {.453, 1.51}, 1e-3) && near(best(2), {.45278, 1.51042}, 5e-4));
        for (const int bits : {1, 2, 3, 4}) {
            std::vector<double> positive = quantized("hwgq", bits, Role::Activation, w8(), {{"spacing", "lloyd"}}).grid.levels(0);
            positive.erase(positive.begin());
            QVERIFY2(near(best((std::size_t(1) << bits) - 1), positive, 1e-3), qPrintable(QString::number(bits)));
        }
        QVERIFY(near(quantized("hwgq", 2, Role::Activation, w8()).grid.levels(0), {0, .538, 1.076, 1.614}));
    }
    void refusals() { QVERIFY(refused("hwgq", 2, Role::Weight)); }
};

QTEST_APPLESS_MAIN(TestHwgq)
#include "tst_hwgq.moc"
