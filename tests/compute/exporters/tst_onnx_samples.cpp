// SPDX-License-Identifier: GPL-3.0-or-later
#include "export_support.h"

#include <QTemporaryDir>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

// The sample networks, exported, give ONNX Runtime the answers of the simulation. BITWRIGHT_VERIFY_DATA and
// BITWRIGHT_VERIFY_LIMIT choose more images than the 256 of every day.
class TestOnnxSamples : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void agrees_data();
    void agrees();
};

void TestOnnxSamples::agrees_data()
{
    QTest::addColumn<QString>("file");
    QTest::addColumn<int>("weight");
    QTest::addColumn<int>("activation");
    QTest::addColumn<bool>("folded");
    for (const char *file : {"resnet20.pt2", "vgg_small.pt2", "mobilenetv2_small.pt2"}) {
        const QString name = QString::fromLatin1(file);
        QTest::addRow("%s W8A8", file) << name << 8 << 8 << false;
        QTest::addRow("%s W4A8 folded", file) << name << 4 << 8 << true;
        QTest::addRow("%s W4A4", file) << name << 4 << 4 << false;
        if (name.startsWith(QStringLiteral("resnet")))
            QTest::addRow("%s W8A8 folded", file) << name << 8 << 8 << true;
    }
    QTest::addRow("resnet20.pt W2A2") << QStringLiteral("resnet20.pt") << 2 << 2 << false;
}

void TestOnnxSamples::agrees()
{
    QFETCH(QString, file);
    QFETCH(int, weight);
    QFETCH(int, activation);
    QFETCH(bool, folded);
    const std::string model = file.toStdString();
    if (!QFile::exists(QString::fromStdString(samplePath(model))))
        QSKIP("the sample is not there");
    const bool longer = qEnvironmentVariableIsSet("BITWRIGHT_VERIFY_DATA");
    const auto data = openSampleData(longer ? qgetenv("BITWRIGHT_VERIFY_DATA").toStdString() : "sample:test", model);
    const int limit = longer ? qEnvironmentVariableIntValue("BITWRIGHT_VERIFY_LIMIT") : 256;
    const Case made{openSample(model), data->inputs(0, std::min<std::int64_t>(limit > 0 ? limit : data->size(), data->size()))};
    const Case calibration{made.network, made.inputs.narrow(0, 0, std::min<std::int64_t>(256, made.inputs.size(0)))};
    ModelConfig config = uniformConfig(weight, activation);
    config.foldBatchNorm = folded;
    QTemporaryDir folder;
    const std::string path = folder.filePath(QStringLiteral("x.onnx")).toStdString();
    const auto exported = exportCase(calibration, config, path);
    QVERIFY2(exported, exported ? "" : exported.error().message.c_str());
    const auto checked = checkerMessage({QString::fromStdString(path)});
    QVERIFY2(checked.isEmpty(), qPrintable(checked));
    for (const bool own : {false, true}) {
        QElapsedTimer timer;
        timer.start();
        const auto report = verifyCase(made, *exported, path, own);
        QVERIFY2(report, report ? "" : report.error().message.c_str());
        qInfo("%s: %s, %lld bytes, agreement %.5f, difference %.3g, %lld levels differ, first %s, %.1f s", qPrintable(file),
              report->runtime.c_str(), static_cast<long long>(exported->report.bytes), report->top1Agreement, report->maxAbsDifference,
              static_cast<long long>(report->differingLevels), report->firstDifferingLayer.c_str(), double(timer.elapsed()) / 1000);
        QVERIFY(report->runtime.starts_with(own ? "Bitwright" : "ONNX Runtime"));
        QVERIFY(report->top1Agreement >= (own ? 1.0 : 0.999));
        QVERIFY(!own || report->differingLevels == 0);
    }
}

QTEST_APPLESS_MAIN(TestOnnxSamples)
#include "tst_onnx_samples.moc"
