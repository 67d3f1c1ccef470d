// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestSawb : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void clips()
    {
        const auto q = weight("sawb", 2);
        QVERIFY(near(q.grid.levels(0), {-1.199391, -.399797, .399797, 1.199391}) && near(objective(q), .492318));
        QVERIFY(near(q.gradInput, {0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0}));
        // the raw clips of 3 to 5 bits lie beyond the largest magnitude
        for (int bits = 3; bits <= 5; ++bits)
            QVERIFY(near(weight("sawb", bits).grid.levels(0).back(), 1.5));
        QCOMPARE(q.sideInformationBits, 32.0);
    }
    /// The raw clip where nothing bounds it: w8 with one far value that leaves the moments known.
    void rawClip()
    {
        at::manual_seed(6);
        const at::Tensor x = at::randn({20000});
        const double squares = x.pow(2).mean().item<double>(), sizes = x.abs().mean().item<double>();
        QVERIFY(near(quantized("sawb", 4, Role::Weight, x).grid.levels(0).back(), 12.68 * std::sqrt(squares) - 12.80 * sizes, 1e-3));
        QVERIFY(near(quantized("sawb", 3, Role::Weight, x).grid.levels(0).back(), 7.509 * std::sqrt(squares) - 6.892 * sizes, 1e-3));
    }
    void survivorsOnly()
    {
        at::Tensor x = at::cat({w8(), at::full({8}, std::nanf(""))});
        auto q = made("sawb", 2, Role::Weight);
        QVERIFY(q->calibrate(x).has_value());
        QVERIFY(near(q->grid().levels(0).back(), 1.199391));
    }
    void refusals() { QVERIFY(refused("sawb", 1, Role::Weight) && refused("sawb", 2, Role::Activation)); }
};

QTEST_APPLESS_MAIN(TestSawb)
#include "tst_sawb.moc"
