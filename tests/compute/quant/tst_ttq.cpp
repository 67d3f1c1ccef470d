// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestTtq : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void zones()
    {
        const auto q = weight("ttq", 2, {{"wp", "1.1"}, {"wn", "0.9"}});
        QVERIFY(near(q.quantized, {-0.9, -0.9, -0.9, 0, 1.1, 1.1, 1.1, 1.1}));
        QVERIFY(near(q.gradInput, {0.09, 0.18, 0.27, 0.4, 0.55, 0.66, 0.77, 0.88}));
        QVERIFY(near(q.parameterGradients.at("wp"), {2.6}) && near(q.parameterGradients.at("wn"), {-0.6}));
        QVERIFY(near(q.grid.thresholds(0), {-0.075, 0.075}));
        QCOMPARE(q.sideInformationBits, 64.0);
        QVERIFY(near(weight("ttq", 2).parameters.at("wp"), {1}));
        QVERIFY(near(weight("ttq", 2, {{"start", "mean"}}).parameters.at("wn"), {(1.2 + 0.7 + 0.3) / 3}));
    }
    /// The threshold follows the weight while the scales are learned, and they stay positive.
    void training()
    {
        auto q = made("ttq", 2, Role::Weight);
        QVERIFY(q->calibrate(w8()).has_value());
        q->observe(w8() * 10);
        QVERIFY(near(q->grid().thresholds(0), {-0.75, 0.75}));
        {
            const c10::NoGradGuard noGrad;
            at::Tensor(q->learnables()[0].tensor).fill_(-3);
        }
        q->endStep();
        QVERIFY(q->learnables()[0].tensor.item<float>() > 0);
    }
    void refusals() { QVERIFY(refused("ttq", 2, Role::Weight, {{"wp", "-1"}}) && refused("ttq", 3, Role::Weight)); }
};

QTEST_APPLESS_MAIN(TestTtq)
#include "tst_ttq.moc"
