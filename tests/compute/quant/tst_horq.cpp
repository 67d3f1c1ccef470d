// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestHorq : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void residuals()
    {
        const double errors[] = {0.2421484, 0.0561719, 0.0136328, 0.0042480};
        for (int order = 1; order <= 4; ++order)
            QVERIFY(near(quantized("horq", order, Role::Weight, w8()).mse, errors[order - 1]));
        const auto q = quantized("horq", 4, Role::Activation, w8(), {}, at::ones({8}));
        QVERIFY(near(q.parameters.at("beta"), {0.64375, 0.43125, 0.20625, 0.096875}));
        QVERIFY(q.grid.thresholds(0).empty());
        // -1.2: the residual is within 1 from the second term on
        QVERIFY(near(q.gradInput[0].item<double>(), 0.43125 + 0.20625 + 0.096875));
        QVERIFY(near(q.gradInput[3].item<double>(), 0.64375 + 0.43125 + 0.20625 + 0.096875));
    }
    /// From order 3 on the greedy code need not ascend (methods.md B6f).
    void notMonotone()
    {
        const auto q = quantized("horq", 4, Role::Activation, at::tensor({-1e-6f, 1e-6f}), {{"beta", "0.64375|0.43125|0.20625|0.096875"}});
        QVERIFY(near(q.quantized, {0.090625, -0.090625}));
    }
    /// Training moves the betas of an activation a tenth of the way.
    void running()
    {
        auto q = made("horq", 1, Role::Activation);
        QVERIFY(q->calibrate(at::ones({4})).has_value() && q->keepsValues());
        q->observe(at::full({4}, 3.0f));
        QVERIFY(near(q->values().at("beta"), {1}));
        q->endStep();
        QVERIFY(near(q->values().at("beta"), {1.2}));
    }
    void refusals() { QVERIFY(refused("horq", 2, Role::Activation, {{"beta", "1"}})); }
};

QTEST_APPLESS_MAIN(TestHorq)
#include "tst_horq.moc"
