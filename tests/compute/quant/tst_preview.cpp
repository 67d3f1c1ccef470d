// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/preview.h"
#include "quant/quantize_tensor.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <cmath>
#include <limits>
#include <numeric>

using namespace bitwright;

namespace {

PreviewRequest request(int bits, ParamValues options = {}, Role role = Role::Weight)
{
    PreviewRequest r;
    r.layer = "conv1";
    r.role = role;
    r.spec = {"uniform", bits, std::move(options), {}};
    r.bins = 64;
    return r;
}

bool near(double a, double b, double relative = 1e-4)
{
    if (std::abs(a - b) <= relative * std::abs(b))
        return true;
    qWarning("%.9g is not %.9g", a, b);
    return false;
}

at::Tensor w8()
{
    return at::tensor({-1.2f, -0.7f, -0.3f, -0.05f, 0.1f, 0.4f, 0.9f, 1.5f});
}

} // namespace

class TestPreview : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void smallWeight()
    {
        const auto source = previewSource(w8(), {"conv1", Role::Weight, 0, false});
        QVERIFY(source.has_value());
        const auto out = previewSite(*source, request(2));
        QVERIFY2(out.has_value(), out ? "" : out.error().message.c_str());
        QVERIFY(near(out->mse, 0.1503125));
        QVERIFY(near(out->sqnrDb, 6.40281));
        QCOMPARE(out->warning, std::string("2 bits symmetric has 3 levels"));
        QCOMPARE(out->original.total(), std::uint64_t(8));
        QCOMPARE(out->quantized.total(), std::uint64_t(8));
        QCOMPARE(out->original.lo, out->quantized.lo);
        QCOMPARE(out->original.hi, out->quantized.hi);
        QCOMPARE(out->clippedShare, 0.0);
        QCOMPARE(out->emptyLevelShare, 0.0);
        QCOMPARE(out->grid.levelCount(), std::size_t(3));
        QCOMPARE(out->spec.values.at("scale").at(0), 1.5);
        // 1 bit restricted is refused and so left out
        QCOMPARE(out->errorByBits.size(), std::size_t(7));
        QCOMPARE(out->errorByBits.front().bits, 2);
        const double expected[] = {0.1503125, 0.0190625, 0.00413903};
        for (std::size_t i = 0; i < 3; ++i)
            QVERIFY(near(out->errorByBits[i].mse, expected[i]));
        // 8 bits: 8 of 255 levels are taken
        QVERIFY(near(previewSite(*source, request(8))->emptyLevelShare, 1 - 8.0 / 255));
        QVERIFY(previewSite(*source, request(8))->warning.empty());
        const auto clipped = previewSite(*source, request(4, {{"range", std::string("scaled")}, {"ratio", 0.5}}));
        QCOMPARE(clipped->clippedShare, 3.0 / 8);   // -1.2, 0.9 and 1.5 beyond 0.75
        const auto refused = previewSite(*source, request(1));
        QVERIFY(!refused && refused.error().message.find("conv1") != std::string::npos);
    }

    void channels()
    {
        at::manual_seed(1);
        const at::Tensor w = at::randn({6, 4, 3, 3}) * at::arange(1, 7).reshape({6, 1, 1, 1});
        const auto source = previewSource(w, {"conv1", Role::Weight, 0, false});
        PreviewRequest r = request(4, {{"granularity", std::string("channel")}});
        const auto whole = previewSite(*source, r);
        QVERIFY(whole.has_value());
        QCOMPARE(whole->grid.groups.size(), std::size_t(6));
        r.channel = 2;
        const auto one = previewSite(*source, r);
        QVERIFY(one.has_value());
        QCOMPARE(one->original.total(), std::uint64_t(36));
        auto q = makeQuantizer(request(4).spec, {});
        QVERIFY((*q)->calibrate(w[2]).has_value());
        const Difference d = compare(w[2], (*q)->apply(w[2], false));
        QVERIFY(near(one->mse, d.error / 36));
        r.channel = 6;
        QVERIFY(!previewSite(*source, r));
        // a transposed convolution has its channels second
        const auto transposed = previewSource(w.transpose(0, 1).contiguous(), {"conv1", Role::Weight, 1, false});
        QVERIFY(near(previewSite(*transposed, request(4, {{"granularity", std::string("channel")}}))->mse, whole->mse, 1e-12));
    }

    void bigWeight()
    {
        at::manual_seed(2);
        const at::Tensor w = at::randn({1000, 2000}) * 0.1;
        const auto source = previewSource(w, {"fc", Role::Weight, 0, false});
        QVERIFY(source->sample.numel() <= (1 << 18) + 2000);
        for (const char *granularity : {"tensor", "channel"}) {
            for (const char *range : {"minmax", "mse"}) {
                const PreviewRequest r = request(4, {{"granularity", std::string(granularity)}, {"range", std::string(range)}});
                QElapsedTimer timer;
                timer.start();
                const auto out = previewSite(*source, r);
                qInfo("2 M weights, %s, %s: %lld ms", granularity, range, timer.elapsed());
                QVERIFY(out.has_value());
                auto q = makeQuantizer(r.spec, {});
                QVERIFY((*q)->calibrate(w).has_value());
                if (range == std::string("minmax"))
                    QVERIFY((*q)->values().at("scale") == out->spec.values.at("scale"));
                const Difference d = compare(w, (*q)->apply(w, false));
                // a clip searched on an eighth of a channel fits that eighth a little better
                QVERIFY(near(out->mse, d.error / double(d.count), 0.08));
                QVERIFY(near(double(out->original.total()), 2e6, 0.01));
                QCOMPARE(out->errorByBits.size(), std::size_t(7));
                for (std::size_t i = 1; i < 7; ++i)
                    QVERIFY(out->errorByBits[i].mse < out->errorByBits[i - 1].mse);
            }
        }
    }

    void activation()
    {
        at::manual_seed(3);
        const at::Tensor x = at::randn({500, 100}).clamp_min(0);
        SiteCollector collector;
        collector.add(x);
        const PreviewSource source = previewSource(collector.finish(), {"conv1", Role::Activation, 0, true});
        for (const int bits : {2, 4, 8}) {
            const auto out = previewSite(source, request(bits, {}, Role::Activation));
            QVERIFY(out.has_value());
            auto q = makeQuantizer(request(bits).spec, {"", Role::Activation, 0, true});
            QVERIFY((*q)->calibrate(x).has_value());
            const Difference d = compare(x, (*q)->apply(x, false));
            QVERIFY(near(out->mse, d.error / double(d.count), 0.03));
            QCOMPARE(out->original.total(), std::uint64_t(50000));
            QCOMPARE(out->quantized.total(), std::uint64_t(50000));
            QCOMPARE(out->clippedShare, 0.0);
            QCOMPARE(out->errorByBits.size(), std::size_t(8));
        }
        PreviewRequest channel = request(4, {}, Role::Activation);
        channel.channel = 0;
        QVERIFY(!previewSite(source, channel));
    }

    void oneTensor()
    {
        const at::Tensor gradient = at::tensor({.1f, .2f, .3f, .4f, .5f, .6f, .7f, .8f});
        auto spec = specFromText("uniform", 4, Role::Weight, {});
        QVERIFY(spec.has_value());
        const auto out = quantizeTensor(w8(), *spec, Role::Weight, gradient);
        QVERIFY(out.has_value());
        QVERIFY(near(out->mse, 0.00413903));
        QVERIFY(near(*out->sqnrDb, 22.00377, 1e-5));
        QCOMPARE(out->bitsPerValue, 4.0);
        QCOMPARE(out->sideInformationBits, 32.0);
        QVERIFY(at::equal(out->gradInput, gradient));
        QVERIFY(out->parameterGradients.empty());
        QVERIFY(near(out->parameters.at("scale").at(0), 0.214286));
        // two bits asymmetric: -0.9 … 1.8, so -1.2 lies outside
        auto asym = specFromText("uniform", 2, Role::Activation, {});
        const auto clipped = quantizeTensor(w8(), *asym, Role::Activation, gradient);
        at::Tensor expected = gradient.clone();
        expected[0] = 0;
        QVERIFY(at::equal(clipped->gradInput, expected));
        QCOMPARE(clipped->sideInformationBits, 34.0);
        // LSQ
        const at::Tensor x = at::tensor({-.9f, -.26f, .1f, .24f, .6f, 1.3f});
        auto lsq = specFromText("uniform", 3, Role::Weight, {{"learned_step", "true"}, {"scale", "0.25"}});
        QVERIFY2(lsq.has_value(), lsq ? "" : lsq.error().message.c_str());
        const auto learned = quantizeTensor(x, *lsq, Role::Weight, at::ones({6}));
        QVERIFY(near(learned->parameterGradients.at("scale").at(0), .443120));
        // per channel: a list per value
        auto channel = specFromText("uniform", 4, Role::Weight, {{"granularity", "channel"}});
        const auto groups = quantizeTensor(w8().reshape({2, 4}), *channel, Role::Weight);
        QCOMPARE(groups->parameters.at("scale").size(), std::size_t(2));
        QCOMPARE(groups->sideInformationBits, 64.0);
        QVERIFY(!groups->gradInput.defined());
    }

    void degenerateTensors()
    {
        auto spec = specFromText("uniform", 4, Role::Weight, {});
        const auto empty = quantizeTensor(at::empty({0}), *spec, Role::Weight);
        QVERIFY(empty.has_value() && empty->mse == 0 && !empty->sqnrDb);
        const auto zeros = quantizeTensor(at::zeros({5}), *spec, Role::Weight);
        QVERIFY(zeros.has_value() && zeros->mse == 0 && !zeros->sqnrDb);
        at::Tensor dirty = w8().clone();
        dirty[0] = std::numeric_limits<float>::quiet_NaN();
        dirty[1] = std::numeric_limits<float>::infinity();
        const auto out = quantizeTensor(dirty, *spec, Role::Weight, at::ones({8}));
        QVERIFY(out.has_value() && std::isfinite(out->mse) && out->sqnrDb);
        QCOMPARE(out->nanCount, std::uint64_t(1));
        QCOMPARE(out->infCount, std::uint64_t(1));
        QCOMPARE(out->warning, std::string("1 value is not a number and 1 value is infinite, left out of range and error"));
        QVERIFY(out->gradInput.isfinite().all().item<bool>());
    }

    void textErrors_data()
    {
        QTest::addColumn<QString>("method");
        QTest::addColumn<int>("bits");
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("names");
        QTest::newRow("method") << "nonsense" << 4 << "" << "" << "nonsense";
        QTest::newRow("option") << "uniform" << 4 << "nonsense" << "1" << "nonsense";
        QTest::newRow("bool") << "uniform" << 4 << "symmetric" << "maybe" << "symmetric";
        QTest::newRow("choice") << "uniform" << 4 << "range" << "entropy" << "range";
        QTest::newRow("number") << "uniform" << 4 << "scale" << "abc" << "scale";
        QTest::newRow("list") << "uniform" << 4 << "scale" << "1|" << "scale";
        QTest::newRow("nan") << "uniform" << 4 << "scale" << "nan" << "scale";
        QTest::newRow("negative") << "uniform" << 4 << "scale" << "-1" << "scale";
        QTest::newRow("bits") << "uniform" << 40 << "" << "" << "40 bits";
    }
    void textErrors()
    {
        QFETCH(QString, method);
        QFETCH(int, bits);
        QFETCH(QString, name);
        QFETCH(QString, text);
        QFETCH(QString, names);
        std::map<std::string, std::string> options;
        if (!name.isEmpty())
            options[name.toStdString()] = text.toStdString();
        const auto spec = specFromText(method.toStdString(), bits, Role::Weight, options);
        QVERIFY(!spec.has_value());
        QVERIFY2(spec.error().message.find(names.toStdString()) != std::string::npos, spec.error().message.c_str());
    }
};

QTEST_APPLESS_MAIN(TestPreview)
#include "tst_preview.moc"
