// SPDX-License-Identifier: GPL-3.0-or-later
#include "sample_networks.h"
#include "simulate/evaluator.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;
using namespace bitwright::testing;

class TestEvaluator : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void floatAccuracyOfTheSubset();
    void estimatesRefine();
    void incrementalEqualsNaive();
    void prefixIsNotComputedAgain();
    void cacheIsBounded();
    void foldingKeepsTheAnswer();
    void referenceMetrics();
    void sparedRelusChangeNothing();
    void missingValuesNameCalibrate();
    void stopIsSeen();

private:
    Estimate evaluate(Evaluator &evaluator, const ResolvedConfig &config, bool incremental, std::size_t keepAt = 0);
    std::shared_ptr<const Network> m_network;
    std::shared_ptr<const Dataset> m_data;
};

void TestEvaluator::initTestCase()
{
    m_network = openSample("resnet20.pt2");
    m_data = openSampleData("sample:test,limit=192", "resnet20.pt2");
    QCOMPARE(m_data->size(), 192);
}

Estimate TestEvaluator::evaluate(Evaluator &evaluator, const ResolvedConfig &config, bool incremental, std::size_t keepAt)
{
    auto simulation = take(Simulation::make(m_network, config, false));
    EvaluationOptions options;
    options.incremental = incremental;
    options.keepAt = keepAt;
    return take(evaluator.evaluate(*simulation, options, {}));
}

void TestEvaluator::floatAccuracyOfTheSubset()
{
    Evaluator evaluator(m_network, m_data);
    const Estimate estimate = evaluate(evaluator, {}, true);
    QVERIFY(estimate.value > 0.88);
    QVERIFY(estimate.low < estimate.value && estimate.value < estimate.high);
    QCOMPARE(estimate.samples, 192);
    QVERIFY(estimate.final);
    QVERIFY(estimate.loss > 0 && estimate.loss < 0.5);
}

void TestEvaluator::estimatesRefine()
{
    Evaluator evaluator(m_network, m_data);
    auto simulation = take(Simulation::make(m_network, {}, false));
    std::vector<Estimate> seen;
    take(evaluator.evaluate(*simulation, {}, {}, [&](const Estimate &estimate) { seen.push_back(estimate); }));
    QCOMPARE(seen.size(), 3U);
    QVERIFY(seen[0].high - seen[0].low > seen[2].high - seen[2].low);
    QVERIFY(!seen[0].final && seen[2].final);
}

void TestEvaluator::incrementalEqualsNaive()
{
    Evaluator evaluator(m_network, m_data), naive(m_network, m_data);
    ResolvedConfig config = resolveAndCalibrate(m_network, uniformConfig(4, 4), *m_data);
    const Executor &executor = m_network->executor();
    // An edit of one layer after the other, as a person makes them.
    for (const char *layer : {"layer3.2.conv2", "layer2.1.conv1", "layer3.2.conv2", "layer1.0.conv1", "fc"}) {
        config[layer].weight.bits = config[layer].weight.bits == 4 ? 3 : 4;
        const std::size_t keep = executor.firstNodeOf(*m_network->binding(layer));
        const Estimate fast = evaluate(evaluator, config, true, keep);
        const Estimate slow = evaluate(naive, config, false);
        QCOMPARE(fast.value, slow.value);
        QCOMPARE(fast.loss, slow.loss);
    }
}

void TestEvaluator::prefixIsNotComputedAgain()
{
    Evaluator evaluator(m_network, m_data);
    ResolvedConfig config = resolveAndCalibrate(m_network, uniformConfig(4, 4), *m_data);
    const std::size_t keep = m_network->executor().firstNodeOf(*m_network->binding("layer3.2.conv2"));
    evaluate(evaluator, config, true, keep);
    const std::int64_t first = evaluator.nodesRun();
    config["layer3.2.conv2"].weight.bits = 2;
    evaluate(evaluator, config, true, keep);
    const std::int64_t second = evaluator.nodesRun() - first;
    QVERIFY2(second * 4 < first, qPrintable(QString::number(second)));
    // A change before the kept point must not use it.
    config["conv1"].weight.bits = 2;
    const std::int64_t before = evaluator.nodesRun();
    evaluate(evaluator, config, true, keep);
    QVERIFY(evaluator.nodesRun() - before >= first);
}

void TestEvaluator::cacheIsBounded()
{
    ActivationCache cache(1000);
    auto live = [](std::int64_t floats) {
        LiveSet set;
        set.values.emplace_back(1, c10::IValue(at::zeros({floats})));
        return set;
    };
    cache.insert("a", live(100));
    cache.insert("b", live(100));
    QVERIFY(cache.find("a"));
    cache.insert("c", live(100));   // 1200 bytes: the one used longest ago goes
    QVERIFY(!cache.find("b"));
    QVERIFY(cache.find("a") && cache.find("c"));
    cache.insert("big", live(1000));
    QVERIFY(!cache.find("big"));
    QVERIFY(cache.bytes() <= cache.limit());
}

void TestEvaluator::foldingKeepsTheAnswer()
{
    Evaluator evaluator(m_network, m_data);
    auto plain = take(Simulation::make(m_network, {}, false));
    auto folded = take(Simulation::make(m_network, {}, true));
    const at::Tensor x = m_data->inputs(0, 16);
    const double worst = (take(plain->run(x)) - take(folded->run(x))).abs().max().item<double>();
    QVERIFY2(worst < 1e-4, qPrintable(QString::number(worst)));
}

void TestEvaluator::referenceMetrics()
{
    Evaluator evaluator(m_network, m_data);
    const ResolvedConfig config = resolveAndCalibrate(m_network, uniformConfig(8, 8), *m_data);
    auto simulation = take(Simulation::make(m_network, config, false));
    EvaluationOptions options;
    options.metric = Metric::Agreement;
    QVERIFY(take(evaluator.evaluate(*simulation, options, {})).value > 0.97);
    options.metric = Metric::Sqnr;
    const Estimate eight = take(evaluator.evaluate(*simulation, options, {}));
    QVERIFY(eight.value > 15);
    const ResolvedConfig coarse = resolveAndCalibrate(m_network, uniformConfig(4, 4), *m_data);
    const Estimate four = take(evaluator.evaluate(*take(Simulation::make(m_network, coarse, false)), options, {}));
    QVERIFY(four.value < eight.value - 6);
}

// ReLUs that a quantizer does as well are left out: not a bit may change.
void TestEvaluator::sparedRelusChangeNothing()
{
    const ResolvedConfig config = resolveAndCalibrate(m_network, uniformConfig(4, 4), *m_data);
    const auto simulation = take(Simulation::make(m_network, config, false));
    const at::NoGradGuard noGrad;
    const std::vector<c10::IValue> inputs{m_data->inputs(0, 32)};
    RunOptions options = simulation->runOptions();
    QVERIFY(std::ranges::count(*options.rectifying, true) > 15);
    const at::Tensor spared = take(simulation->executor().run(inputs, simulation->parameters(), options))[0].toTensor();
    options.rectifying = nullptr;
    const at::Tensor plain = take(simulation->executor().run(inputs, simulation->parameters(), options))[0].toTensor();
    QVERIFY(at::equal(spared, plain));
}

void TestEvaluator::missingValuesNameCalibrate()
{
    const ResolvedConfig config = take(resolve(uniformConfig(4, 4), m_network->summary(), methodCatalog()));
    const auto simulation = Simulation::make(m_network, config, false);
    QVERIFY(!simulation);
    QVERIFY(simulation.error().message.find("calibrate") != std::string::npos);
    QVERIFY(simulation.error().message.find("conv1") != std::string::npos);
}

void TestEvaluator::stopIsSeen()
{
    Evaluator evaluator(m_network, m_data);
    auto simulation = take(Simulation::make(m_network, {}, false));
    std::stop_source source;
    source.request_stop();
    JobContext context;
    context.stop = source.get_token();
    const auto result = evaluator.evaluate(*simulation, {}, context);
    QVERIFY(!result && isCancelled(result.error()));
}

QTEST_APPLESS_MAIN(TestEvaluator)
#include "tst_evaluator.moc"
