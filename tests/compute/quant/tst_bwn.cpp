// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestBwn : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void leastSquares()
    {
        const auto q = weight("bwn", 1);
        QVERIFY(near(q.mse, 0.24214844));   // mean(w^2) - alpha^2
        QVERIFY(near(q.grid.levels(0), {-kMeanAbs, kMeanAbs}));
        QVERIFY(near(q.gradInput, {-0.2, -0.07125, -0.006875, 0.0575, 0.521875, 0.58625, 0.650625, 0.2}));
        QVERIFY(near(weight("bwn", 1, {{"gradient", "paper"}}).gradInput, {0.0125, 0.15375, 0.230625, 0.3075, 0.384375, 0.46125, 0.538125, 0.1}));
        QCOMPARE(q.sideInformationBits, 32.0);
    }
    /// A scale for each filter; the exact gradient sums over the filter alone.
    void channels()
    {
        const at::Tensor x = at::stack({w8(), w8() * 2}), g = at::stack({g8(), g8()});
        const auto q = quantized("bwn", 1, Role::Weight, x, {}, g);
        QVERIFY(near(q.grid.levels(1), {-2 * kMeanAbs, 2 * kMeanAbs}));
        QCOMPARE(q.sideInformationBits, 64.0);
        QVERIFY(at::equal(q.gradInput[0], weight("bwn", 1).gradInput));
        QVERIFY(near(quantized("bwn", 1, Role::Weight, x, {{"granularity", "tensor"}}).grid.levels(0), {-1.5 * kMeanAbs, 1.5 * kMeanAbs}));
    }
    void refusals() { QVERIFY(refused("bwn", 1, Role::Activation) && refused("bwn", 2, Role::Weight)); }
};

QTEST_APPLESS_MAIN(TestBwn)
#include "tst_bwn.moc"
