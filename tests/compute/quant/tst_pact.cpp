// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestPact : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void clip()
    {
        const at::Tensor x = at::tensor({-1.0f, 0.5f, 2.2f, 3.0f, 4.0f, 7.0f}), g = at::tensor({1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f});
        const auto q = quantized("pact", 2, Role::Activation, x, {{"alpha", "4"}}, g);
        QVERIFY(near(q.quantized, {0, 0, 2.666667, 2.666667, 4, 4}));
        QVERIFY(near(q.gradInput, {0, 2, 3, 4, 0, 0}));
        QVERIFY(near(q.parameterGradients.at("alpha"), {11}));
        QVERIFY(q.grid.uniform);
        const auto plus = quantized("pact", 2, Role::Activation, x, {{"alpha", "4"}, {"variant", "plus"}}, g);
        QVERIFY(near(plus.parameterGradients.at("alpha"), {10.766667}));
        const auto two = quantized("pact", 2, Role::Activation, x, {{"alpha", "4"}, {"lower", "-0.5"}, {"variant", "two_sided"}}, g);
        QVERIFY(near(two.grid.levels(0), {-0.5, 1, 2.5, 4}) && near(two.parameterGradients.at("lower"), {1}));
    }
    /// Above the clip the output is the clip: finite differences agree there.
    void againstDifferences()
    {
        const at::Tensor x = at::tensor({5.0f, 6.0f}), g = at::tensor({0.3f, 0.4f});
        const auto at = [&](const char *alpha) { return (quantized("pact", 3, Role::Activation, x, {{"alpha", alpha}}).quantized * g).sum().item<double>(); };
        const double slope = (at("4.01") - at("3.99")) / 0.02;
        QVERIFY(near(quantized("pact", 3, Role::Activation, x, {{"alpha", "4"}}, g).parameterGradients.at("alpha"), {slope}, 1e-3));
    }
    void start()
    {
        const at::Tensor x = at::arange(0, 1001).to(at::kFloat);
        QVERIFY(near(quantized("pact", 4, Role::Activation, x).parameters.at("alpha"), {999}));
        auto q = made("pact", 4, Role::Activation);
        SiteCollector seen;
        seen.add(x.reshape({1, -1}));
        QVERIFY(q->calibrate(seen.finish()).has_value());
        QVERIFY(std::abs(q->values().at("alpha")[0] - 999) < 2);
        QVERIFY(q->learnables()[0].decay);
    }
    void refusals()
    {
        QVERIFY(refused("pact", 2, Role::Activation, {{"alpha", "-1"}}) && refused("pact", 2, Role::Activation, {{"lower", "0"}}));
        QVERIFY(refused("pact", 2, Role::Activation, {{"variant", "two_sided"}, {"alpha", "1"}, {"lower", "2"}}) && refused("pact", 2, Role::Weight));
    }
};

QTEST_APPLESS_MAIN(TestPact)
#include "tst_pact.moc"
