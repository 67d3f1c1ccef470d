// SPDX-License-Identifier: GPL-3.0-or-later
#include "cost/channels_gone.h"
#include "cost/size_model.h"
#include "prune/target.h"
#include "sample_networks.h"
#include "simulate/masking.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

class TestTarget : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { m_network = openSample("resnet20.pt2"); }
    void reachesTheWantedPart_data();
    void reachesTheWantedPart();
    void proportionsAreKept();
    void impossibleOnesAreErrors();

private:
    std::shared_ptr<const Network> m_network;
};

void TestTarget::reachesTheWantedPart_data()
{
    QTest::addColumn<QString>("method");
    QTest::addColumn<bool>("global");
    QTest::addColumn<int>("target");
    QTest::addColumn<double>("wanted");
    QTest::addColumn<double>("tolerance");   // above what was wanted: whole channels are coarse
    QTest::newRow("magnitude, size") << "magnitude" << false << int(PruneTarget::Size) << 0.5 << 0.002;
    QTest::newRow("magnitude, global, size") << "magnitude" << true << int(PruneTarget::Size) << 0.7 << 0.002;
    QTest::newRow("random weights, size") << "random_weight" << false << int(PruneTarget::Size) << 0.3 << 0.002;
    QTest::newRow("l1, BOPs") << "l1" << false << int(PruneTarget::Bops) << 0.5 << 0.06;
    QTest::newRow("l1, global, BOPs") << "l1" << true << int(PruneTarget::Bops) << 0.5 << 0.06;
    QTest::newRow("l2, size") << "l2" << true << int(PruneTarget::Size) << 0.4 << 0.04;
}

void TestTarget::reachesTheWantedPart()
{
    QFETCH(QString, method);
    QFETCH(bool, global);
    QFETCH(int, target);
    QFETCH(double, wanted);
    QFETCH(double, tolerance);
    PruneOrder order{method.toStdString(), {}, global ? PruneScope::Global : PruneScope::Layer, PruneTarget(target), wanted};
    const auto tasks = take(pruneTasks(*m_network, false, {}, order.method, {}, wanted));
    const auto found = take(masksForTarget(order, tasks, m_network->summary(), {}, false, {}));
    QVERIFY2(found.achieved >= wanted && found.achieved < wanted + tolerance, qPrintable(QString::number(found.achieved)));
    // What is reported is what the size model says of the masks.
    ResolvedConfig config;
    for (std::size_t i = 0; i < tasks.size(); ++i)
        config[tasks[i].site.layer].prune = {order.method, found.sparsities[i], take(completeParams(findPruner(order.method)->traits.options, {}, "")), found.masks[i]};
    const ModelCost before = modelCost(m_network->summary(), {}, false), after = modelCost(m_network->summary(), config, false);
    const double gone = order.target == PruneTarget::Size ? 1 - after.sizeBits / before.sizeBits : 1 - after.bops / before.bops;
    QVERIFY(std::abs(gone - found.achieved) < 1e-9);
}

// --layer A=0.8 --layer B=0.4 under another target: B loses half the share that A loses.
void TestTarget::proportionsAreKept()
{
    std::map<std::string, double> shares;
    for (const LayerInfo &layer : m_network->summary().layers)
        if (layer.status == LayerStatus::Quantizable && shares.size() < 12)
            shares[layer.name] = shares.size() % 2 ? 0.4 : 0.8;
    const auto tasks = take(pruneTasks(*m_network, false, {}, "magnitude", shares, 0));
    const PruneOrder order{"magnitude", {}, PruneScope::Layer, PruneTarget::Size, 0.05};
    const auto found = take(masksForTarget(order, tasks, m_network->summary(), {}, false, {}));
    for (std::size_t i = 0; i < tasks.size(); ++i)
        QVERIFY(std::abs(found.sparsities[i] * 0.8 - tasks[i].sparsity * std::ranges::max(found.sparsities)) < 1e-9);
}

void TestTarget::impossibleOnesAreErrors()
{
    const auto tasks = take(pruneTasks(*m_network, false, {}, "magnitude", {}, 0.5));
    const auto bops = masksForTarget({"magnitude", {}, PruneScope::Layer, PruneTarget::Bops, 0.5}, tasks, m_network->summary(), {}, false, {});
    QVERIFY(!bops && bops.error().message.find("at most 0 % of the BOPs") != std::string::npos);   // single zeros save none
    const auto all = masksForTarget({"magnitude", {}, PruneScope::Layer, PruneTarget::Size, 1}, tasks, m_network->summary(), {}, false, {});
    QVERIFY(!all && all.error().message.find("0 to below 1") != std::string::npos);
    QVERIFY(!masksForTarget({"hessian", {}, PruneScope::Layer, PruneTarget::Size, 0.5}, tasks, m_network->summary(), {}, false, {}));
    QVERIFY(!pruneTargetFromName("latency"));
    QVERIFY(*pruneTargetFromName("bops") == PruneTarget::Bops);
}

QTEST_APPLESS_MAIN(TestTarget)
#include "tst_target.moc"
