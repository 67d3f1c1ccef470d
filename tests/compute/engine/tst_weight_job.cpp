// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/engine.h"
#include "event_recorder.h"
#include "sample_networks.h"

#include <QtTest/QtTest>

#include <cmath>
#include <variant>
#include <vector>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// An engine with a sample network, asked one thing at a time.
struct Bench {
    EventRecorder events;
    std::unique_ptr<EngineApi> engine = makeEngine({.threads = 1, .decodeImage = {}});

    Bench() { events.listenTo(*engine); }
    ~Bench() { engine->setSink({}); }

    JobEnded ask(Request request) { return events.end(engine->submit(std::move(request))); }
    WeightReady weight() { return events.last<WeightReady>(); }
};

} // namespace

class TestWeightJob : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void valuesAndScores();
    void foldedWeightsAreScaled();
    void errorsSayWhy_data();
    void errorsSayWhy();
};

void TestWeightJob::valuesAndScores()
{
    Bench bench;
    QCOMPARE(bench.ask(OpenModelRequest{samplePath("resnet20.pt2")}).outcome, JobOutcome::Finished);
    WeightRequest request;
    request.layer = "layer1.0.conv1";
    QCOMPARE(bench.ask(request).outcome, JobOutcome::Finished);
    const WeightReady plain = bench.weight();
    QCOMPARE(plain.shape, (Shape{16, 16, 3, 3}));
    QCOMPARE(plain.channelAxis, 0);
    QCOMPARE(plain.values->size(), std::size_t(2304));
    QVERIFY(!plain.scores);
    // The scores of the L1 criterion are the sums of the magnitudes of each channel (methods.md D2).
    request.criterion = "l1";
    QCOMPARE(bench.ask(request).outcome, JobOutcome::Finished);
    const WeightReady scored = bench.weight();
    QCOMPARE(*scored.values, *plain.values);
    QCOMPARE(scored.scores->size(), std::size_t(16));
    for (std::size_t channel = 0; channel < 16; ++channel) {
        double sum = 0;
        for (std::size_t i = 0; i < 144; ++i)
            sum += std::abs((*plain.values)[channel * 144 + i]);
        QVERIFY(std::abs((*scored.scores)[channel] - sum) < 1e-4 * sum);
    }
    request.criterion = "magnitude";
    QCOMPARE(bench.ask(request).outcome, JobOutcome::Finished);
    QCOMPARE(bench.weight().scores->size(), std::size_t(2304));
}

void TestWeightJob::foldedWeightsAreScaled()
{
    Bench bench;
    QCOMPARE(bench.ask(OpenModelRequest{samplePath("resnet20.pt2")}).outcome, JobOutcome::Finished);
    WeightRequest request;
    request.layer = "layer1.0.conv1";
    QCOMPARE(bench.ask(request).outcome, JobOutcome::Finished);
    const auto plain = bench.weight().values;
    request.foldBatchNorm = true;
    QCOMPARE(bench.ask(request).outcome, JobOutcome::Finished);
    const auto folded = bench.weight().values;
    QVERIFY(*plain != *folded);
    // One factor for all of a channel.
    const double factor = double((*folded)[0]) / (*plain)[0];
    for (std::size_t i = 0; i < 144; ++i)
        QVERIFY(std::abs((*folded)[i] - factor * (*plain)[i]) < 1e-5);
}

void TestWeightJob::errorsSayWhy_data()
{
    QTest::addColumn<QString>("layer");
    QTest::addColumn<QString>("criterion");
    QTest::addColumn<QString>("weights");
    QTest::addColumn<QString>("why");
    QTest::newRow("no such layer") << "nowhere" << "" << "" << "nowhere";
    QTest::newRow("no such criterion") << "fc" << "beauty" << "" << "there is no such pruner";
    QTest::newRow("batch norm scale without one") << "fc" << "slimming" << "" << "fc";
    QTest::newRow("no such weights") << "fc" << "" << "other" << "other";
}

void TestWeightJob::errorsSayWhy()
{
    QFETCH(QString, layer);
    QFETCH(QString, criterion);
    QFETCH(QString, weights);
    QFETCH(QString, why);
    Bench bench;
    WeightRequest request;
    request.layer = layer.toStdString();
    request.criterion = criterion.toStdString();
    request.weights = weights.toStdString();
    QCOMPARE(bench.ask(request).outcome, JobOutcome::Failed);   // nothing is open
    QCOMPARE(bench.ask(OpenModelRequest{samplePath("resnet20.pt2")}).outcome, JobOutcome::Finished);
    const JobEnded ended = bench.ask(request);
    QCOMPARE(ended.outcome, JobOutcome::Failed);
    QVERIFY2(QString::fromStdString(ended.error.message).contains(why), ended.error.message.c_str());
}

QTEST_GUILESS_MAIN(TestWeightJob)
#include "tst_weight_job.moc"
