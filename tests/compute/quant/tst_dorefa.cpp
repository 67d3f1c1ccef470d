// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestDorefa : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void weights()
    {
        QVERIFY(near(weight("dorefa", 1).quantized, {-kMeanAbs, -kMeanAbs, -kMeanAbs, -kMeanAbs, kMeanAbs, kMeanAbs, kMeanAbs, kMeanAbs}));
        QVERIFY(near(weight("dorefa", 2).quantized, {-1, -1, -1.0 / 3, -1.0 / 3, 1.0 / 3, 1.0 / 3, 1, 1}));
        QVERIFY(near(weight("dorefa", 3).quantized, {-1, -.714286, -.428571, -.142857, .142857, .428571, .714286, 1}));
        QVERIFY(near(weight("dorefa", 4).quantized, {-.866667, -.733333, -.333333, -.066667, .066667, .466667, .733333, 1}));
        QVERIFY(near(weight("dorefa", 2, {}, at::ones({8})).gradInput, {.336983, .701255, 1.011035, 1.102034, 1.093817, .945302, .537942, .199643}));
        QVERIFY(near(weight("dorefa", 1, {}, at::ones({8})).gradInput, {1, 1, 1, 1, 1, 1, 1, 1}));
    }
    void activations()
    {
        const at::Tensor x = at::tensor({-0.2f, 0.1f, 0.5f, 0.7f, 1.3f});
        QVERIFY(near(quantized("dorefa", 1, Role::Activation, x).quantized, {0, 0, 0, 1, 1}));
        QVERIFY(near(quantized("dorefa", 2, Role::Activation, x).quantized, {0, 0, 2.0 / 3, 2.0 / 3, 1}));
        QVERIFY(near(quantized("dorefa", 3, Role::Activation, x).quantized, {0, 1.0 / 7, 4.0 / 7, 5.0 / 7, 1}));
        QVERIFY(near(quantized("dorefa", 3, Role::Activation, at::tensor({-0.1f, 0.0f, 1.0f, 1.1f}), {}, at::ones({4})).gradInput, {0, 1, 1, 0}));
    }
    void gradients()
    {
        const at::Tensor x = at::full({4}, 0.5f), g = at::tensor({0.02f, -0.05f, 0.01f, 0.1f});
        const auto with = [&](const char *bits) {
            return quantized("dorefa", 2, Role::Activation, x, {{"gradient_bits", bits}, {"noise", "false"}}, g).gradInput;
        };
        QVERIFY(near(with("2"), {.033333, -.033333, .033333, .1}));
        QVERIFY(near(with("4"), {.02, -.046667, .006667, .1}));
        // each sample has a range of its own
        const at::Tensor two = quantized("dorefa", 2, Role::Activation, at::full({2, 4}, 0.5f), {{"gradient_bits", "4"}, {"noise", "false"}},
                                         at::stack({g, g * 100})).gradInput;
        QVERIFY(near(two[1], {2, -4.6667, 0.6667, 10}));
    }
    /// The noise keeps the expectation and comes again for the same seed.
    void noise()
    {
        const at::Tensor x = at::full({40000}, 0.5f);
        at::Tensor g = at::full({40000}, 0.013f);
        g[0] = 0.1f;
        const Options noisy{{"gradient_bits", "3"}};
        const at::Tensor a = quantized("dorefa", 2, Role::Activation, x, noisy, g, 7).gradInput;
        QVERIFY(std::abs(a.slice(0, 1).mean().item<double>() - 0.013) < 5e-4);
        QVERIFY(at::equal(a, quantized("dorefa", 2, Role::Activation, x, noisy, g, 7).gradInput));
        QVERIFY(!at::equal(a, quantized("dorefa", 2, Role::Activation, x, noisy, g, 8).gradInput));
    }
    void refusals() { QVERIFY(refused("dorefa", 2, Role::Weight, {{"gradient_bits", "1"}})); }
};

QTEST_APPLESS_MAIN(TestDorefa)
#include "tst_dorefa.moc"
