// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestBinaryConnect : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void signs()
    {
        const auto q = weight("binaryconnect", 1);
        QVERIFY(near(q.quantized, {-1, -1, -1, -1, 1, 1, 1, 1}));
        QVERIFY(near(q.gradInput, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}));   // at the binary weight
        QCOMPARE(q.sideInformationBits, 0.0);
        QVERIFY(q.parameters.empty());
        QCOMPARE(quantized("binaryconnect", 1, Role::Weight, at::zeros({1})).quantized.item<float>(), 1.0f);   // sign(0) is +1
    }
    /// P(+1) = (0.3 + 1) / 2; the same draw for the same seed.
    void chance()
    {
        const at::Tensor x = at::full({20000}, 0.3f);
        const Options stochastic{{"stochastic", "true"}};
        const at::Tensor a = quantized("binaryconnect", 1, Role::Weight, x, stochastic, {}, 1).quantized;
        QVERIFY(std::abs(a.gt(0).to(at::kDouble).mean().item<double>() - 0.65) < 0.015);
        QVERIFY(at::equal(a, quantized("binaryconnect", 1, Role::Weight, x, stochastic, {}, 1).quantized));
        QVERIFY(!at::equal(a, quantized("binaryconnect", 1, Role::Weight, x, stochastic, {}, 2).quantized));
        // beyond 1 there is no chance left, and without a training step none at all
        QVERIFY(quantized("binaryconnect", 1, Role::Weight, x + 1, stochastic).quantized.eq(1).all().item<bool>());
        const auto q = made("binaryconnect", 1, Role::Weight, stochastic);
        QVERIFY(q->apply(x, false).eq(1).all().item<bool>());
    }
    void latentIsClipped()
    {
        at::Tensor w = w8();
        made("binaryconnect", 1, Role::Weight)->constrain(w);
        QVERIFY(near(w, {-1, -0.7, -0.3, -0.05, 0.1, 0.4, 0.9, 1}));
    }
    void refusals()
    {
        QVERIFY(refused("binaryconnect", 2, Role::Weight) && refused("binaryconnect", 1, Role::Activation));
    }
};

QTEST_APPLESS_MAIN(TestBinaryConnect)
#include "tst_binaryconnect.moc"
