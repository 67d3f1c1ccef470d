// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestBiReal : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void approxSign()
    {
        const at::Tensor x = at::tensor({-1.5f, -1.0f, -0.5f, 0.0f, 0.25f, 0.9f, 1.0f, 2.0f});
        const auto q = quantized("bireal", 1, Role::Activation, x, {}, at::ones({8}));
        QVERIFY(near(q.quantized, {-1, -1, -1, 1, 1, 1, 1, 1}));
        QVERIFY(near(q.gradInput, {0, 0, 1, 2, 1.5, 0.2, 0, 0}));
    }
    void weights()
    {
        QVERIFY(near(weight("bireal", 1).mse, 0.24214844));
        QVERIFY(near(weight("bireal", 1).gradInput, {0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0}));
        QVERIFY(near(weight("bireal", 1, {{"gradient", "paper"}}).gradInput,
                     {0, 0.2 * kMeanAbs, 0.3 * kMeanAbs, 0.4 * kMeanAbs, 0.5 * kMeanAbs, 0.6 * kMeanAbs, 0.7 * kMeanAbs, 0}));
    }
    void refusals() { QVERIFY(refused("bireal", 2, Role::Weight)); }
};

QTEST_APPLESS_MAIN(TestBiReal)
#include "tst_bireal.moc"
