// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestApot : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void levels()
    {
        const auto q = quantized("apot", 4, Role::Activation, at::tensor({0.02f, 0.9f, 3.0f, -1.0f}), {{"alpha", "1"}}, at::ones({4}));
        QVERIFY(near(q.grid.levels(0), {0, .020833, .041667, .0625, .083333, .125, .166667, .1875, .25, .333333, .375, .5, .666667, .6875, .75, 1}));
        QVERIFY(near(q.quantized, {0.020833, 1, 1, 0}));
        QVERIFY(near(q.gradInput, {1, 1, 0, 1}));
        // (y - x) / alpha below the clip, 1 above
        QVERIFY(near(q.parameterGradients.at("alpha"), {(0.0208333 - 0.02) + (1 - 0.9) + 1 + (0 + 1)}));
        QVERIFY(near(quantized("apot", 4, Role::Activation, w8()).parameters.at("alpha"), {8}));
        for (int bits = 1; bits <= 6; ++bits)
            QCOMPARE(quantized("apot", bits, Role::Activation, w8()).grid.levelCount(0), std::size_t(1) << bits);
    }
    /// Normalised by mean and sample deviation unless told not to.
    void weights()
    {
        const auto q = weight("apot", 3);
        QVERIFY(near(q.parameters.at("alpha"), {3}));
        QVERIFY(near(q.grid.levels(0), {-3, -1.5, -0.75, 0, 0.75, 1.5, 3}));
        QVERIFY(near(q.gradInput[0].item<double>(), 0.1 / 0.861876));
        const auto plain = weight("apot", 3, {{"normalize", "false"}, {"alpha", "1.5"}});
        QVERIFY(near(plain.quantized, {-1.5, -0.75, -0.375, 0, 0, 0.375, 0.75, 1.5}));
        QVERIFY(near(plain.gradInput, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}));
        // sum g (y - x) / alpha, sign(x) beyond the clip
        const auto clipped = weight("apot", 3, {{"normalize", "false"}, {"alpha", "1"}});
        double wanted = 0;
        for (std::int64_t i = 0; i < 8; ++i) {
            const double x = w8()[i].item<double>(), y = clipped.quantized[i].item<double>(), g = g8()[i].item<double>();
            wanted += g * (std::abs(x) > 1 ? (x > 0 ? 1 : -1) : y - x);
        }
        QVERIFY(near(clipped.parameterGradients.at("alpha"), {wanted}));
    }
    void refusals()
    {
        QVERIFY(refused("apot", 1, Role::Weight) && refused("apot", 7, Role::Activation) && refused("apot", 4, Role::Activation, {{"alpha", "0"}}));
    }
};

QTEST_APPLESS_MAIN(TestApot)
#include "tst_apot.moc"
