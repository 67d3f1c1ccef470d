// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph_builder.h"
#include "sample_networks.h"
#include "train/correct.h"
#include "train/bias_correction.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// Mean over the data of what the network gives, per class.
at::Tensor meanScores(const std::shared_ptr<const Network> &network, const ResolvedConfig &config, const WeightsState &state,
                      const Dataset &data, bool folded = false)
{
    const auto simulation = take(Simulation::make(network, config, folded, state));
    return take(simulation->run(data.inputs(0, data.size()))).to(at::kDouble).mean(0);
}

std::shared_ptr<Dataset> rows(const at::Tensor &x)
{
    auto data = std::make_shared<Dataset>();
    data->images = x;
    data->spec = "rows";
    return data;
}

/// Two linear layers with a ReLU between them, the first with a bias as asked for.
std::shared_ptr<const Network> twoLayers(bool firstBias)
{
    GraphBuilder b;
    const auto x = b.input({-1, 2});
    const auto w1 = b.parameter("first.weight", at::tensor({1.F, 0.4F, -0.3F, 2.F}).reshape({2, 2}));
    const auto b1 = firstBias ? b.parameter("first.bias", at::tensor({0.5F, -0.25F})) : GraphBuilder::none();
    const auto h = b.node("aten::relu", {b.node("aten::linear", {x, w1, b1})});
    const auto w2 = b.parameter("second.weight", at::tensor({1.F, -0.2F, 0.3F, 1.F}).reshape({2, 2}));
    const auto b2 = b.parameter("second.bias", at::tensor({0.F, 1.F}));
    b.output(b.node("aten::linear", {h, w2, b2}));
    return Network::make(b.graph, "two");
}

ResolvedConfig pruned(const Network &network, const std::string &layer, std::vector<std::uint8_t> kept, const std::string &method = "magnitude")
{
    ModelConfig config;
    setPrune(config, layer, {method, 0.5, {}, Mask::fromKept(kept)});
    return take(resolve(config, network.summary(), methodCatalog()));
}

} // namespace

class TestBiasCorrection : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void byHand();
    void meansBecomeEqual_data();
    void meansBecomeEqual();
    void whatCannotBeCorrectedIsSaid();
    void silencedChannelsStaySilent();
    void batchNormStep();
    void stops();
};

// methods.md C1: b -= sum (W^ - W) E[x]. Masking .4 and -.3 out of the first layer at E[x] = (2, 1) takes .4 and -.6 away.
void TestBiasCorrection::byHand()
{
    const auto network = twoLayers(true);
    const auto data = rows(at::tensor({1.F, 0.F, 3.F, 2.F}).reshape({2, 2}));
    const auto found = take(correctBias(network, pruned(*network, "first", {1, 0, 0, 1}), false, {}, *data, 0, {}));
    QCOMPARE(found.corrected, (std::vector<std::string>{"first", "second"}));
    const at::Tensor first = found.parameters.at("first.bias");
    QVERIFY(at::allclose(first, at::tensor({0.9F, -0.85F}), 1e-6, 1e-6));
}

void TestBiasCorrection::meansBecomeEqual_data()
{
    QTest::addColumn<QString>("model");
    QTest::addColumn<bool>("folded");
    QTest::newRow("resnet20") << QStringLiteral("resnet20.pt2") << false;
    QTest::newRow("resnet20, folded") << QStringLiteral("resnet20.pt2") << true;
    QTest::newRow("mobilenetv2") << QStringLiteral("mobilenetv2_small.pt2") << false;
}

// The per-channel mean output difference on the calibration set becomes 0 (float32 sums: 1e-4 of scores around 10).
void TestBiasCorrection::meansBecomeEqual()
{
    QFETCH(QString, model);
    QFETCH(bool, folded);
    const auto network = openSample(model.toStdString());
    const auto data = openSampleData("sample:train,limit=96", model.toStdString());
    ModelConfig config = uniformConfig(4, 32);
    config.foldBatchNorm = folded;
    config.defaults.prune.method = "magnitude";
    config.defaults.prune.sparsity = 0.5;
    const ResolvedConfig resolved = take(resolve(config, network->summary(), methodCatalog()));
    const at::Tensor wanted = meanScores(network, {}, {}, *data, folded), before = meanScores(network, resolved, {}, *data, folded);
    const auto found = take(correctBias(network, resolved, folded, {}, *data, 0, {}));
    QVERIFY2(found.skipped.empty(), found.skipped.empty() ? "" : found.skipped.front().second.c_str());
    const at::Tensor after = meanScores(network, resolved, {"corrected", found.parameters}, *data, folded);
    const double error = (after - wanted).abs().max().item<double>(), was = (before - wanted).abs().max().item<double>();
    QVERIFY2(error < 1e-4 && was > 0.1, qPrintable(QStringLiteral("%1 before, %2 after").arg(was).arg(error)));
}

void TestBiasCorrection::whatCannotBeCorrectedIsSaid()
{
    const auto network = twoLayers(false);
    const auto data = rows(at::tensor({1.F, 0.F, 3.F, 2.F}).reshape({2, 2}));
    const auto found = take(correctBias(network, pruned(*network, "first", {1, 0, 0, 1}), false, {}, *data, 0, {}));
    QCOMPARE(found.corrected, std::vector<std::string>{"second"});
    QCOMPARE(found.skipped.size(), std::size_t(1));
    QCOMPARE(found.skipped.front().first, std::string("first"));
    QVERIFY(found.skipped.front().second.find("neither a bias nor a batch norm") != std::string::npos);
    const auto step = take(biasStep({network, pruned(*network, "first", {1, 0, 0, 1}), false, {}, data, 0}, {}));
    QVERIFY(step.notes.size() == 1 && step.notes.front().find("first") != std::string::npos);
    const auto none = correctBias(network, {}, false, {}, *rows(at::empty({0, 2})), 0, {});
    QVERIFY(!none && none.error().message.find("too few samples") != std::string::npos);
}

// A channel that a structured mask removed gives nothing before and after.
void TestBiasCorrection::silencedChannelsStaySilent()
{
    const auto network = openSample("resnet20.pt2");
    const auto data = openSampleData("sample:train,limit=64", "resnet20.pt2");
    const LayerInfo &layer = *network->summary().layer(network->summary().layers.front().name);
    std::vector<std::uint8_t> kept(std::size_t(layer.weightCount), 1);
    std::fill_n(kept.begin(), layer.weightCount / layer.channels(), std::uint8_t(0));
    const auto config = pruned(*network, layer.name, kept, "l1");
    const auto found = take(correctBias(network, config, false, {}, *data, 0, {}));
    const std::string beta = layer.batchNorm + ".bias";
    QCOMPARE(found.parameters.at(beta)[0].item<float>(), network->parameters(false).at(beta)[0].item<float>());
    const std::string later = network->summary().layers[1].batchNorm.empty() ? network->summary().layers[2].batchNorm : network->summary().layers[1].batchNorm;
    QVERIFY(!at::equal(found.parameters.at(later + ".bias"), network->parameters(false).at(later + ".bias")));
}

void TestBiasCorrection::batchNormStep()
{
    const auto network = openSample("resnet20.pt2");
    const auto data = openSampleData("sample:train,limit=128", "resnet20.pt2");
    ModelConfig config;
    config.defaults.prune.method = "magnitude";
    config.defaults.prune.sparsity = 0.8;
    const ResolvedConfig resolved = take(resolve(config, network->summary(), methodCatalog()));
    CorrectInput input{network, resolved, false, {}, data, 128};
    const auto once = take(bitwright::batchNormStep(input, {}));
    QVERIFY(once.changed.size() >= 38);   // mean and variance of 19 batch norms at least
    // methods.md A6: re-estimating twice gives the same statistics on the same batches.
    input.start = {"once", once.parameters};
    const auto twice = take(bitwright::batchNormStep(input, {}));
    for (const std::string &name : once.changed)
        QVERIFY(at::allclose(once.parameters.at(name), twice.parameters.at(name), 1e-5, 1e-6));
    input.foldBatchNorm = true;
    const auto folded = bitwright::batchNormStep(input, {});
    QVERIFY(!folded && folded.error().message.find("folded") != std::string::npos);
    const auto none = bitwright::batchNormStep({twoLayers(true), {}, false, {}, rows(at::ones({4, 2})), 0}, {});
    QVERIFY(!none && none.error().message.find("no batch norm") != std::string::npos);
}

void TestBiasCorrection::stops()
{
    std::stop_source source;
    JobContext context;
    context.stop = source.get_token();
    source.request_stop();
    const auto result = correctBias(twoLayers(true), {}, false, {}, *rows(at::ones({4, 2})), 0, context);
    QVERIFY(!result && isCancelled(result.error()));
}

QTEST_APPLESS_MAIN(TestBiasCorrection)
#include "tst_bias_correction.moc"
