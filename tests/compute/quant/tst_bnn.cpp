// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestBnn : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void signs()
    {
        QVERIFY(near(weight("bnn", 1).gradInput, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}));
        const auto a = quantized("bnn", 1, Role::Activation, w8(), {}, g8());
        QVERIFY(near(a.quantized, {-1, -1, -1, -1, 1, 1, 1, 1}));
        QVERIFY(near(a.gradInput, {0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0}));
        // the end itself passes
        QVERIFY(near(quantized("bnn", 1, Role::Activation, at::tensor({-1.0f, 1.0f}), {}, at::ones({2})).gradInput, {1, 1}));
    }
    /// Behind a ReLU zero is what was below it.
    void behindReLU()
    {
        const at::Tensor x = at::tensor({0.0f, 0.5f});
        QVERIFY(near(made("bnn", 1, Role::Activation, {}, true)->apply(x, false), {-1, 1}));
        QVERIFY(near(made("bnn", 1, Role::Activation, {}, false)->apply(x, false), {1, 1}));
    }
    void latentIsClipped()
    {
        at::Tensor w = w8();
        made("bnn", 1, Role::Weight)->constrain(w);
        QCOMPARE(w.abs().max().item<float>(), 1.0f);
    }
    void refusals()
    {
        QVERIFY(refused("bnn", 2, Role::Weight) && refused("bnn", 2, Role::Activation) && refused("bnn", 0, Role::Weight));
        QVERIFY(refused("bnn", 1, Role::Weight, {{"alpha", "1"}}));
    }
};

QTEST_APPLESS_MAIN(TestBnn)
#include "tst_bnn.moc"
