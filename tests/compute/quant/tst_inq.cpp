// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestInq : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void powers()
    {
        QVERIFY(near(weight("inq", 3).quantized, {-1, -1, 0, 0, 0, 0, 1, 2}));
        QVERIFY(near(weight("inq", 4).quantized, {-1, -0.5, -0.25, 0, 0, 0.5, 1, 2}));
        QVERIFY(near(weight("inq", 5).quantized, {-1, -0.5, -0.25, -0.0625, 0.125, 0.5, 1, 2}));
        QVERIFY(near(weight("inq", 3).gradInput, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}));
    }
    /// A tie at 1.5 2^e goes up in magnitude, half of the smallest power is no longer zero.
    void ties()
    {
        const at::Tensor x = at::tensor({2.0f, 1.5f, -1.5f, 0.5f, -0.5f, 0.49f, 0.75f});
        QVERIFY(near(quantized("inq", 3, Role::Weight, x).quantized, {2, 2, -2, 1, -1, 0, 1}));
    }
    void scalesByPowersOfTwo()
    {
        QVERIFY(at::equal(quantized("inq", 4, Role::Weight, w8() * 4).quantized, weight("inq", 4).quantized * 4));
    }
    void refusals() { QVERIFY(refused("inq", 1, Role::Weight) && refused("inq", 4, Role::Activation)); }
};

QTEST_APPLESS_MAIN(TestInq)
#include "tst_inq.moc"
