// SPDX-License-Identifier: GPL-3.0-or-later
#include "sample_networks.h"
#include "search/sensitivity.h"
#include "simulate/masking.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;
using namespace bitwright::testing;

class TestSensitivity : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void equalsSingleEvaluations_data();
    void equalsSingleEvaluations();
    void nothingPrunedCostsNothing();
    void structuredLeavesOutWhatCannotBeCut();
    void cancelKeepsWhatIsFinished();
    void impossibleOnesAreErrors();

private:
    std::shared_ptr<const Network> m_network;
    std::shared_ptr<const Dataset> m_data;
};

void TestSensitivity::initTestCase()
{
    m_network = openSample("vgg_small.pt2");
    m_data = openSampleData("sample:test,limit=96", "vgg_small.pt2");
}

void TestSensitivity::equalsSingleEvaluations_data()
{
    QTest::addColumn<QString>("method");
    QTest::newRow("magnitude") << QStringLiteral("magnitude");
    QTest::newRow("taylor_weight") << QStringLiteral("taylor_weight");
}

// Each point is what pruning that layer alone and evaluating the whole network gives.
void TestSensitivity::equalsSingleEvaluations()
{
    QFETCH(QString, method);
    Evaluator evaluator(m_network, m_data);
    SensitivityOptions options;
    options.method = method.toStdString();
    options.sparsities = {0.5, 0.95};
    Evidence evidence;
    if (findPruner(options.method)->traits.needsData)
        evidence = take(collectEvidence(*m_network, false, {}, *m_data, 64, {}));
    const auto points = take(sensitivity(evaluator, m_network, options, evidence, {}));
    QCOMPARE(points.size(), std::size_t(m_network->summary().quantizableLayers() * 2));
    auto floatSimulation = take(Simulation::make(m_network, {}, false));
    const double floatValue = take(evaluator.evaluate(*floatSimulation, {}, {})).value;
    for (const SensitivityResult &point : points) {
        const ResolvedConfig resolved = take(resolve(point.config, m_network->summary(), methodCatalog()));
        QCOMPARE(std::ranges::count_if(resolved, [](const auto &layer) { return !layer.second.prune.isNone(); }), std::ptrdiff_t(1));
        auto simulation = take(Simulation::make(m_network, resolved, false));
        const double value = take(evaluator.evaluate(*simulation, {}, {})).value;
        QCOMPARE(point.value, value);
        QVERIFY(std::abs(point.delta - (value - floatValue)) < 1e-12);
        QVERIFY(std::abs(point.keptShare - (1 - point.sparsity)) < 0.01);
        QVERIFY(point.sizeBytes < std::int64_t(4 * m_network->summary().parameters));
    }
}

void TestSensitivity::nothingPrunedCostsNothing()
{
    Evaluator evaluator(m_network, m_data);
    SensitivityOptions options;
    options.sparsities = {0};
    options.limit = 64;
    for (const SensitivityResult &point : take(sensitivity(evaluator, m_network, options, {}, {}))) {
        QCOMPARE(point.delta, 0.0);
        QCOMPARE(point.keptShare, 1.0);
        QCOMPARE(point.samples, std::int64_t(64));
    }
}

void TestSensitivity::structuredLeavesOutWhatCannotBeCut()
{
    Evaluator evaluator(m_network, m_data);
    SensitivityOptions options;
    options.method = "l1";
    options.sparsities = {0.5};
    options.limit = 64;
    const auto points = take(sensitivity(evaluator, m_network, options, {}, {}));
    std::size_t removable = 0;
    for (const LayerInfo &layer : m_network->summary().layers) {
        const auto groups = m_network->summary().groupsOf(layer.name);
        removable += layer.status == LayerStatus::Quantizable && (groups.empty() || std::ranges::any_of(groups, &ChannelGroup::removable));
    }
    QCOMPARE(points.size(), removable);
    QVERIFY(removable < std::size_t(m_network->summary().quantizableLayers()));   // the classes stay
    for (const SensitivityResult &point : points)
        QVERIFY2(std::abs(point.keptShare - 0.5) < 0.02, point.layer.c_str());
}

void TestSensitivity::cancelKeepsWhatIsFinished()
{
    Evaluator evaluator(m_network, m_data);
    std::stop_source source;
    JobContext context;
    context.stop = source.get_token();
    int reported = 0;
    const auto result = sensitivity(evaluator, m_network, {}, {}, context, [&](const SensitivityResult &) {
        if (++reported == 10)
            source.request_stop();
    });
    QVERIFY(!result && isCancelled(result.error()));
    QVERIFY(reported >= 10 && reported <= 16);   // whole layers are told
}

void TestSensitivity::impossibleOnesAreErrors()
{
    Evaluator evaluator(m_network, m_data);
    const auto why = [&](const std::string &method, std::vector<double> sparsities) {
        SensitivityOptions options;
        options.method = method;
        options.sparsities = std::move(sparsities);
        const auto result = sensitivity(evaluator, m_network, options, {}, {});
        return result ? QString() : QString::fromStdString(result.error().message);
    };
    QVERIFY(why("hessian", {0.5}).contains(QStringLiteral("no such pruner")));
    QVERIFY(why("magnitude", {}).contains(QStringLiteral("no sparsities")));
    QVERIFY(why("magnitude", {1.5}).contains(QStringLiteral("sparsity")));
    QVERIFY(why("taylor", {0.5}).contains(QStringLiteral("--data")));
}

QTEST_APPLESS_MAIN(TestSensitivity)
#include "tst_sensitivity.moc"
