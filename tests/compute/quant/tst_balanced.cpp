// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestBalanced : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void equalShares()
    {
        const auto q = weight("balanced", 2);
        QVERIFY(near(q.quantized, {-1.5, -1.5, -0.5, -0.5, 0.5, 0.5, 1.5, 1.5}) && near(q.mse, 0.1878125));
        QVERIFY(near(q.gradInput, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}));
        const auto fitted = weight("balanced", 2, {{"scale", "lsq"}});
        QVERIFY(near(fitted.grid.levels(0).back(), 1.03125) && near(fitted.mse, 0.0657422));
    }
    void splits()
    {
        const at::Tensor x = at::tensor({-.1f, -.05f, -.02f, 0.0f, .01f, .03f, .06f, 2.0f});
        const auto counts = [&](const QuantizedTensor &q) {
            std::vector<double> n;
            for (const double level : q.grid.levels(0))
                n.push_back(double((q.quantized - float(level)).abs().lt(1e-6).sum().item<std::int64_t>()));
            return n;
        };
        const auto median = quantized("balanced", 2, Role::Weight, x);
        QVERIFY(near(counts(median), {2, 2, 2, 2}) && near(median.mse, 1.60941));
        QVERIFY(near(counts(quantized("balanced", 2, Role::Weight, x, {{"split", "mean"}})), {3, 4, 0, 1}));
    }
    void refusals() { QVERIFY(refused("balanced", 2, Role::Activation)); }
};

QTEST_APPLESS_MAIN(TestBalanced)
#include "tst_balanced.moc"
