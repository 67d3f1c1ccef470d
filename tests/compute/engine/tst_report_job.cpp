// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/engine.h"
#include "exporters/exporter.h"
#include "report/report_content.h"
#include "report/report_text.h"
#include "event_recorder.h"
#include "sample_networks.h"

#include <QtCore/QTemporaryDir>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

/// The report as the window asks for it: a job of the engine.
class TestReportJob : public QObject {
    Q_OBJECT

    EventRecorder m_events;
    std::unique_ptr<EngineApi> m_engine;
    QTemporaryDir m_folder;

    JobEnded run(Request request)
    {
        return m_events.end(m_engine->submit(std::move(request)), std::chrono::seconds(100));
    }
    template <typename T>
    T last()
    {
        return m_events.last<T>();
    }
    ExportRequest report(const ModelConfig &config, const char *name, std::vector<TrialRecord> trials = {})
    {
        ExportRequest request;
        request.config = config;
        request.format = "report";
        request.path = m_folder.filePath(QString::fromLatin1(name)).toStdString();
        request.trials = std::move(trials);
        return request;
    }
    void open(const char *evaluation, const char *calibration)
    {
        QCOMPARE(run(OpenModelRequest{samplePath("resnet20.pt2")}).outcome, JobOutcome::Finished);
        const JobEnded ended = run(OpenDataRequest{evaluation, calibration, ""});
        QVERIFY2(ended.outcome == JobOutcome::Finished, ended.error.message.c_str());
    }
    static std::string fact(const ReportContent &content, const std::string &name)
    {
        for (const ReportFact &each : reportFacts(content))
            if (each.name == name)
                return each.text;
        return {};
    }
    static QByteArray read(const std::string &path)
    {
        QFile file(QString::fromStdString(path));
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    }

private Q_SLOTS:
    void init()
    {
        quietProcess();
        EngineOptions options;
        options.threads = 1;
        m_engine = makeEngine(options);
        m_events.listenTo(*m_engine);
    }
    void cleanup() { m_engine.reset(); }

    void tableIsTheExporters()
    {
        const auto &formats = m_engine->exportFormats();
        QCOMPARE(formats.size(), exporters().size());
        int documents = 0;
        for (std::size_t i = 0; i < formats.size(); ++i) {
            QCOMPARE(formats[i].id, exporters()[i].id);
            QVERIFY2(formats[i].suffix.starts_with('.') && !formats[i].title.empty() && !formats[i].summary.empty(), formats[i].id.c_str());
            documents += formats[i].document;
        }
        QCOMPARE(documents, 1);
    }

    void usesTheTrialOfThisAssignment()
    {
        open("sample:test,limit=128", "sample:train,limit=64");
        EvaluateRequest evaluate;
        evaluate.config = uniformConfig(4, 8);
        QCOMPARE(run(evaluate).outcome, JobOutcome::Finished);
        const auto measured = last<EvaluationReady>();
        evaluate.config = uniformConfig(2, 8);
        QCOMPARE(run(evaluate).outcome, JobOutcome::Finished);
        const auto other = last<EvaluationReady>();

        // Asked for without values, as the window may do: the job calibrates as the evaluation did.
        const auto request = report(uniformConfig(4, 8), "a.html", {measured.trial, other.trial});
        const JobEnded ended = run(request);
        QVERIFY2(ended.outcome == JobOutcome::Finished, ended.error.message.c_str());
        const auto ready = last<ExportReady>();
        QVERIFY(ready.report && !ready.verified);
        QVERIFY(ready.report->measured);
        QCOMPARE(ready.report->accuracy.id, measured.trial.id);
        QCOMPARE(ready.report->trials.size(), std::size_t(2));
        QCOMPARE(fact(*ready.report, "Calibration"), std::string("the ranges of the inputs were found on the first 64 samples of sample:train,limit=64"));
        for (const ReportLayer &layer : ready.report->layers)
            QCOMPARE(layer.plots.size(), layer.method == "float" ? std::size_t(0) : std::size_t(2));   // weight and input
        const QByteArray page = read(request.path);
        QCOMPARE(page.size(), ready.bytes);
        QVERIFY(page.contains("on 128 samples of sample:test,limit=128"));
        QVERIFY(page.contains("class=\"here\""));

        // Another assignment was measured, not this one.
        QCOMPARE(run(report(uniformConfig(3, 8), "b.html", {measured.trial, other.trial})).outcome, JobOutcome::Finished);
        QVERIFY(!last<ExportReady>().report->measured);
        QVERIFY(read(m_folder.filePath(QStringLiteral("b.html")).toStdString()).contains("not measured"));
    }

    void saysThatTheSameDataCalibratedIt()
    {
        open("sample:test,limit=128", "");   // without calibration data the evaluation data serves
        EvaluateRequest evaluate;
        evaluate.config = uniformConfig(8, 8);
        QCOMPARE(run(evaluate).outcome, JobOutcome::Finished);
        const auto measured = last<EvaluationReady>();
        QCOMPARE(run(report(measured.config, "same.html", {measured.trial})).outcome, JobOutcome::Finished);
        QVERIFY2(fact(*last<ExportReady>().report, "Calibration").starts_with("on the same data: "), fact(*last<ExportReady>().report, "Calibration").c_str());
        // Ranges of another origin: nobody knows.
        ModelConfig learned = measured.config;
        for (auto &[name, layer] : learned.layers)
            for (auto &[key, values] : layer.activation.values)
                for (double &value : values)
                    value *= key == "scale" ? 1.5 : 1;
        QCOMPARE(run(report(learned, "learned.html", {measured.trial})).outcome, JobOutcome::Finished);
        QVERIFY2(fact(*last<ExportReady>().report, "Calibration").find("not recorded") != std::string::npos,
                 fact(*last<ExportReady>().report, "Calibration").c_str());
        QVERIFY(!last<ExportReady>().report->measured);
    }

    void withoutDataThereAreWeightsAlone()
    {
        QCOMPARE(run(OpenModelRequest{samplePath("resnet20.pt2")}).outcome, JobOutcome::Finished);
        ModelConfig config;
        config.defaults.weight = {"uniform", 4, {}, {}};
        const JobEnded ended = run(report(config, "w.html"));
        QVERIFY2(ended.outcome == JobOutcome::Finished, ended.error.message.c_str());
        const auto ready = last<ExportReady>();
        QVERIFY(ready.report && !ready.report->measured && !ready.report->calibrated);
        for (const ReportLayer &layer : ready.report->layers)
            QVERIFY(layer.plots.size() <= 1);
    }

    void refusals()
    {
        QCOMPARE(run(OpenModelRequest{samplePath("resnet20.pt2")}).outcome, JobOutcome::Finished);
        ModelConfig config;
        config.defaults.weight = {"uniform", 4, {}, {}};
        auto request = report(config, "x.html");
        request.path = samplePath("resnet20.pt2");
        JobEnded ended = run(request);
        QCOMPARE(ended.outcome, JobOutcome::Failed);
        QVERIFY2(ended.error.message.find("resnet20.pt2") != std::string::npos, ended.error.message.c_str());
        request.path = m_folder.filePath(QStringLiteral("no/folder/x.html")).toStdString();
        ended = run(request);
        QCOMPARE(ended.outcome, JobOutcome::Failed);
        QVERIFY2(ended.error.message.find("x.html") != std::string::npos, ended.error.message.c_str());
        request.format = "gif";
        ended = run(request);
        QVERIFY2(ended.error.message.find("report") != std::string::npos, ended.error.message.c_str());   // names what there is
    }

    void cancelLeavesWhatWasThere()
    {
        open("sample:test", "sample:train");
        const auto request = report(uniformConfig(4, 8), "kept.html");
        QFile file(QString::fromStdString(request.path));
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write("mine");
        file.close();
        const JobId job = m_engine->submit(request);
        m_engine->cancel(job);
        const JobEnded ended = run(StatisticsRequest{8, 8, "", false});   // ends after it
        QCOMPARE(ended.outcome, JobOutcome::Finished);
        QCOMPARE(read(request.path), QByteArray("mine"));
        QCOMPARE(QDir(m_folder.path()).entryList({QStringLiteral("*.part-*")}, QDir::Files).size(), 0);
    }
};

QTEST_GUILESS_MAIN(TestReportJob)
#include "tst_report_job.moc"
