// SPDX-License-Identifier: GPL-3.0-or-later
#include "report/report_html.h"
#include "report/report_svg.h"
#include "report/report_text.h"

#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;

namespace {

std::string fact(const ReportContent &content, const std::string &name)
{
    for (const ReportFact &each : reportFacts(content))
        if (each.name == name)
            return each.text;
    return {};
}

TrialRecord trialOn(const char *data)
{
    TrialRecord trial;
    trial.id = 3;
    trial.metric = "top1";
    trial.value = 0.91;
    trial.low = 0.9;
    trial.high = 0.92;
    trial.samples = 2000;
    trial.sizeBytes = 500;
    trial.data = data;
    return trial;
}

} // namespace

class TestReportText : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void accuracyOrWhyNot()
    {
        ReportContent content;
        QVERIFY(fact(content, "Accuracy").starts_with("not measured"));
        content.measured = true;
        content.accuracy = trialOn("sample:test");
        QCOMPARE(fact(content, "Accuracy"), std::string("top1 0.9100 (0.9000 to 0.9200), 95 % interval, on 2000 samples of sample:test"));
        content.accuracy.created = "2026-01-31T12:00:00Z";
        QVERIFY(fact(content, "Accuracy").ends_with(", measured 2026-01-31T12:00:00Z"));
        content.accuracy.metric = "sqnr";
        QVERIFY(fact(content, "Accuracy").starts_with("sqnr 0.9100 dB"));
    }

    void saysWhatCalibratedIt()
    {
        ReportContent content;
        QVERIFY(fact(content, "Calibration").empty());   // nothing was calibrated
        content.calibrated = content.measured = true;
        content.accuracy = trialOn("sample:test");
        QVERIFY(fact(content, "Calibration").find("not recorded") != std::string::npos);
        content.calibrationData = "sample:train";
        content.calibrationSamples = 512;
        QCOMPARE(fact(content, "Calibration"), std::string("the ranges of the inputs were found on the first 512 samples of sample:train"));
        content.calibrationData = "sample:test,limit=64";
        QVERIFY(fact(content, "Calibration").starts_with("on the same data: "));
        QVERIFY(reportHtml(content).find("on the same data: ") != std::string::npos);
        content.measured = false;
        QVERIFY(!fact(content, "Calibration").starts_with("on the same data: "));
    }

    void sameSamplesWhateverTheScale()
    {
        QVERIFY(sameSamples("idx:d", "idx:d,split=test,limit=5,mean=0.5"));
        QVERIFY(sameSamples("idx:d,first=10", "idx:d,std=2"));
        QVERIFY(!sameSamples("idx:d,split=train", "idx:d"));
        QVERIFY(!sameSamples("idx:d", "idx:e"));
        QVERIFY(!sameSamples("sample:test", "sample:train"));
        QVERIFY(!sameSamples("", ""));
    }

    void cellsFitTheColumns()
    {
        ReportLayer layer;
        layer.name = "conv1";
        layer.sparsity = 0.25;
        layer.bytes = 99.2;
        layer.sqnrDb = std::nan("");
        const auto cells = reportCells(layer);
        QCOMPARE(cells.size(), reportColumns().size());
        QCOMPARE(cells[0], std::string("conv1"));
        QCOMPARE(cells[8], std::string("25.0 %"));
        QCOMPARE(cells[9], std::string("100"));
        QCOMPARE(cells[10], std::string("–"));
    }

    void printsTheAssignmentShort()
    {
        bool shortened = true;
        QCOMPARE(printableAssignment("{\"a\":[1,2],\"b\":{}}", shortened), std::string("{\"a\": [1, 2], \"b\": {}}"));
        QCOMPARE(printableAssignment("{\"a\":{\"b\":{\"c\":1}},\"d\":2}", shortened), std::string("{\n  \"a\": {\n    \"b\": {\"c\": 1}\n  },\n  \"d\": 2\n}"));
        QVERIFY(!shortened);
        std::string many = "[0";
        for (int i = 1; i < 1000; ++i)
            many += "," + std::to_string(i);
        const std::string printed = printableAssignment("{\"scale\":" + many + "],\"mask\":\"" + std::string(5000, 'A') + "\"}", shortened);
        QVERIFY(shortened);
        QVERIFY2(printed.size() < 500, printed.c_str());
        QVERIFY2(printed.find("1000 in all") != std::string::npos && printed.find("5000 characters in all") != std::string::npos, printed.c_str());
        QCOMPARE(printableAssignment("no json", shortened), std::string("no json"));
    }

    void ringsTheMeasuredOne()
    {
        ReportContent content;
        QVERIFY(tradeOffSvg(content).empty());
        content.trials = {trialOn("a"), trialOn("b")};
        content.trials[1].metric = "sqnr";
        QVERIFY(tradeOffSvg(content).find("class=\"here\"") == std::string::npos);
        content.measured = true;
        content.accuracy = trialOn("a");
        const std::string known = tradeOffSvg(content);
        QCOMPARE(QString::fromStdString(known).count(QStringLiteral("class=\"dot\"")), 1);
        QVERIFY(known.find("class=\"here\"") != std::string::npos);
        content.accuracy.sizeBytes = 900;   // measured for this report, in no session
        QCOMPARE(QString::fromStdString(tradeOffSvg(content)).count(QStringLiteral("class=\"dot\"")), 2);
    }

    void quotesForTheShell()
    {
        QCOMPARE(shellWord("it's $x"), std::string("'it'\\''s $x'"));
    }
};

QTEST_APPLESS_MAIN(TestReportText)
#include "tst_report_text.moc"
