// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

#include <limits>

using namespace bitwright;
using namespace bitwright::testing;

class TestLaq : public QObject {
    Q_OBJECT

    static std::unique_ptr<Quantizer> curved(int bits, const Options &options = {})
    {
        auto q = made("laq", bits, Role::Weight, options);
        const at::Tensor d = at::tensor({1.0f, 2.0f, 4.0f, 8.0f, 1.0f, 2.0f, 4.0f, 8.0f});
        q->setCurvature(d * d);
        if (!q->calibrate(w8()))
            qFatal("calibrate");
        return q;
    }
    /// 1/2 sum D e^2.
    static double loss(Quantizer &q)
    {
        const at::Tensor d = at::tensor({1.0f, 2.0f, 4.0f, 8.0f, 1.0f, 2.0f, 4.0f, 8.0f});
        return ((q.apply(w8(), false) - w8()).pow(2) * d).sum().item<double>() / 2;
    }

private Q_SLOTS:
    void curvature()
    {
        auto lab = curved(1), late = curved(2), lata = curved(2, {{"variant", "lata"}}), linear = curved(3);
        QVERIFY(near(lab->values().at("alpha"), {0.69}) && near(loss(*lab), 5.0435));
        QVERIFY(near(late->values().at("alpha"), {1.213333}) && near(loss(*late), 1.143667));
        QVERIFY(near(lata->values().at("alpha"), {1.213333}));
        QVERIFY(near(linear->values().at("alpha"), {1.47}) && near(loss(*linear), 0.18));
        auto two = curved(2, {{"variant", "late2"}});
        QCOMPARE(two->values().at("alpha").size(), std::size_t(2));
        QVERIFY(loss(*two) <= loss(*late) + 1e-6);
        QVERIFY(near(curved(2, {{"variant", "lata2"}})->values().at("alpha"), two->values().at("alpha")));
    }
    /// The same weights under the scale that does not ask for the curvature.
    void againstBwn()
    {
        auto bwn = made("bwn", 1, Role::Weight);
        QVERIFY(bwn->calibrate(w8()).has_value());
        QVERIFY(near(loss(*bwn), 5.0755859, 1e-6) && loss(*curved(1)) < loss(*bwn));
    }
    /// Moments that overflowed count as none; no scale becomes NaN.
    void brokenCurvature()
    {
        const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
        const at::Tensor d = at::tensor({1.0f, 2.0f, 4.0f, 8.0f, 1.0f, 2.0f, 4.0f, 8.0f});
        at::Tensor broken = d * d, without = d * d;
        const float bad[] = {nan, inf, -1.0f, -inf};
        for (std::int64_t i = 0; i < 4; ++i) {
            broken[2 * i] = bad[i];
            without[2 * i] = 0;
        }
        const auto scales = [](int bits, const std::string &variant, const at::Tensor &secondMoment) {
            auto q = made("laq", bits, Role::Weight, {{"variant", variant}});
            q->setCurvature(secondMoment);
            if (!q->calibrate(w8()))
                qFatal("calibrate");
            q->observe(w8());
            return q->values().at("alpha");
        };
        const std::pair<int, const char *> variants[] = {{1, "lab"}, {2, "late"}, {2, "lata"}, {2, "late2"}, {2, "lata2"}, {3, "linear"}, {3, "log"}};
        for (const auto &[bits, variant] : variants) {
            const auto found = scales(bits, variant, broken);
            QVERIFY2(near(found, scales(bits, variant, without)) && found[0] > 0, variant);
            // nothing left: all count alike, and so does a moment that float32 cannot hold
            QVERIFY2(near(scales(bits, variant, at::full({8}, nan)), scales(bits, variant, at::ones({8}))), variant);
            QVERIFY2(near(scales(bits, variant, at::full({8}, 1e300, at::kDouble)), scales(bits, variant, at::ones({8}))), variant);
        }
    }
    /// Without a training state all weights count alike: LAB is BWN, LAT the exact TWN.
    void constant()
    {
        QVERIFY(near(weight("laq", 1).parameters.at("alpha"), {kMeanAbs}));
        QVERIFY(near(weight("laq", 2).parameters.at("alpha"), {1.075}));
        QVERIFY(near(weight("laq", 2).gradInput, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}));
        QVERIFY(near(weight("laq", 3, {{"variant", "log"}}).grid.levels(0)[6] / weight("laq", 3, {{"variant", "log"}}).grid.levels(0)[5], 2));
        QVERIFY(near(weight("laq", 2, {{"alpha", "2"}}).quantized, {-2, 0, 0, 0, 0, 0, 0, 2}));
    }
    /// LATe against every cut, with random curvature.
    void exhaustive()
    {
        at::manual_seed(11);
        for (int round = 0; round < 10; ++round) {
            const at::Tensor x = at::randn({12}), d = at::rand({12}) + 0.1;
            auto q = made("laq", 2, Role::Weight);
            q->setCurvature(d * d);
            QVERIFY(q->calibrate(x).has_value());
            const double found = ((q->apply(x, false) - x).pow(2) * d).sum().item<double>();
            const auto order = std::get<1>(x.abs().sort(0, true));
            const at::Tensor sizes = x.abs().index_select(0, order), weights = d.index_select(0, order);
            const at::Tensor gain = (sizes * weights).cumsum(0).pow(2) / weights.cumsum(0);
            QVERIFY(near(found, (x.pow(2) * d).sum().item<double>() - gain.max().item<double>(), 1e-3));
        }
    }
    void training()
    {
        auto q = made("laq", 1, Role::Weight);
        QVERIFY(q->wantsCurvature() && q->keepsValues() && q->calibrate(w8()).has_value());
        q->observe(w8() * 2);
        QVERIFY(near(q->values().at("alpha"), {2 * kMeanAbs}));
        at::Tensor w = w8();
        q->constrain(w);
        QCOMPARE(w.abs().max().item<float>(), 1.0f);
    }
    void refusals()
    {
        QVERIFY(refused("laq", 3, Role::Weight, {{"variant", "lab"}}) && refused("laq", 2, Role::Weight, {{"variant", "linear"}}));
        QVERIFY(refused("laq", 2, Role::Weight, {{"variant", "late2"}, {"alpha", "1"}}) && refused("laq", 2, Role::Activation));
    }
};

QTEST_APPLESS_MAIN(TestLaq)
#include "tst_laq.moc"
