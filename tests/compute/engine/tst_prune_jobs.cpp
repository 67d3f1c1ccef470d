// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/engine.h"
#include "event_recorder.h"
#include "sample_networks.h"

#include <QtTest/QtTest>

#include <vector>

using namespace bitwright;
using namespace bitwright::testing;

/// The jobs of pruning on the real engine: data, targets, sensitivity, repairs.
class TestPruneJobs : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void cleanup() { m_engine.reset(); }
    void criteriaWithDataAndTargets();
    void sensitivityPointsAndCancel();
    void repairsMakeWeights_data();
    void repairsMakeWeights();

private:
    JobEnded run(Request request);
    JobEnded end(JobId job) { return m_events.end(job); }
    template <typename T>
    std::vector<T> all()
    {
        return m_events.all<T>();
    }
    double measured(const ModelConfig &config, const std::string &weights);

    EventRecorder m_events;
    std::unique_ptr<EngineApi> m_engine;
};

JobEnded TestPruneJobs::run(Request request)
{
    return end(m_engine->submit(std::move(request)));
}

void TestPruneJobs::init()
{
    quietProcess();
    EngineOptions options;
    options.threads = 1;
    m_engine = makeEngine(options);
    m_events.listenTo(*m_engine);
    QVERIFY(run(OpenModelRequest{samplePath("resnet20.pt2")}).outcome == JobOutcome::Finished);
}

double TestPruneJobs::measured(const ModelConfig &config, const std::string &weights)
{
    EvaluateRequest request;
    request.config = config;
    request.weights = weights;
    request.record = false;
    const JobEnded ended = run(std::move(request));
    return ended.outcome == JobOutcome::Finished ? all<EvaluationReady>().back().trial.value : -1;
}

void TestPruneJobs::criteriaWithDataAndTargets()
{
    PruneRequest request;
    request.method = "taylor";
    request.sparsity = 0.4;
    request.target = "bops";
    request.global = true;
    const JobEnded without = run(request);
    QVERIFY(without.outcome == JobOutcome::Failed);
    QVERIFY2(without.error.message.find("no data is open") != std::string::npos, without.error.message.c_str());
    QVERIFY(run(OpenDataRequest{"sample:test,limit=128", "sample:train,limit=128", ""}).outcome == JobOutcome::Finished);
    const JobEnded with = run(request);
    QVERIFY2(with.outcome == JobOutcome::Finished, with.error.message.c_str());
    const PruneReady ready = all<PruneReady>().back();
    QVERIFY(ready.kept < ready.total && ready.kept > 0);
    request.target = "speed";
    QVERIFY(run(request).error.message.find("share, size or bops") != std::string::npos);
}

void TestPruneJobs::sensitivityPointsAndCancel()
{
    QVERIFY(run(OpenDataRequest{"sample:test,limit=64", "", ""}).outcome == JobOutcome::Finished);
    SensitivityRequest request;
    request.sparsities = {0.5, 0.9};
    const JobEnded ended = run(request);
    QVERIFY2(ended.outcome == JobOutcome::Finished, ended.error.message.c_str());
    const auto points = all<SensitivityPoint>();
    QCOMPARE(points.size(), std::size_t(2 * 22));   // 19 convolutions, 2 on the short cuts, the classifier
    for (std::size_t i = 0; i + 1 < points.size(); i += 2)
        QVERIFY(points[i].layer == points[i + 1].layer && points[i].sqnrDb > points[i + 1].sqnrDb);
    const JobId job = m_engine->submit(SensitivityRequest{});
    m_engine->cancel(job);
    QVERIFY(end(job).outcome == JobOutcome::Cancelled);
}

void TestPruneJobs::repairsMakeWeights_data()
{
    QTest::addColumn<bool>("bias");
    QTest::newRow("batch norm") << false;
    QTest::newRow("bias") << true;
}

// 4 bits per tensor hurt; either repair wins some of it back, the float weights stay what they were.
void TestPruneJobs::repairsMakeWeights()
{
    QFETCH(bool, bias);
    QVERIFY(run(OpenModelRequest{samplePath("mobilenetv2_small.pt2")}).outcome == JobOutcome::Finished);
    QVERIFY(run(OpenDataRequest{"sample:test,limit=512", "sample:train,limit=512", ""}).outcome == JobOutcome::Finished);
    CorrectRequest request;
    request.config = uniformConfig(3, 32, "tensor");
    request.step = bias ? CorrectRequest::Step::Bias : CorrectRequest::Step::BatchNorm;
    request.samples = 512;
    const double before = measured(request.config, "");
    const JobEnded ended = run(request);
    QVERIFY2(ended.outcome == JobOutcome::Finished, ended.error.message.c_str());
    const WeightsReady ready = all<WeightsReady>().back();
    QVERIFY(!ready.model && !ready.weights.empty() && !ready.title.empty());
    const double after = measured(ready.config, ready.weights);
    QVERIFY2(after > before + 0.05, qPrintable(QStringLiteral("%1 before, %2 after").arg(before).arg(after)));
    QCOMPARE(measured(request.config, ""), before);
    // A second repair starts from the first.
    request.weights = ready.weights;
    QVERIFY(run(request).outcome == JobOutcome::Finished);
    QVERIFY(all<WeightsReady>().back().weights != ready.weights);
}

QTEST_GUILESS_MAIN(TestPruneJobs)
#include "tst_prune_jobs.moc"
