// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph_builder.h"
#include "sample_networks.h"
#include "simulate/evidence.h"
#include "simulate/masking.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// x -> linear "first" -> ReLU -> linear "second": two inputs, two classes.
std::shared_ptr<const Network> small()
{
    GraphBuilder b;
    const auto x = b.input({-1, 2});
    const auto h = b.node("aten::relu", {b.node("aten::linear", {x, b.parameter("first.weight", at::tensor({1.F, 0.F, 0.F, -1.F}).reshape({2, 2})), GraphBuilder::none()})});
    b.output(b.node("aten::linear", {h, b.parameter("second.weight", at::eye(2)), GraphBuilder::none()}));
    return Network::make(b.graph, "small");
}

std::shared_ptr<Dataset> rows(const at::Tensor &x, const at::Tensor &labels = {})
{
    auto data = std::make_shared<Dataset>();
    data->images = x;
    data->labels = labels;
    data->spec = "rows";
    return data;
}

} // namespace

class TestEvidence : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void byHand();
    void withoutLabelsItsOwnChoiceCounts();
    void samples_data();
    void samples();
    void whatDoesNotFitIsAnError();
};

// One sample (2, 3), class 0: h = (2, 0), scores (2, 0), p = (.880797, .119203). dL/dscores = p - (1, 0) = (-.119203, .119203).
// second: the outer product with h. first: only its first row is alive, times x.
void TestEvidence::byHand()
{
    const auto evidence = take(collectEvidence(*small(), false, {}, *rows(at::tensor({2.F, 3.F}).reshape({1, 2}), at::zeros({1}, at::kLong)), 0, {}));
    const double p = 0.11920292;
    QVERIFY(at::allclose(evidence.at("second").gradient, at::tensor({-2 * p, 0.0, 2 * p, 0.0}).to(at::kFloat).reshape({2, 2}), 1e-5, 1e-6));
    QVERIFY(at::allclose(evidence.at("first").gradient, at::tensor({-2 * p, -3 * p, 0.0, 0.0}).to(at::kFloat).reshape({2, 2}), 1e-5, 1e-6));
    QVERIFY(at::allclose(evidence.at("first").gradientMagnitude, evidence.at("first").gradient.abs()));
    QVERIFY(at::allclose(evidence.at("first").gradientSquare, evidence.at("first").gradient.square()));
    QVERIFY(at::allclose(evidence.at("first").zeroShare, at::tensor({0.F, 1.F})));
    QVERIFY(!evidence.at("second").zeroShare.defined());
    // |z dz| before the ReLU: z = (2, -3), dz = (-p, 0).
    QVERIFY(at::allclose(evidence.at("first").activationTaylor, at::tensor({2 * p, 0.0}).to(at::kFloat), 1e-5, 1e-6));
}

void TestEvidence::withoutLabelsItsOwnChoiceCounts()
{
    const at::Tensor x = at::tensor({2.F, 3.F, 0.F, -4.F}).reshape({2, 2});   // it prefers class 0, then class 1
    const auto own = take(collectEvidence(*small(), false, {}, *rows(x), 0, {}));
    const auto told = take(collectEvidence(*small(), false, {}, *rows(x, at::tensor({0, 1}, at::kLong)), 0, {}));
    QVERIFY(at::equal(own.at("first").gradient, told.at("first").gradient));
}

void TestEvidence::samples_data()
{
    QTest::addColumn<QString>("model");
    QTest::addColumn<bool>("folded");
    QTest::newRow("resnet20") << QStringLiteral("resnet20.pt2") << false;
    QTest::newRow("resnet20, folded") << QStringLiteral("resnet20.pt") << true;
    QTest::newRow("vgg") << QStringLiteral("vgg_small.pt2") << false;
    QTest::newRow("mobilenetv2") << QStringLiteral("mobilenetv2_small.pt2") << false;
}

// Every layer gets what fits it, every criterion makes masks of it, and a second run gives the same.
void TestEvidence::samples()
{
    QFETCH(QString, model);
    QFETCH(bool, folded);
    const auto network = openSample(model.toStdString());
    const auto data = openSampleData("sample:train,limit=128", model.toStdString());
    const auto evidence = take(collectEvidence(*network, folded, {}, *data, 0, {})), again = take(collectEvidence(*network, folded, {}, *data, 0, {}));
    for (const LayerInfo &layer : network->summary().layers) {
        if (layer.status != LayerStatus::Quantizable)
            continue;
        const SiteEvidence &seen = evidence.at(layer.name);
        QCOMPARE(seen.gradient.sizes().vec(), layer.weightShape);
        QVERIFY(at::equal(seen.gradient, again.at(layer.name).gradient));
        QVERIFY(seen.gradient.abs().sum().item<double>() > 0);
        // The mean over two batches is at most the mean magnitude, whose square is at most the mean square.
        QVERIFY((seen.gradientMagnitude - seen.gradient.abs()).min().item<double>() >= -1e-9);
        QVERIFY((seen.gradientSquare - seen.gradientMagnitude.square()).min().item<double>() >= -1e-9);
        QCOMPARE(seen.activationTaylor.numel(), layer.channels());
        if (seen.zeroShare.defined()) {
            QCOMPARE(seen.zeroShare.numel(), layer.channels());
            QVERIFY(seen.zeroShare.min().item<double>() >= 0 && seen.zeroShare.max().item<double>() <= 1);
        }
    }
    for (const char *method : {"taylor_weight", "taylor", "apoz"}) {
        auto tasks = take(pruneTasks(*network, folded, {}, method, {}, 0.5));
        addEvidence(tasks, evidence);
        if (std::string(method) == "apoz")   // not every layer of every network reaches a ReLU
            std::erase_if(tasks, [](const PruneTask &task) { return !task.site.evidence.zeroShare.defined(); });
        const auto masks = pruneMasks(method, {}, tasks, PruneScope::Global, network->summary().groups);
        QVERIFY2(masks.has_value(), masks ? "" : masks.error().message.c_str());
        std::int64_t kept = 0, total = 0;
        for (const Mask &mask : *masks) {
            kept += mask.keptCount();
            total += mask.size();
        }
        QVERIFY2(kept < total * 9 / 10, method);
    }
}

void TestEvidence::whatDoesNotFitIsAnError()
{
    const auto why = [](const Dataset &data) {
        const auto result = collectEvidence(*small(), false, {}, data, 0, {});
        return result ? QString() : QString::fromStdString(result.error().message);
    };
    QVERIFY(why(*rows(at::empty({0, 2}))).contains(QStringLiteral("use more data")));
    QVERIFY(why(*rows(at::ones({1, 2}), at::full({1}, 7, at::kLong))).contains(QStringLiteral("2 classes")));
    std::stop_source source;
    JobContext context;
    context.stop = source.get_token();
    source.request_stop();
    const auto stopped = collectEvidence(*small(), false, {}, *rows(at::ones({1, 2})), 0, context);
    QVERIFY(!stopped && isCancelled(stopped.error()));
}

QTEST_APPLESS_MAIN(TestEvidence)
#include "tst_evidence.moc"
