// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/quantizer.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;

namespace {

at::Tensor w8()
{
    return at::tensor({-1.2f, -0.7f, -0.3f, -0.05f, 0.1f, 0.4f, 0.9f, 1.5f});
}

std::unique_ptr<Quantizer> made(int bits, ParamValues options = {}, Role role = Role::Weight,
                                std::map<std::string, std::vector<double>> values = {})
{
    auto q = makeQuantizer({"uniform", bits, std::move(options), std::move(values)}, {"", role, 0, false});
    if (!q)
        qFatal("%s", q.error().message.c_str());
    return std::move(*q);
}

std::string refusal(int bits, ParamValues options = {}, Role role = Role::Weight,
                    std::map<std::string, std::vector<double>> values = {})
{
    auto q = makeQuantizer({"uniform", bits, std::move(options), std::move(values)}, {"", role, 0, false});
    return q ? std::string() : q.error().message;
}

double mse(Quantizer &q, const at::Tensor &x)
{
    const Difference d = compare(x, q.apply(x, false));
    return d.error / double(d.count);
}

bool near(double a, double b, double tolerance = 1e-4)
{
    if (std::abs(a - b) <= tolerance * std::max(1e-6, std::abs(b)))
        return true;
    qWarning("%.9g is not %.9g", a, b);
    return false;
}

ParamValues range(const char *id, ParamValues more = {})
{
    more["range"] = std::string(id);
    return more;
}

} // namespace

class TestUniform : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void oracles_data()
    {
        QTest::addColumn<bool>("symmetric");
        QTest::addColumn<int>("bits");
        QTest::addColumn<double>("scale");
        QTest::addColumn<double>("zero");
        QTest::addColumn<QList<int>>("codes");
        QTest::addColumn<double>("error");
        QTest::newRow("asym 2") << false << 2 << 0.9 << 1.0 << QList<int>{0, 0, 1, 1, 1, 1, 2, 3} << 0.0603125;
        QTest::newRow("asym 3") << false << 3 << 0.385714 << 3.0 << QList<int>{0, 1, 2, 3, 3, 4, 5, 7} << 0.00566964;
        QTest::newRow("asym 4") << false << 4 << 0.18 << 7.0 << QList<int>{0, 3, 5, 7, 8, 9, 12, 15} << 0.0027125;
        QTest::newRow("asym 8") << false << 8 << 0.0105882 << 113.0 << QList<int>{0, 47, 85, 108, 122, 151, 198, 255} << 9.38581e-6;
        QTest::newRow("sym 2") << true << 2 << 1.5 << 0.0 << QList<int>{-1, 0, 0, 0, 0, 0, 1, 1} << 0.1503125;
        QTest::newRow("sym 3") << true << 3 << 0.5 << 0.0 << QList<int>{-2, -1, -1, 0, 0, 1, 2, 3} << 0.0190625;
        QTest::newRow("sym 4") << true << 4 << 0.214286 << 0.0 << QList<int>{-6, -3, -1, 0, 0, 2, 4, 7} << 0.00413903;
        QTest::newRow("sym 8") << true << 8 << 0.0118110 << 0.0 << QList<int>{-102, -59, -25, -4, 8, 34, 76, 127} << 1.25744e-5;
    }
    void oracles()
    {
        QFETCH(bool, symmetric);
        QFETCH(int, bits);
        QFETCH(double, scale);
        QFETCH(double, zero);
        QFETCH(QList<int>, codes);
        QFETCH(double, error);
        // what the role decides is what the option says
        for (const bool byRole : {false, true}) {
            auto q = byRole ? made(bits, {}, symmetric ? Role::Weight : Role::Activation) : made(bits, {{"symmetric", symmetric}});
            QVERIFY(q->calibrate(w8()).has_value());
            QVERIFY(near(q->values().at("scale").at(0), scale));
            QCOMPARE(q->values().at("zero_point").at(0), zero);
            const QuantGrid grid = q->grid();
            AffineGrid affine{{float(grid.groups[0].scale)}, {float(grid.groups[0].zeroPoint)}, grid.qmin, grid.qmax, -1};
            const at::Tensor code = affineCodes(w8(), affine);
            for (int i = 0; i < 8; ++i)
                QCOMPARE(code[i].item<int>(), codes[i]);
            // the mean squared error of 8 bits is a small difference of float numbers
            QVERIFY(near(mse(*q, w8()), error, bits == 8 ? 1e-3 : 1e-4));
        }
    }

    void levelCounts_data()
    {
        QTest::addColumn<int>("bits");
        QTest::addColumn<QString>("options");
        QTest::addColumn<qint64>("qmin");
        QTest::addColumn<qint64>("qmax");
        QTest::newRow("restricted 2") << 2 << "" << qint64(-1) << qint64(1);
        QTest::newRow("full range 2") << 2 << "full_range" << qint64(-2) << qint64(1);
        QTest::newRow("full range 1") << 1 << "full_range" << qint64(-1) << qint64(0);
        QTest::newRow("asymmetric 1") << 1 << "asymmetric" << qint64(0) << qint64(1);
        QTest::newRow("unsigned 1") << 1 << "unsigned" << qint64(0) << qint64(1);
        QTest::newRow("unsigned 4") << 4 << "unsigned" << qint64(0) << qint64(15);
        QTest::newRow("learned 3") << 3 << "learned" << qint64(-4) << qint64(3);
        QTest::newRow("restricted 16") << 16 << "" << qint64(-32767) << qint64(32767);
    }
    void levelCounts()
    {
        QFETCH(int, bits);
        QFETCH(QString, options);
        QFETCH(qint64, qmin);
        QFETCH(qint64, qmax);
        ParamValues o;
        if (options == QLatin1String("full_range"))
            o["full_range"] = true;
        if (options == QLatin1String("asymmetric"))
            o["symmetric"] = false;
        if (options == QLatin1String("unsigned"))
            o["signed"] = false;
        if (options == QLatin1String("learned"))
            o["learned_step"] = true;
        auto q = made(bits, o);
        QVERIFY(q->calibrate(w8()).has_value());
        QCOMPARE(qint64(q->grid().qmin), qmin);
        QCOMPARE(qint64(q->grid().qmax), qmax);
        QCOMPARE(q->grid().sideBits, options == QLatin1String("asymmetric") ? 33.0 : 32.0);
        QCOMPARE(q->grid().levels().size(), std::size_t(qmax - qmin + 1));
    }

    void activations()
    {
        // any option of symmetric grids makes the grid symmetric; a learned step is LSQ's 0…n
        auto asym = made(4, {}, Role::Activation), sym = made(4, {{"signed", true}}, Role::Activation),
             uns = made(4, {{"signed", false}}, Role::Activation), lsq = made(4, {{"learned_step", true}}, Role::Activation);
        for (Quantizer *q : {asym.get(), sym.get(), uns.get(), lsq.get()})
            QVERIFY(q->calibrate(w8()).has_value());
        QCOMPARE(asym->values().at("zero_point").at(0), 7.0);
        QCOMPARE(sym->grid().qmin, std::int64_t(-7));
        QCOMPARE(uns->grid().qmin, std::int64_t(0));
        QVERIFY(near(uns->values().at("scale").at(0), 0.1));
        QCOMPARE(lsq->grid().qmin, std::int64_t(0));
        QVERIFY(near(lsq->values().at("scale").at(0), 2 * 0.64375 / std::sqrt(15.0)));
        // in a network the site knows whether it is behind a ReLU
        for (const bool relu : {false, true}) {
            auto q = makeQuantizer({"uniform", 4, {{"learned_step", true}}, {}}, {"conv1", Role::Activation, 0, relu});
            QVERIFY(q.has_value());
            QVERIFY((*q)->calibrate(w8()).has_value());
            QCOMPARE((*q)->grid().qmin, std::int64_t(relu ? 0 : -8));
        }
    }

    void refusals()
    {
        QVERIFY(refusal(1).find("one level") != std::string::npos);
        QVERIFY(refusal(1).find("bwn") != std::string::npos);
        QVERIFY(refusal(0).find("1 to 16") != std::string::npos);
        QVERIFY(refusal(17).find("1 to 16") != std::string::npos);
        QVERIFY(refusal(4, {{"granularity", std::string("channel")}}, Role::Activation).find("granularity=tensor") != std::string::npos);
        QVERIFY(refusal(9, range("aciq")).find("aciq") != std::string::npos);
        QVERIFY(refusal(4, range("nonsense")).find("range") != std::string::npos);
        QVERIFY(refusal(4, {{"nonsense", true}}).find("nonsense") != std::string::npos);
        QVERIFY(refusal(4, {}, Role::Weight, {{"clip", {1}}}).find("clip") != std::string::npos);
        QVERIFY(refusal(4, {}, Role::Weight, {{"scale", {0}}}).find("positive") != std::string::npos);
        QVERIFY(refusal(4, {}, Role::Weight, {{"scale", {1, 2}}}).find("granularity") != std::string::npos);
        QVERIFY(refusal(4, {}, Role::Activation, {{"scale", {1}}}).find("zero_point") != std::string::npos);
        QVERIFY(refusal(4, {}, Role::Activation, {{"scale", {1}}, {"zero_point", {16}}}).find("zero_point") != std::string::npos);
        QVERIFY(refusal(4, {}, Role::Weight, {{"scale", {1}}, {"zero_point", {3}}}).find("zero_point") != std::string::npos);
        auto named = makeQuantizer({"uniform", 1, {}, {}}, {"conv1", Role::Weight, 0, false});
        QVERIFY(!named && named.error().message.starts_with("conv1"));
        auto unknown = makeQuantizer({"nonsense", 4, {}, {}}, {});
        QVERIFY(!unknown && unknown.error().kind == ErrorKind::Unsupported);
    }

    void givenValues()
    {
        auto q = made(4, {}, Role::Activation, {{"scale", {0.25}}, {"zero_point", {5}}});
        QVERIFY(q->calibrated());
        QCOMPARE(q->values().at("scale").at(0), 0.25);
        const at::Tensor y = q->apply(at::tensor({-9.0f, 0.3f, 9.0f}), false);
        QVERIFY(at::equal(y, at::tensor({-1.25f, 0.25f, 2.5f})));
        auto spread = made(4, {{"granularity", std::string("channel")}}, Role::Weight, {{"scale", {0.5}}});
        QVERIFY(at::equal(spread->apply(at::full({3, 2}, 0.6f), false), at::full({3, 2}, 0.5f)));
        QCOMPARE(spread->values().at("scale").size(), std::size_t(3));
    }

    void perChannel()
    {
        at::manual_seed(4);
        const at::Tensor x = at::randn({5, 3, 3, 3});
        for (const int axis : {0, 1}) {
            auto q = makeQuantizer({"uniform", 3, {{"granularity", std::string("channel")}}, {}}, {"", Role::Weight, axis, false});
            QVERIFY(q.has_value() && (*q)->calibrate(x).has_value());
            const at::Tensor y = (*q)->apply(x, false);
            QCOMPARE((*q)->grid().groups.size(), std::size_t(x.size(axis)));
            QVERIFY((*q)->grid().perChannel);
            QCOMPARE((*q)->grid().sideBits, 32.0 * double(x.size(axis)));
            for (std::int64_t c = 0; c < x.size(axis); ++c) {
                auto one = made(3);
                QVERIFY(one->calibrate(x.select(axis, c)).has_value());
                QVERIFY(at::equal(one->apply(x.select(axis, c), false), y.select(axis, c)));
            }
        }
        // a 1-D array is one group
        auto flat = made(3, {{"granularity", std::string("channel")}});
        QVERIFY(flat->calibrate(w8()).has_value());
        QCOMPARE(flat->values().at("scale").size(), std::size_t(1));
    }

    void degenerate()
    {
        auto channel = made(4, {{"granularity", std::string("channel")}});
        at::Tensor x = at::randn({3, 4});
        x[1].zero_();
        QVERIFY(channel->calibrate(x).has_value());
        QCOMPARE(channel->values().at("scale").at(1), double(1e-8f));
        QVERIFY(at::equal(channel->apply(x, false)[1], at::zeros({4})));

        at::Tensor dirty = w8().clone();
        dirty[3] = std::numeric_limits<float>::quiet_NaN();
        dirty[4] = std::numeric_limits<float>::infinity();
        for (const char *id : {"minmax", "average", "percentile", "scaled", "mse", "kl", "aciq"}) {
            auto q = made(4, range(id));
            QVERIFY(q->calibrate(dirty).has_value());
            const double s = q->values().at("scale").at(0);
            QVERIFY2(std::isfinite(s) && s > 0 && s < 1, id);
            auto none = made(4, range(id));
            QVERIFY(none->calibrate(at::empty({0})).has_value());
            QVERIFY2(std::isfinite(none->values().at("scale").at(0)), id);
            QCOMPARE(none->apply(at::empty({0}), false).numel(), std::int64_t(0));
        }
    }

    void scaled()
    {
        const double ones[] = {0.1503125, 0.0190625, 0.00413903}, eights[] = {0.0865625, 0.0165625, 0.0130931};
        for (const int bits : {2, 3, 4}) {
            for (const double ratio : {1.0, 0.8}) {
                auto q = made(bits, range("scaled", {{"ratio", ratio}}));
                QVERIFY(q->calibrate(w8()).has_value());
                QVERIFY(near(mse(*q, w8()), ratio == 1 ? ones[bits - 2] : eights[bits - 2]));
            }
        }
    }

    void percentile()
    {
        const at::Tensor x = at::arange(1, 1001, at::kFloat);
        const std::pair<double, double> rows[] = {{99, 990.01}, {99.9, 999.001}, {99.99, 999.9001}};
        for (const auto &[percent, expected] : rows) {
            auto q = made(8, range("percentile", {{"percentile", percent}}));
            QVERIFY(q->calibrate(x).has_value());
            QVERIFY(near(q->values().at("scale").at(0) * 127, expected, 1e-6));
        }
        // both sides: 0.1 % off each
        auto both = made(8, range("percentile", {{"symmetric", false}}));
        QVERIFY(both->calibrate(at::arange(-500, 501, at::kFloat)).has_value());
        QVERIFY(near(both->values().at("scale").at(0) * 255, 998, 1e-6));
    }

    void leastError()
    {
        const double ratios[] = {.72, .86, .99}, errors[] = {.0787625, .0137125, .00412851};
        for (const int bits : {2, 3, 4}) {
            auto q = made(bits, range("mse"));
            QVERIFY(q->calibrate(w8()).has_value());
            QVERIFY(near(q->values().at("scale").at(0) * ((1 << (bits - 1)) - 1), 1.5 * ratios[bits - 2]));
            QVERIFY(near(mse(*q, w8()), errors[bits - 2]));
        }
        // BRECQ: 2 bits pick step 6, 3 and 4 bits step 0
        const double scales[] = {.846, .385714, .18};
        for (const int bits : {2, 3, 4}) {
            auto q = made(bits, range("mse"), Role::Activation);
            QVERIFY(q->calibrate(w8()).has_value());
            QVERIFY(near(q->values().at("scale").at(0), scales[bits - 2]));
        }
        QCOMPARE(made(2, {}, Role::Activation)->calibrated(), false);
    }

    void analytic()
    {
        auto gauss = made(4, range("aciq"));
        QVERIFY(gauss->calibrate(w8()).has_value());
        QVERIFY(near(gauss->values().at("scale").at(0) * 7, 2.55914 * 0.806202));
        auto laplace = made(4, range("aciq", {{"distribution", std::string("laplace")}}));
        QVERIFY(laplace->calibrate(w8()).has_value());
        QVERIFY(near(laplace->values().at("scale").at(0) * 7, 5.02864 * (w8() - 0.08125).abs().mean().item<double>()));
        // without spread the formula says nothing: the tensor's own range
        auto flat = made(4, range("aciq"));
        QVERIFY(flat->calibrate(at::full({3}, 2.5f)).has_value());
        QVERIFY(near(flat->values().at("scale").at(0) * 7, 2.5));
        // behind a ReLU: c of one bit more, from 0
        const at::Tensor positive = w8().clamp_min(0);
        const double sigma = positive.std(false).item<double>();
        auto eight = made(8, range("aciq"), Role::Activation);
        QVERIFY(eight->calibrate(positive).has_value());
        QCOMPARE(eight->values().at("zero_point").at(0), 0.0);
        QVERIFY(near(eight->values().at("scale").at(0) * 255, 4.2 * sigma));
        auto two = made(2, range("aciq", {{"signed", false}}), Role::Activation);
        QVERIFY(two->calibrate(positive).has_value());
        QVERIFY(near(two->values().at("scale").at(0) * 3, 2.15159 * sigma));
        // an asymmetric grid of both signs spans [-amax, amax]
        auto wide = made(2, range("aciq"), Role::Activation);
        QVERIFY(wide->calibrate(w8()).has_value());
        QVERIFY(near(wide->values().at("scale").at(0) * 3, 2 * 1.71064 * 0.806202));
    }

    void averageOfBatches()
    {
        SiteCollector collector(16384, 0.9);
        for (const float top : {1.0f, 3.0f, 2.0f})
            collector.add(at::tensor({0.0f, top}).reshape({2, 1}));
        auto q = made(8, range("average"), Role::Activation);
        QVERIFY(q->calibrate(collector.finish()).has_value());
        QVERIFY(near(q->values().at("scale").at(0) * 255, 1.28));
    }

    void learnedStart()
    {
        const double starts[] = {1.2875, .743338, .486629};
        for (const int bits : {2, 3, 4}) {
            auto q = made(bits, {{"learned_step", true}});
            QVERIFY(q->calibrate(w8()).has_value());
            QVERIFY(near(q->values().at("scale").at(0), starts[bits - 2]));
        }
    }

    void learnedStep()
    {
        auto q = made(3, {{"learned_step", true}}, Role::Weight, {{"scale", {.25}}});
        const at::Tensor x = at::tensor({-.9f, -.26f, .1f, .24f, .6f, 1.3f}).set_requires_grad(true);
        const at::Tensor y = q->forward(x);
        QVERIFY(at::allclose(y, at::tensor({-1.0f, -.25f, 0.0f, .25f, .5f, .75f})));
        y.sum().backward();
        QVERIFY(at::equal(x.grad(), at::tensor({1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 0.0f})));
        auto learnables = q->learnables();
        QCOMPARE(learnables.size(), std::size_t(1));
        QVERIFY(near(learnables[0].tensor.grad().item<double>(), .443120));
        {
            c10::NoGradGuard noGrad;
            learnables[0].tensor.fill_(-1);
        }
        q->endStep();
        QVERIFY(q->values().at("scale").at(0) > 0);
    }

    void learnedStepPerChannel()
    {
        at::manual_seed(6);
        at::Tensor x = at::randn({4, 10});
        auto q = made(3, {{"learned_step", true}, {"granularity", std::string("channel")}});
        QVERIFY(q->calibrate(x).has_value());
        x.set_requires_grad(true);
        q->forward(x).sum().backward();
        const at::Tensor gradient = q->learnables()[0].tensor.grad();
        QCOMPARE(gradient.numel(), std::int64_t(4));
        for (std::int64_t c = 0; c < 4; ++c) {
            auto one = made(3, {{"learned_step", true}}, Role::Weight, {{"scale", {q->values().at("scale")[std::size_t(c)]}}});
            one->forward(x.detach()[c].clone()).sum().backward();
            QVERIFY(near(gradient[c].item<double>(), one->learnables()[0].tensor.grad().item<double>()));
        }
    }

    void learnedStepOfActivationsIgnoresTheBatch()
    {
        const at::Tensor sample = at::rand({1, 20});
        double first = 0;
        for (const int batch : {1, 4}) {
            auto q = made(4, {{"learned_step", true}}, Role::Activation, {{"scale", {.05}}});
            (q->forward(sample.repeat({batch, 1})).sum() / batch).backward();
            const double g = q->learnables()[0].tensor.grad().item<double>();
            if (batch == 1)
                first = g;
            QVERIFY(near(g, first));
        }
    }

    void stepAgainstFiniteDifferences()
    {
        // with the codes held, y = q s and dy/ds = q; what the rounding hides is -x/s (methods.md B13)
        auto q = made(4, {{"learned_step", true}}, Role::Weight, {{"scale", {.2}}});
        const at::Tensor x = w8();
        const double h = 1e-3;
        const at::Tensor codes = at::clamp(at::round(x / .2), -8, 7), inside = (x / .2 > -8).logical_and(x / .2 < 7);
        auto relaxed = [&](double s) {   // the straight-through form of the rounding
            const at::Tensor v = x.to(at::kDouble) / s;
            const at::Tensor rounded = v + (codes - x.to(at::kDouble) / .2);
            return (at::where(inside, rounded, codes.to(at::kDouble)) * s).sum().item<double>();
        };
        q->forward(x).sum().backward();
        const double numeric = (relaxed(.2 + h) - relaxed(.2 - h)) / (2 * h) / std::sqrt(8.0 * 7.0);
        QVERIFY(near(q->learnables()[0].tensor.grad().item<double>(), numeric, 1e-3));
    }

    void invariants()
    {
        at::manual_seed(9);
        const at::Tensor x = at::randn({4000});
        for (const int bits : {2, 4, 8}) {
            for (const Role role : {Role::Weight, Role::Activation}) {
                auto q = made(bits, {}, role);
                QVERIFY(q->calibrate(x).has_value());
                const at::Tensor y = q->apply(x, false);
                QVERIFY(at::equal(q->apply(y, false), y));
                const double s = q->values().at("scale").at(0);
                const QuantGrid grid = q->grid();
                const double lo = grid.level(0, 0), hi = grid.level(0, grid.levelCount() - 1);
                const at::Tensor inside = (x >= lo).logical_and(x <= hi);
                QVERIFY(((x - y).abs().masked_select(inside) <= s / 2 * (1 + 1e-4)).all().item<bool>());
                QCOMPARE(q->apply(at::zeros({1}), false).item<float>(), 0.0f);
                // the domain's own rule gives the same numbers
                for (std::int64_t i = 0; i < 100; ++i)
                    QCOMPARE(float(grid.quantize(0, x[i].item<double>())), y[i].item<float>());
            }
        }
    }
};

QTEST_APPLESS_MAIN(TestUniform)
#include "tst_uniform.moc"
