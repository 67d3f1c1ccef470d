// SPDX-License-Identifier: GPL-3.0-or-later
// Networks with several inputs, with samples in another dimension than the first, and with none, through calibration,
// evaluation and sweeps.
#include "engine/trials.h"
#include "graph_builder.h"
#include "sample_networks.h"
#include "search/sweep.h"
#include "simulate/evaluator.h"
#include "simulate/sample_batches.h"
#include "train/batch_norm.h"
#include "train/bias_correction.h"
#include "train/trainer.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;
using namespace bitwright::testing;

class TestSeveralInputs : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { quietProcess(); }
    void batchesEqualSingleSamples();
    void calibrationSeesEveryInput();
    void agreementAndDecibels();
    void sweepEqualsEvaluation();
    void oneSampleAtATime();
    void timeFirst();
    void fixedBatchIsFilledUp();
    void defaultMetricFitsTheOutput();
    void answersWithoutSamples();
    void whatNeedsOneInputSaysSo();
    void dataOfAnotherNetwork();
    void distillationTrains();
};

namespace {

/// fc(relu(x W1 + h summed over its layers)) * gain, with h counting samples in dimension 1 and one gain for all.
std::shared_ptr<const Network> twoInputs(int classes = 5, std::int64_t batch = -1)
{
    at::manual_seed(3);
    GraphBuilder b;
    const auto x = b.input({batch, 6}, "x"), h = b.input({2, batch, 8}, "h"), gain = b.input({}, "gain");
    if (batch > 0)
        b.graph.fixedBatch = batch;
    const auto first = b.node("aten::linear", {x, b.parameter("first.weight", at::randn({8, 6})), b.parameter("first.bias", at::randn({8}))}, "first");
    const auto state = b.node("aten::sum.dim_IntList", {h, b.ints({0}), b.of(false), b.none()}, "sum");
    const auto hidden = b.node("aten::relu", {b.node("aten::add.Tensor", {first, state, b.of(std::int64_t(1))}, "join")}, "relu");
    const auto second = b.node("aten::linear", {hidden, b.parameter("second.weight", at::randn({classes, 8})), b.none()}, "second");
    b.output(b.node("aten::mul.Tensor", {second, gain}, "scale"));
    return Network::make(b.graph, "two.pt2");
}

std::shared_ptr<const Dataset> randomFor(const Network &network, const std::string &options)
{
    return take(openData("random:" + options, dataContext(network)));
}

at::Tensor scoresOf(const Network &network, const Dataset &data, std::int64_t batch)
{
    std::vector<at::Tensor> parts;
    for (std::int64_t first = 0; first < data.size(); first += batch) {
        const std::int64_t count = std::min(batch, data.size() - first);
        const auto outputs = take(network.executor().run(batchArguments(network, data, first, count), network.executor().bind()));
        parts.push_back(take(outputBySample(network, data, outputs, count)));
    }
    return at::cat(parts);
}

Estimate evaluated(const std::shared_ptr<const Network> &network, const std::shared_ptr<const Dataset> &data, const ResolvedConfig &config, Metric metric)
{
    Evaluator evaluator(network, data);
    EvaluationOptions options;
    options.metric = metric;
    const auto simulation = take(Simulation::make(network, config, false));
    return take(evaluator.evaluate(*simulation, options, {}));
}

} // namespace

void TestSeveralInputs::batchesEqualSingleSamples()
{
    const auto network = twoInputs();
    const auto data = randomFor(*network, "count=70,seed=5,gain=2");
    QCOMPARE(data->columns.size(), std::size_t(3));
    const at::Tensor together = scoresOf(*network, *data, 64);
    QCOMPARE(together.sizes().vec(), (Shape{70, 5}));
    QVERIFY(at::allclose(together, scoresOf(*network, *data, 1), 1e-5, 1e-5));
}

void TestSeveralInputs::calibrationSeesEveryInput()
{
    const auto network = twoInputs();
    const auto data = randomFor(*network, "count=70,gain=1");
    const auto statistics = take(collectActivations(*network, false, {}, *data, 0, {}));
    QCOMPARE(statistics.size(), std::size_t(2));
    QCOMPARE(statistics.at("first").moments.count, 70 * 6);
    QCOMPARE(statistics.at("second").moments.count, 70 * 8);
    QVERIFY(statistics.at("second").moments.min >= 0);
    const at::Tensor x = data->arguments(0, 70)[0].toTensor();
    QVERIFY(std::abs(statistics.at("first").moments.max - x.max().item<double>()) < 1e-6);
}

void TestSeveralInputs::agreementAndDecibels()
{
    const auto network = twoInputs();
    const auto data = randomFor(*network, "count=128,gain=1");
    const Estimate same = evaluated(network, data, {}, Metric::Agreement);
    QCOMPARE(same.value, 1.0);
    QCOMPARE(same.samples, 128);
    const auto coarse = resolveAndCalibrate(network, uniformConfig(2, 8), *data), fine = resolveAndCalibrate(network, uniformConfig(8, 8), *data);
    const double low = evaluated(network, data, coarse, Metric::Sqnr).value, high = evaluated(network, data, fine, Metric::Sqnr).value;
    QVERIFY2(high > 30 && low < high - 15, qPrintable(QStringLiteral("%1 %2").arg(low).arg(high)));
    // By hand: the share of rows whose largest score stays where it was.
    const auto simulation = take(Simulation::make(network, coarse, false));
    const at::Tensor quantized = take(simulation->runAll(data->arguments(0, 128)))[0].toTensor();
    const double agree = quantized.argmax(1).eq(scoresOf(*network, *data, 128).argmax(1)).to(at::kDouble).mean().item<double>();
    QVERIFY(std::abs(evaluated(network, data, coarse, Metric::Agreement).value - agree) < 1e-9);
}

void TestSeveralInputs::sweepEqualsEvaluation()
{
    const auto network = twoInputs();
    const auto data = randomFor(*network, "count=100,gain=1");
    Evaluator evaluator(network, data);
    SweepOptions options;
    options.bits = {3};
    options.activation = false;
    options.metric = Metric::Agreement;
    const auto points = take(sweep(evaluator, network, options, {}, methodCatalog(), {}, {}));
    QCOMPARE(points.size(), std::size_t(2));
    for (const SweepResult &point : points) {
        const ResolvedConfig config = take(resolve(point.config, network->summary(), methodCatalog()));
        const Estimate estimate = evaluated(network, data, config, Metric::Agreement);
        QCOMPARE(point.value, estimate.value);
        QVERIFY(std::abs(point.sqnrDb - estimate.sqnrDb) < 1e-6);
    }
}

void TestSeveralInputs::oneSampleAtATime()
{
    at::manual_seed(4);
    GraphBuilder b;
    const auto x = b.input({12}, "x");
    b.graph.fixedBatch = 12;   // what a reader takes the first size for
    b.output(b.node("aten::linear", {x, b.parameter("fc.weight", at::randn({4, 12})), b.none()}, "fc"));
    const auto network = Network::make(b.graph, "vector.pt2");
    const auto data = randomFor(*network, "count=20");
    QVERIFY(data->isOneByOne());
    QCOMPARE(requiredBatch(*network, *data), 1);
    const at::Tensor scores = scoresOf(*network, *data, 1);
    QCOMPARE(scores.sizes().vec(), (Shape{20, 4}));
    QVERIFY(at::allclose(scores, at::linear(data->images, b.graph.parameters[0].tensor), 1e-5, 1e-6));
    QCOMPARE(evaluated(network, data, {}, Metric::Agreement).value, 1.0);
    const auto resolved = resolveAndCalibrate(network, uniformConfig(8, 8), *data);
    QVERIFY(evaluated(network, data, resolved, Metric::Sqnr).value > 30);
}

void TestSeveralInputs::timeFirst()
{
    at::manual_seed(5);
    GraphBuilder b;
    const auto x = b.input({7, -1, 6}, "x");
    b.graph.fixedBatch = 7;
    b.output(b.node("aten::linear", {x, b.parameter("fc.weight", at::randn({3, 6})), b.none()}, "fc"));
    const auto network = Network::make(b.graph, "sequence.pt2");
    const auto data = randomFor(*network, "count=30");
    QCOMPARE(data->size(), 30);
    QCOMPARE(requiredBatch(*network, *data), 0);
    const at::Tensor scores = scoresOf(*network, *data, 16);
    QCOMPARE(scores.sizes().vec(), (Shape{30, 7, 3}));
    QVERIFY(at::allclose(scores[4], at::linear(data->images[4], b.graph.parameters[0].tensor), 1e-5, 1e-6));
}

void TestSeveralInputs::fixedBatchIsFilledUp()
{
    const auto network = twoInputs(5, 4), free = twoInputs(5);
    const auto data = randomFor(*network, "count=10,gain=1"), same = randomFor(*free, "count=10,gain=1");
    QCOMPARE(requiredBatch(*network, *data), 4);
    QVERIFY(at::allclose(scoresOf(*network, *data, 4), scoresOf(*free, *same, 10), 1e-5, 1e-6));
    const Estimate estimate = evaluated(network, data, {}, Metric::Agreement);
    QCOMPARE(estimate.samples, 10);
    QCOMPARE(estimate.value, 1.0);
    // The state decides where the batch is, not the first size of the first input.
    const auto statistics = take(collectActivations(*network, false, {}, *data, 0, {}));
    QVERIFY(statistics.at("first").moments.count >= 10 * 6);
}

void TestSeveralInputs::defaultMetricFitsTheOutput()
{
    const auto scores = twoInputs(5), one = twoInputs(1);
    QCOMPARE(take(defaultMetric(*scores, *randomFor(*scores, "count=4,gain=1"), {})), Metric::Agreement);
    QCOMPARE(take(defaultMetric(*one, *randomFor(*one, "count=4,gain=1"), {})), Metric::Sqnr);
    auto labelled = std::make_shared<Dataset>(*randomFor(*scores, "count=4,gain=1"));
    labelled->labels = at::zeros({4}, at::kLong);
    QCOMPARE(take(defaultMetric(*scores, *labelled, {})), Metric::Top1);
}

void TestSeveralInputs::answersWithoutSamples()
{
    GraphBuilder b;
    const auto x = b.input({-1, 6}, "x");
    b.output(b.node("aten::sum", {b.node("aten::linear", {x, b.parameter("fc.weight", at::randn({3, 6})), b.none()}, "fc"), b.none()}, "sum"));
    const auto network = Network::make(b.graph, "sum.pt2");
    const auto data = randomFor(*network, "count=8");
    Evaluator evaluator(network, data);
    EvaluationOptions options;
    options.metric = Metric::Sqnr;
    const auto simulation = take(Simulation::make(network, {}, false));
    const auto estimate = evaluator.evaluate(*simulation, options, {});
    QVERIFY(!estimate.has_value());
    QVERIFY2(QString::fromStdString(estimate.error().message).contains(QStringLiteral("does not count samples")), estimate.error().message.c_str());
}

void TestSeveralInputs::whatNeedsOneInputSaysSo()
{
    const auto network = twoInputs();
    const auto data = randomFor(*network, "count=64,gain=1");
    const auto repaired = correctBias(network, resolveAndCalibrate(network, uniformConfig(4, 8), *data), false, {}, *data, 64, {});
    QVERIFY(!repaired.has_value());
    QVERIFY2(repaired.error().message.find("it has 3 inputs; bias correction needs a network with one") != std::string::npos, repaired.error().message.c_str());
    QVERIFY(needsSingleInput(*network, "fine-tuning").error().message.find("two.pt2") != std::string::npos);
    // Re-estimation takes any number.
    QVERIFY(reestimateBatchNorm(*network, *take(Simulation::make(network, {}, false)), *data, 16, 2, {}).has_value());
}

void TestSeveralInputs::dataOfAnotherNetwork()
{
    const auto network = twoInputs();
    auto data = std::make_shared<Dataset>();
    data->images = at::zeros({4, 6});
    Evaluator evaluator(network, data);
    const auto simulation = take(Simulation::make(network, {}, false));
    const auto estimate = evaluator.evaluate(*simulation, {}, {});
    QVERIFY(!estimate && estimate.error().message.find("has 3 inputs, the data brings 1") != std::string::npos);
    const auto statistics = collectActivations(*network, false, {}, *data, 0, {});
    QVERIFY(!statistics && statistics.error().message.find("has 3 inputs, the data brings 1") != std::string::npos);
}

void TestSeveralInputs::distillationTrains()
{
    const auto network = twoInputs();
    const auto data = randomFor(*network, "count=256,gain=1");
    Evaluator evaluator(network, data);
    FineTuneInput input;
    input.network = network;
    // Moved away from the float network, it finds its way back.
    input.start.name = "moved";
    for (const auto &[name, tensor] : network->parameters(false))
        input.start.tensors[name] = tensor + 0.3 * at::randn_like(tensor);
    input.options.epochs = 10;
    input.options.learningRate = 0.01;
    input.options.recipes = {{"distill", {}}};
    input.training = data;
    input.evaluation = &evaluator;
    input.metric = Metric::Sqnr;
    const auto result = take(fineTune(input, {}, {}));
    QCOMPARE(result.history.size(), std::size_t(10));
    const EpochReport &first = result.history.front(), &last = result.history.back();
    QVERIFY2(last.loss < 0.75 * first.loss, qPrintable(QStringLiteral("%1 %2").arg(first.loss).arg(last.loss)));
    QVERIFY2(last.estimate.value > first.estimate.value, qPrintable(QStringLiteral("%1 %2").arg(first.estimate.value).arg(last.estimate.value)));
    // Without labels and without a teacher there is nothing to learn from.
    input.options.recipes.clear();
    const auto none = fineTune(input, {}, {});
    QVERIFY(!none && none.error().message.find("no labels") != std::string::npos);
}

QTEST_GUILESS_MAIN(TestSeveralInputs)
#include "tst_several_inputs.moc"
