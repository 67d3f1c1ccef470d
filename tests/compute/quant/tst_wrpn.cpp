// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestWrpn : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void grids()
    {
        QVERIFY(near(weight("wrpn", 2).quantized, {-1, -1, 0, 0, 0, 0, 1, 1}));
        QVERIFY(near(weight("wrpn", 3).quantized, {-1, -2.0 / 3, -1.0 / 3, 0, 0, 1.0 / 3, 1, 1}));
        QVERIFY(near(weight("wrpn", 4).quantized, {-1, -5.0 / 7, -2.0 / 7, 0, 1.0 / 7, 3.0 / 7, 6.0 / 7, 1}));
        QVERIFY(near(weight("wrpn", 4).gradInput, {0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0}));
        const auto a = quantized("wrpn", 2, Role::Activation, at::tensor({-0.1f, 0.0f, 0.5f, 1.0f, 2.0f}), {}, at::ones({5}));
        QVERIFY(near(a.quantized, {0, 0, 2.0 / 3, 1, 1}) && near(a.gradInput, {0, 1, 1, 1, 0}));
        QCOMPARE(a.sideInformationBits, 0.0);
        QVERIFY(a.grid.uniform && weight("wrpn", 4).grid.uniform);   // exported as integers
    }
    void refusals() { QVERIFY(refused("wrpn", 1, Role::Weight)); }
};

QTEST_APPLESS_MAIN(TestWrpn)
#include "tst_wrpn.moc"
