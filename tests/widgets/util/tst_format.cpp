// SPDX-License-Identifier: GPL-3.0-or-later
#include "util/data_spec.h"
#include "util/format.h"

#include <QLocale>
#include <QTest>

#include <limits>

using namespace bitwright;

class TstFormat : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QLocale::setDefault(QLocale::c()); }
    void numbers_data();
    void numbers();
    void metricsWithTheirInterval();
    void dataSpecsGoThereAndBack_data();
    void dataSpecsGoThereAndBack();
    void dataSpecProblems();
};

void TstFormat::numbers_data()
{
    QTest::addColumn<QString>("text");
    QTest::addColumn<QString>("expected");
    const double nan = std::numeric_limits<double>::quiet_NaN();
    QTest::newRow("bytes") << formatBytes(999) << QStringLiteral("999\u202FB");
    QTest::newRow("kilobytes") << formatBytes(1088) << QStringLiteral("1.09\u202FkB");
    QTest::newRow("megabytes") << formatBytes(12345678) << QStringLiteral("12.3\u202FMB");
    QTest::newRow("just below a unit") << formatBytes(999600) << QStringLiteral("1.00\u202FMB");
    QTest::newRow("count") << formatCount(270896) << QStringLiteral("271\u202Fk");
    QTest::newRow("small count") << formatCount(144) << QStringLiteral("144");
    QTest::newRow("share") << formatShare(0.91423) << QStringLiteral("91.42\u202F%");
    QTest::newRow("no share") << formatShare(nan) << QStringLiteral("–");
    QTest::newRow("fall") << formatShareChange(-0.0035) << QStringLiteral("−0.35\u202Fpp");
    QTest::newRow("no change") << formatShareChange(-0.000001) << QStringLiteral("0.00\u202Fpp");
    QTest::newRow("decibel") << formatDecibel(38.123) << QStringLiteral("38.1\u202FdB");
    QTest::newRow("infinite") << formatDecibel(std::numeric_limits<double>::infinity()) << QStringLiteral("–");
    QTest::newRow("ratio") << formatRatio(4) << QStringLiteral("4.00×");
    QTest::newRow("seconds") << formatDuration(3.2) << QStringLiteral("3 s");
    QTest::newRow("minutes") << formatDuration(125) << QStringLiteral("2 min 05 s");
    QTest::newRow("hours") << formatDuration(4320) << QStringLiteral("1 h 12 min");
    QTest::newRow("shape") << formatShape({-1, 3, 28}) << QStringLiteral("N × 3 × 28");
    QTest::newRow("one") << counted(1, QStringLiteral("%1 layer"), QStringLiteral("%1 layers")) << QStringLiteral("1 layer");
    QTest::newRow("many") << counted(0, QStringLiteral("%1 layer"), QStringLiteral("%1 layers")) << QStringLiteral("0 layers");
}

void TstFormat::numbers()
{
    QFETCH(QString, text);
    QTEST(text, "expected");
}

void TstFormat::metricsWithTheirInterval()
{
    QCOMPARE(formatMetric("top1", 0.9, 0.894, 0.906), QStringLiteral("90.00\u202F% ±0.60"));
    QCOMPARE(formatMetric("sqnr", 21.26, 0, 0), QStringLiteral("21.3\u202FdB"));
}

void TstFormat::dataSpecsGoThereAndBack_data()
{
    QTest::addColumn<QString>("text");
    for (const char *text : {"", "sample:test", "synthetic", "synthetic,limit=64", "idx:/data/mnist,split=test,limit=100,first=10",
                             "images:photos,size=224x224,mean=0.4|0.5|0.6,std=0.2|0.2|0.2", "npz:a.npz,mean=0.5"})
        QTest::newRow(text) << QString::fromLatin1(text);
}

void TstFormat::dataSpecsGoThereAndBack()
{
    QFETCH(QString, text);
    QCOMPARE(toText(dataSpecFromText(text)), text);
}

void TstFormat::dataSpecProblems()
{
    QVERIFY(dataSpecProblem(dataSpecFromText(QStringLiteral("sample:test"))).isEmpty());
    QCOMPARE(dataSpecProblem(dataSpecFromText(QStringLiteral("idx:"))), QStringLiteral("Choose a file or folder."));
    QCOMPARE(dataSpecProblem(dataSpecFromText(QStringLiteral("npz:no/such.npz"))), QStringLiteral("no/such.npz is not there; choose another path."));
    const QString here = QStringLiteral(BITWRIGHT_TEST_DATA);
    QVERIFY(dataSpecProblem({.kind = QStringLiteral("npz"), .path = here}).contains(QStringLiteral("is a folder")));
    QVERIFY(dataSpecProblem({.kind = QStringLiteral("images"), .path = here, .size = QStringLiteral("224")}).contains(QStringLiteral("height x width")));
    QVERIFY(dataSpecProblem({.kind = QStringLiteral("idx"), .path = here, .mean = QStringLiteral("a|b")}).contains(QStringLiteral("numbers")));
}

QTEST_APPLESS_MAIN(TstFormat)
#include "tst_format.moc"
