// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/engine.h"
#include "event_recorder.h"
#include "sample_networks.h"

#include <QtCore/QTemporaryDir>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

class TestDataPreview : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void samplesWithTheirLabels();
    void randomDataHasNone();
    void openDataStaysWhatItIs();
    void whatCannotBeOpened();
    void randomDataGetsItsMetric();

private:
    JobEnded end(JobId job) { return m_events.end(job); }
    template <typename T>
    std::vector<T> all()
    {
        return m_events.all<T>();
    }
    EventRecorder m_events;
    std::unique_ptr<EngineApi> m_engine;
};

void TestDataPreview::init()
{
    quietProcess();
    m_engine.reset();
    EngineOptions options;
    options.threads = 1;
    m_engine = makeEngine(options);
    m_events.listenTo(*m_engine);
    QCOMPARE(end(m_engine->submit(OpenModelRequest{samplePath("resnet20.pt2")})).outcome, JobOutcome::Finished);
}

void TestDataPreview::samplesWithTheirLabels()
{
    const auto opened = all<ModelOpened>();
    QCOMPARE(opened[0].inputs.size(), std::size_t(1));
    QCOMPARE(opened[0].inputs[0].guess, (Shape{1, 1, 28, 28}));
    QCOMPARE(end(m_engine->submit(DataPreviewRequest{"sample:test"})).outcome, JobOutcome::Finished);
    const auto previews = all<DataPreviewReady>();
    QCOMPARE(previews.size(), std::size_t(1));
    const DataPreviewReady &preview = previews[0];
    QCOMPARE(preview.problem, std::string());
    QCOMPARE(preview.inputs.size(), std::size_t(1));
    QCOMPARE(preview.inputs[0].samples.size(), std::size_t(8));
    QCOMPARE(preview.inputs[0].shown, (Shape{1, 28, 28}));
    QVERIFY(preview.inputs[0].picture);
    QCOMPARE(preview.inputs[0].samples[0].size(), std::size_t(784));
    QCOMPARE(preview.labels.size(), std::size_t(8));
    QCOMPARE(preview.classes.size(), std::size_t(10));
    QCOMPARE(preview.answers.size(), std::size_t(8));
    int right = 0;
    for (std::size_t i = 0; i < 8; ++i) {
        QCOMPARE(preview.answers[i].top.size(), std::size_t(3));
        QVERIFY(preview.answers[i].top[0].second >= preview.answers[i].top[1].second && preview.answers[i].top[0].second <= 1);
        right += preview.answers[i].top[0].first == preview.labels[i];
    }
    QVERIFY2(right >= 6, qPrintable(QString::number(right)));   // a network of 93 %
    QCOMPARE(preview.outputs.size(), std::size_t(1));
    QCOMPARE(preview.outputs[0].shape, (Shape{8, 10}));
    QVERIFY(preview.outputs[0].low < preview.outputs[0].high && preview.outputs[0].nonFinite == 0);
}

void TestDataPreview::randomDataHasNone()
{
    QCOMPARE(end(m_engine->submit(DataPreviewRequest{"random:count=1000,seed=2", 5})).outcome, JobOutcome::Finished);
    const DataPreviewReady preview = all<DataPreviewReady>().at(0);
    QVERIFY(preview.labels.empty() && preview.classes.empty());
    QCOMPARE(preview.inputs[0].samples.size(), std::size_t(5));
    QCOMPARE(preview.answers.size(), std::size_t(5));
}

void TestDataPreview::openDataStaysWhatItIs()
{
    QCOMPARE(end(m_engine->submit(OpenDataRequest{"sample:test,limit=64", "", ""})).outcome, JobOutcome::Finished);
    QCOMPARE(end(m_engine->submit(DataPreviewRequest{"random"})).outcome, JobOutcome::Finished);
    QCOMPARE(all<DataOpened>().size(), std::size_t(1));
    const JobId job = m_engine->submit(EvaluateRequest{.config = {}, .metric = "top1", .weights = {}});
    QCOMPARE(end(job).outcome, JobOutcome::Finished);
    QCOMPARE(all<EvaluationReady>().back().trial.data, std::string("sample:test,limit=64"));
}

void TestDataPreview::whatCannotBeOpened()
{
    const JobEnded ended = end(m_engine->submit(DataPreviewRequest{"npz:/nowhere.npz"}));
    QCOMPARE(ended.outcome, JobOutcome::Failed);
    QVERIFY(ended.error.message.find("/nowhere.npz") != std::string::npos);
    QVERIFY(all<DataPreviewReady>().empty());
}

void TestDataPreview::randomDataGetsItsMetric()
{
    QCOMPARE(end(m_engine->submit(OpenDataRequest{"random:count=32", "", ""})).outcome, JobOutcome::Finished);
    const DataOpened opened = all<DataOpened>().back();
    QCOMPARE(opened.metric, std::string("agreement"));
    QVERIFY(!opened.labelled && isRandomData(opened.spec));
    bool said = false;
    for (const LogMessage &message : all<LogMessage>())
        said = said || message.text.find("random data") != std::string::npos;
    QVERIFY(said);
}

QTEST_GUILESS_MAIN(TestDataPreview)
#include "tst_data_preview.moc"
