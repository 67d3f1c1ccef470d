// SPDX-License-Identifier: GPL-3.0-or-later
#include "sample_networks.h"
#include "search/sweep.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;
using namespace bitwright::testing;

class TestSweep : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void equalsSingleEvaluations();
    void chunksGiveTheSame();
    void sqnrFallsWithBits();
    void cancelKeepsWhatIsFinished();

private:
    std::shared_ptr<const Network> m_network;
    std::shared_ptr<const Dataset> m_data;
    ActivationStatistics m_statistics;
};

void TestSweep::initTestCase()
{
    m_network = openSample("vgg_small.pt2");
    m_data = openSampleData("sample:test,limit=160", "vgg_small.pt2");
    m_statistics = take(collectActivations(*m_network, false, {}, *m_data, 64, {}));
}

void TestSweep::equalsSingleEvaluations()
{
    Evaluator evaluator(m_network, m_data);
    SweepOptions options;
    options.bits = {4, 2};
    const auto points = take(sweep(evaluator, m_network, options, m_statistics, methodCatalog(), {}));
    std::size_t quantizable = 0;
    for (const LayerInfo &layer : m_network->summary().layers)
        quantizable += layer.status == LayerStatus::Quantizable;
    QCOMPARE(points.size(), quantizable * 2);
    auto floatSimulation = take(Simulation::make(m_network, {}, false));
    const double floatValue = take(evaluator.evaluate(*floatSimulation, {}, {})).value;
    for (const SweepResult &point : points) {
        ModelConfig config;
        config.layers[point.layer].weight.method = "uniform";
        config.layers[point.layer].weight.bits = point.bits;
        config.layers[point.layer].activation = config.layers[point.layer].weight;
        ResolvedConfig resolved = take(resolve(config, m_network->summary(), methodCatalog()));
        take(fillActivations(resolved, *m_network, m_statistics));
        auto simulation = take(Simulation::make(m_network, resolved, false));
        const double value = take(evaluator.evaluate(*simulation, {}, {})).value;
        QCOMPARE(point.value, value);
        QVERIFY(std::abs(point.delta - (value - floatValue)) < 1e-12);
        QVERIFY(point.sizeBytes < std::int64_t(4 * m_network->summary().parameters));
    }
}

void TestSweep::chunksGiveTheSame()
{
    Evaluator evaluator(m_network, m_data);
    SweepOptions options;
    options.bits = {2};
    options.sqnr = true;
    const auto whole = take(sweep(evaluator, m_network, options, m_statistics, methodCatalog(), {}));
    options.memoryBytes = 1;   // one batch at a time
    const auto chunked = take(sweep(evaluator, m_network, options, m_statistics, methodCatalog(), {}));
    QCOMPARE(whole.size(), chunked.size());
    for (std::size_t i = 0; i < whole.size(); ++i) {
        QCOMPARE(whole[i].layer, chunked[i].layer);
        QVERIFY(std::abs(whole[i].value - chunked[i].value) < 1e-9);
        QVERIFY(std::isnan(whole[i].delta));
    }
}

void TestSweep::sqnrFallsWithBits()
{
    Evaluator evaluator(m_network, m_data);
    SweepOptions options;
    options.bits = {8, 4, 2};
    options.limit = 64;
    const auto points = take(sweep(evaluator, m_network, options, m_statistics, methodCatalog(), {}));
    for (std::size_t i = 0; i + 2 < points.size(); i += 3) {
        QVERIFY(points[i].sqnrDb > points[i + 1].sqnrDb);
        QVERIFY(points[i + 1].sqnrDb > points[i + 2].sqnrDb);
    }
}

void TestSweep::cancelKeepsWhatIsFinished()
{
    Evaluator evaluator(m_network, m_data);
    std::stop_source source;
    JobContext context;
    context.stop = source.get_token();
    int reported = 0;
    SweepOptions options;
    const auto result = sweep(evaluator, m_network, options, m_statistics, methodCatalog(), context, [&](const SweepResult &) {
        if (++reported == 4)
            source.request_stop();
    });
    QVERIFY(!result && isCancelled(result.error()));
    QVERIFY(reported >= 4 && reported <= 6);
}

QTEST_APPLESS_MAIN(TestSweep)
#include "tst_sweep.moc"
