// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestXnor : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void weightsAreBwns()
    {
        QVERIFY(at::equal(weight("xnor", 1).gradInput, weight("bwn", 1).gradInput));
        at::Tensor w = at::tensor({0.5f, 1.5f, -2.0f, 4.0f}).reshape({2, 2});
        made("xnor", 1, Role::Weight)->constrain(w);   // less the mean over the inputs, then clipped
        QVERIFY(near(w, {-0.5, 0.5, -1, 1}));
    }
    void activations()
    {
        const at::Tensor x = at::tensor({-1.0f, -0.5f, 0.0f, 1.0f});
        const auto q = quantized("xnor", 1, Role::Activation, x, {}, at::ones({4}));
        QVERIFY(near(q.quantized, {-1, -1, 1, 1}));
        QVERIFY(near(q.gradInput, {0, 1, 1, 0}));   // strictly below 1
        QCOMPARE(q.sideInformationBits, 0.0);
    }
    void learnedScale()
    {
        const auto q = quantized("xnor", 1, Role::Activation, w8(), {{"scale", "learned"}}, g8());
        QVERIFY(near(q.parameters.at("alpha"), {kMeanAbs}));
        // d/dalpha of sum g alpha sign(x)
        QVERIFY(near(q.parameterGradients.at("alpha"), {2.6 - 1.0}));
        QVERIFY(near(quantized("xnor", 1, Role::Activation, w8(), {{"scale", "learned"}, {"alpha", "2"}}).quantized, {-2, -2, -2, -2, 2, 2, 2, 2}));
    }
    void channelScales()
    {
        const at::Tensor x = at::stack({w8(), w8() * 3}).reshape({1, 2, 8});
        const auto q = quantized("xnor", 1, Role::Activation, x, {{"scale", "channel"}});
        QVERIFY(near(q.parameters.at("alpha"), {kMeanAbs, 3 * kMeanAbs}));
        SiteCollector seen;
        seen.add(x);
        auto streamed = made("xnor", 1, Role::Activation, {{"scale", "channel"}});
        QVERIFY(streamed->calibrate(seen.finish()).has_value());
        QVERIFY(near(streamed->values().at("alpha"), {kMeanAbs, 3 * kMeanAbs}));
    }
    void refusals() { QVERIFY(refused("xnor", 1, Role::Weight, {{"scale", "learned"}}) && refused("xnor", 1, Role::Activation, {{"alpha", "1"}})); }
};

QTEST_APPLESS_MAIN(TestXnor)
#include "tst_xnor.moc"
