// SPDX-License-Identifier: GPL-3.0-or-later
#include "bridge/engine_controller.h"
#include "fake_engine.h"
#include "models/jobs_model.h"

#include <QElapsedTimer>
#include <QRegularExpression>
#include <QSignalSpy>
#include <QTest>

using namespace bitwright;

namespace {

struct Fixture {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};

    void openWithData()
    {
        document.setModel(fakeModel());
        document.setSelection({"stem"});
        const JobId job = controller.openData({"sample:test", "sample:train", "sample:train"});
        DataOpened opened;
        opened.job = job;
        opened.spec = "sample:test";
        opened.samples = 2000;
        opened.labelled = true;
        engine.emitEvent(opened);
        engine.finish(job);
        QTRY_VERIFY(controller.evaluationJob() != 0);
    }
    EvaluationReady estimate(JobId job, double value, bool final = false)
    {
        EvaluationReady event;
        event.job = job;
        event.final = final;
        event.trial.metric = "top1";
        event.trial.value = value;
        event.trial.id = final ? std::int64_t(job) : 0;
        event.config = document.config();
        event.floatValue = 0.93;
        return event;
    }
};

} // namespace

class TstEngineController : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral(".*"))); }
    void eventsArriveOnTheGuiThread();
    void progressIsThrottledAndTheEndIsNot();
    void aBurstOfEditsIsOneEvaluation();
    void aNewerEditSupersedesTheOlder();
    void staleEstimatesAreDroppedButTrialsKept();
    void previewsFollowTheSelection();
    void draggingAsksForPreviewsAndMeasuresAtItsEnd();
    void activationPreviewsWaitForTheirDistribution();
    void nothingIsMeasuredWhenNotLive();
    void errorsOfAllQuantizedLayersAreFetchedOneByOne();
    void fineTunedWeightsAreTaken();
    void fineTunedWeightsWaitWhenTheConfigurationMoved();
    void repairsAreTakenAsOneStep();
    void repairsWaitWhenTheConfigurationMoved();
    void sensitivityIsKeptAndSuperseded();
    void noCallAfterTheController();
};

void TstEngineController::eventsArriveOnTheGuiThread()
{
    Fixture f;
    const JobId job = f.controller.openModel(QStringLiteral("m.pt2"));
    QThread *seen = nullptr;
    connect(&f.controller, &EngineController::modelOpened, this, [&] { seen = QThread::currentThread(); });
    f.engine.emitFromThread({ModelOpened{job, fakeModel()}, JobEnded{job, JobOutcome::Finished, {}, 0.1}});
    QVERIFY(!seen);
    QTRY_COMPARE(seen, QThread::currentThread());
}

void TstEngineController::progressIsThrottledAndTheEndIsNot()
{
    Fixture f;
    const JobId job = f.controller.openModel(QStringLiteral("m.pt2"));
    QSignalSpy progress(&f.controller, &EngineController::jobProgress);
    QSignalSpy ended(&f.controller, &EngineController::jobEnded);
    QElapsedTimer clock;
    clock.start();
    for (int burst = 0; burst < 20; ++burst) {
        std::vector<Event> events;
        for (int i = 0; i < 500; ++i)
            events.emplace_back(JobProgress{job, {"reading", burst * 500 + i, 10000}, 0.1});
        f.engine.emitFromThread(std::move(events));
        QTest::qWait(5);
    }
    const auto most = clock.elapsed() / 33 + 2;
    f.engine.emitFromThread({JobEnded{job, JobOutcome::Finished, {}, 0.1}});
    QTRY_COMPARE(ended.size(), 1);
    QVERIFY2(progress.size() <= most, qPrintable(QString::number(progress.size())));
    QVERIFY(progress.size() >= 1);
    QCOMPARE(f.controller.jobs()->job(job)->state, JobState::Finished);
    QVERIFY(!f.controller.jobs()->activeCount());
}

void TstEngineController::aBurstOfEditsIsOneEvaluation()
{
    Fixture f;
    f.openWithData();
    const auto before = f.engine.asked<EvaluateRequest>().size();
    for (int bits = 8; bits >= 2; --bits)
        f.document.setBits({"stem"}, Role::Weight, bits);
    QTRY_COMPARE(f.engine.asked<EvaluateRequest>().size(), before + 1);
    QTest::qWait(80);
    QCOMPARE(f.engine.asked<EvaluateRequest>().size(), before + 1);
    QCOMPARE(*f.engine.asked<EvaluateRequest>().back().second.config.layers.at("stem").weight.bits, 2);
}

void TstEngineController::aNewerEditSupersedesTheOlder()
{
    Fixture f;
    f.openWithData();
    f.document.setBits({"stem"}, Role::Weight, 4);
    const JobId first = f.engine.asked<EvaluateRequest>().back().first;
    QTRY_VERIFY(f.engine.asked<EvaluateRequest>().back().first != first);
    QVERIFY(std::ranges::find(f.engine.cancelled, first) != f.engine.cancelled.end());
}

void TstEngineController::staleEstimatesAreDroppedButTrialsKept()
{
    Fixture f;
    f.openWithData();
    const JobId old = f.controller.evaluationJob();
    const JobId present = f.controller.evaluate();
    QSignalSpy ready(&f.controller, &EngineController::evaluationReady);
    f.engine.emitFromThread({f.estimate(old, 0.5), f.estimate(old, 0.51, true), f.estimate(present, 0.9)});
    QTRY_COMPARE(ready.size(), 1);
    QCOMPARE(f.controller.results().estimate->trial.value, 0.9);
    QCOMPARE(f.controller.results().trials.size(), std::size_t(1));
    QCOMPARE(f.controller.results().trials[0].value, 0.51);
    QCOMPARE(*f.controller.results().floatValue, 0.93);
    f.document.setBits({"head"}, Role::Weight, 4);
    QVERIFY(!f.controller.results().estimate);
}

void TstEngineController::previewsFollowTheSelection()
{
    Fixture f;
    f.openWithData();
    f.document.setBits({"stem", "head"}, Role::Weight, 4);
    QTRY_VERIFY(!f.engine.asked<PreviewRequest>().empty());
    const auto lastFor = [&](const std::string &layer) {
        JobId job = 0;
        for (const auto &[id, request] : f.engine.asked<PreviewRequest>()) {
            if (request.layer == layer && request.errorAgainstBits)
                job = id;
        }
        return job;
    };
    const JobId stem = lastFor("stem");
    QVERIFY(stem);
    f.document.setSelection({"head"});
    QTRY_VERIFY(lastFor("head") != 0);
    QSignalSpy ready(&f.controller, &EngineController::previewReady);
    PreviewReady late;
    late.job = stem;
    late.request.layer = "stem";
    PreviewReady wanted;
    wanted.job = lastFor("head");
    wanted.request.layer = "head";
    wanted.sqnrDb = 21;
    f.engine.emitFromThread({late, wanted});
    QTRY_COMPARE(ready.size(), 1);
    QCOMPARE(f.controller.results().previewOf("head", Role::Weight)->sqnrDb, 21.0);
    QVERIFY(!f.controller.results().previewOf("stem", Role::Weight));
}

void TstEngineController::draggingAsksForPreviewsAndMeasuresAtItsEnd()
{
    Fixture f;
    f.openWithData();
    f.document.setBits({"stem"}, Role::Weight, 4);
    QTest::qWait(100);
    const auto evaluations = f.engine.asked<EvaluateRequest>().size();
    const auto previews = f.engine.asked<PreviewRequest>().size();
    const quint64 drag = f.document.beginDrag();
    for (int i = 1; i <= 20; ++i) {
        f.document.setValues("stem", Role::Weight, {{"scale", {0.01 * i}}}, drag);
        QTest::qWait(8);
    }
    QCOMPARE(f.engine.asked<EvaluateRequest>().size(), evaluations);
    QVERIFY(f.engine.asked<PreviewRequest>().size() >= previews + 2);
    f.document.endDrag();
    QTRY_COMPARE(f.engine.asked<EvaluateRequest>().size(), evaluations + 1);
}

void TstEngineController::activationPreviewsWaitForTheirDistribution()
{
    Fixture f;
    f.openWithData();
    f.document.setBits({"stem"}, Role::Activation, 4);
    QTest::qWait(80);
    const auto ofActivations = [&] {
        return std::ranges::count_if(f.engine.asked<PreviewRequest>(), [](const auto &each) { return each.second.role == Role::Activation; });
    };
    QCOMPARE(ofActivations(), 0);
    const JobId job = f.engine.asked<StatisticsRequest>().back().first;
    f.engine.emitEvent(FakeEngine::statistics(job, *f.document.layer("stem"), Role::Activation));
    QTRY_COMPARE(ofActivations(), 1);
}

void TstEngineController::nothingIsMeasuredWhenNotLive()
{
    Fixture f;
    f.openWithData();
    f.controller.setLive(false);
    const auto before = f.engine.asked<EvaluateRequest>().size();
    f.document.setBits({"stem"}, Role::Weight, 4);
    QTest::qWait(100);
    QCOMPARE(f.engine.asked<EvaluateRequest>().size(), before);
    f.controller.evaluate();
    QCOMPARE(f.engine.asked<EvaluateRequest>().size(), before + 1);
}

void TstEngineController::errorsOfAllQuantizedLayersAreFetchedOneByOne()
{
    Fixture f;
    f.engine.automatic = true;
    f.controller.openModel(QStringLiteral("m.pt2"));
    QTRY_VERIFY(!f.controller.isBusy());
    f.document.setModel(fakeModel());
    f.document.setSelection({"stem"});
    f.document.setBits({"stem", "head", "stage1.0.conv1"}, Role::Weight, 4);
    QTRY_COMPARE(f.controller.results().weightErrors.size(), std::size_t(3));
    QTRY_VERIFY(!f.controller.isBusy());
}

void TstEngineController::fineTunedWeightsAreTaken()
{
    Fixture f;
    f.openWithData();
    f.document.setBits({"stem"}, Role::Weight, 4);
    f.engine.automatic = true;
    f.controller.fineTune({.epochs = 2});
    QTRY_VERIFY(!f.document.state().weights.empty());
    QVERIFY(f.document.undoStack()->undoText().startsWith(QStringLiteral("Take fine-tuned")));
    QCOMPARE(f.controller.results().trainingEpochs.size(), std::size_t(2));
    QCOMPARE(f.controller.trainingJob(), JobId(0));
}

void TstEngineController::fineTunedWeightsWaitWhenTheConfigurationMoved()
{
    Fixture f;
    f.openWithData();
    f.document.setBits({"stem"}, Role::Weight, 4);
    const JobId job = f.controller.fineTune({.epochs = 1});
    f.document.setBits({"stem"}, Role::Weight, 5);
    TrainingEpoch epoch;
    epoch.job = job;
    epoch.weights = "weights-1";
    epoch.config = f.document.config();
    f.engine.emitFromThread({epoch, JobEnded{job, JobOutcome::Finished, {}, 1}});
    QTRY_COMPARE(f.controller.trainingJob(), JobId(0));
    QVERIFY(f.document.state().weights.empty());
}

void TstEngineController::repairsAreTakenAsOneStep()
{
    Fixture f;
    f.openWithData();
    f.document.setBits({"stem"}, Role::Weight, 4);
    f.engine.automatic = true;
    const int steps = f.document.undoStack()->count();
    f.controller.correct(CorrectRequest::Step::BatchNorm);
    QTRY_COMPARE(f.document.state().weights, std::string("re-estimated 1"));
    QCOMPARE(f.document.undoStack()->count(), steps + 1);
    QCOMPARE(f.document.undoStack()->undoText(), QStringLiteral("Re-estimate batch norm"));
    f.document.undoStack()->undo();
    QVERIFY(f.document.state().weights.empty());
    f.controller.correct(CorrectRequest::Step::Bias);
    QTRY_COMPARE(f.document.state().weights, std::string("bias-corrected 1"));
    QVERIFY(f.engine.asked<CorrectRequest>().back().second.weights.empty());
}

void TstEngineController::repairsWaitWhenTheConfigurationMoved()
{
    Fixture f;
    f.openWithData();
    f.document.setBits({"stem"}, Role::Weight, 4);
    const JobId job = f.controller.correct(CorrectRequest::Step::Bias);
    f.document.setBits({"stem"}, Role::Weight, 5);
    QSignalSpy ended(&f.controller, &EngineController::jobEnded);
    f.engine.emitFromThread({WeightsReady{job, f.document.config(), "w", "Correct biases", nullptr}, JobEnded{job, JobOutcome::Finished, {}, 1}});
    QTRY_COMPARE(ended.count(), 1);
    QVERIFY(f.document.state().weights.empty());
}

void TstEngineController::sensitivityIsKeptAndSuperseded()
{
    Fixture f;
    f.openWithData();
    const JobId first = f.controller.measureSensitivity({});
    const JobId second = f.controller.measureSensitivity({.method = "l1"});
    QVERIFY(std::ranges::count(f.engine.cancelled, first) == 1);
    f.engine.emitFromThread({SensitivityPoint{first, "stem", 0.5, 0.9, -0.01, 20, 1000}, SensitivityPoint{second, "stem", 0.5, 0.8, -0.11, 15, 1000}});
    QTRY_COMPARE(f.controller.results().sensitivity.size(), std::size_t(1));
    QCOMPARE(f.controller.results().sensitivity.front().value, 0.8);
    QCOMPARE(f.controller.results().sensitivityAsked.method, std::string("l1"));
}

void TstEngineController::noCallAfterTheController()
{
    FakeEngine engine;
    Document document(engine.catalog());
    {
        EngineController controller(engine, document);
        engine.emitFromThread({LogMessage{0, LogMessage::Level::Info, "queued", {}}});
    }
    engine.emitFromThread({LogMessage{0, LogMessage::Level::Info, "late", {}}});
    QTest::qWait(20);
}

QTEST_GUILESS_MAIN(TstEngineController)
#include "tst_engine_controller.moc"
