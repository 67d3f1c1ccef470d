// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestQil : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void interval()
    {
        const Options given{{"c", "0.6"}, {"d", "0.4"}};
        QVERIFY(near(weight("qil", 2, given).quantized, {-1, -1, 0, 0, 0, 0, 1, 1}));
        QVERIFY(near(weight("qil", 3, given).quantized, {-1, -2.0 / 3, 0, 0, 0, 1.0 / 3, 1, 1}));
        QVERIFY(near(quantized("qil", 2, Role::Activation, at::tensor({-.2f, .1f, .4f, .7f, 1.2f}), {{"c", "0.6"}, {"d", "0.5"}}).quantized,
                     {0, 0, 1.0 / 3, 2.0 / 3, 1}));
        QVERIFY(near(weight("qil", 3).parameters.at("c"), {0.75}) && near(weight("qil", 3).parameters.at("d"), {0.75}));
    }
    void gradients()
    {
        const auto q = weight("qil", 3, {{"c", "0.6"}, {"d", "0.4"}, {"gamma", "0.7"}}, at::arange(1, 9).to(at::kFloat));
        QVERIFY(near(q.gradInput, {0, 2.014995, 4.898423, 0, 0, 7.957512, 6.375345, 0}));
        QVERIFY(near(q.parameterGradients.at("c"), {-7.419438}) && near(q.parameterGradients.at("d"), {-3.972821}));
        QVERIFY(near(q.parameterGradients.at("gamma"), {-1.871544}));
    }
    /// Of the bend itself, with many levels so that the steps do not show.
    void againstDifferences()
    {
        const at::Tensor x = at::tensor({0.5f, 0.8f}), g = at::tensor({1.0f, 2.0f});
        const auto bend = [&](double c, double d, double gamma) {
            double sum = 0;
            for (std::int64_t i = 0; i < 2; ++i)
                sum += g[i].item<double>() * std::pow((x[i].item<double>() - c) / (2 * d) + 0.5, gamma);
            return sum;
        };
        const auto q = quantized("qil", 8, Role::Weight, x, {{"c", "0.6"}, {"d", "0.4"}, {"gamma", "1.3"}}, g);
        QVERIFY(near(q.parameterGradients.at("c"), {(bend(0.6001, 0.4, 1.3) - bend(0.5999, 0.4, 1.3)) / 2e-4}, 1e-3));
        QVERIFY(near(q.parameterGradients.at("d"), {(bend(0.6, 0.4001, 1.3) - bend(0.6, 0.3999, 1.3)) / 2e-4}, 1e-3));
        QVERIFY(near(q.parameterGradients.at("gamma"), {(bend(0.6, 0.4, 1.3001) - bend(0.6, 0.4, 1.2999)) / 2e-4}, 1e-3));
    }
    void staysLegal()
    {
        auto q = made("qil", 3, Role::Weight);
        QVERIFY(q->calibrate(w8()).has_value());
        for (const Learnable &l : q->learnables()) {
            const c10::NoGradGuard noGrad;
            at::Tensor(l.tensor).fill_(-5);
        }
        q->endStep();
        QVERIFY(near(q->values().at("c"), {0}) && near(q->values().at("d"), {1e-3}) && q->values().at("gamma")[0] > 0);
    }
    void refusals() { QVERIFY(refused("qil", 1, Role::Weight) && refused("qil", 2, Role::Activation, {{"gamma", "0.5"}}) && refused("qil", 2, Role::Weight, {{"d", "0"}})); }
};

QTEST_APPLESS_MAIN(TestQil)
#include "tst_qil.moc"
