// SPDX-License-Identifier: GPL-3.0-or-later
#include "export_support.h"

#include "exporters/child_process.h"

#include <QElapsedTimer>
#include <QTemporaryDir>
#include <QtTest/QtTest>

#include <thread>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

using B = GraphBuilder;

Case small()
{
    B b;
    const auto x = b.input({-1, 6});
    auto y = b.node("aten::linear", {x, b.parameter("a.weight", at::randn({8, 6})), b.parameter("a.bias", at::randn({8}))}, "a");
    y = b.node("aten::relu", {y}, "relu");
    b.output(b.node("aten::linear", {y, b.parameter("b.weight", at::randn({4, 8})), B::none()}, "b"));
    take(normalize(b.graph));
    return {Network::make(b.graph, "small"), at::randn({40, 6})};
}

/// A program that stands in for Python.
QByteArray script(const QTemporaryDir &folder, const char *body)
{
    const QString path = folder.filePath(QStringLiteral("python-%1").arg(qHash(QByteArray(body))));
    QFile file(path);
    file.open(QIODevice::WriteOnly);
    file.write("#!/bin/sh\n");
    file.write(body);
    file.close();
    file.setPermissions(QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner);
    return path.toLocal8Bit();
}

} // namespace

class TestVerify : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void cleanup() { qputenv("BITWRIGHT_PYTHON", m_python); }
    void namesTheFirstDifferingLayer();
    void tellsRoundingFromDefects_data();
    void tellsRoundingFromDefects();
    void fallsBackWithoutRuntime_data();
    void fallsBackWithoutRuntime();
    void deadRuntimeIsAnError();
    void cancelEndsTheChild();
    void damagedFileIsAnError();
    void anotherAssignmentIsNamed();
    void inputsThatTheFileLeavesFloatAreNamed();
    void childAnswersLines();
    void childThatHangsIsKilled();

private:
    QTemporaryDir m_folder;
    QByteArray m_python;
    Case m_case;
    Exported m_exported;
    std::string m_path;
};

void TestVerify::initTestCase()
{
    m_python = QByteArray::fromStdString(pythonProgram());
    at::manual_seed(3);
    m_case = small();
    m_path = m_folder.filePath(QStringLiteral("x.onnx")).toStdString();
    auto exported = exportCase(m_case, uniformConfig(8, 8), m_path);
    QVERIFY2(exported, exported ? "" : exported.error().message.c_str());
    m_exported = std::move(*exported);
}

void TestVerify::namesTheFirstDifferingLayer()
{
    VerifyInput input;
    input.path = m_path;
    input.inputs = m_case.inputs;
    input.batch = 16;
    // A simulation that is one step off in one value of the second layer.
    bool first = true;
    input.simulate = [&](const NetworkInputs &rows) -> Result<SimulationTrace> {
        BW_ASSIGN(SimulationTrace made, trace(*m_exported.simulation, rows));
        if (first)
            made.quantizedInputs.at("b")[0][0][0] += float(m_exported.config.at("b").activation.values.at("scale")[0]);
        first = false;
        return made;
    };
    for (const bool own : {true, false}) {
        input.ownReaderOnly = own;
        first = true;
        const auto report = verifyFile(input, {});
        QVERIFY2(report, report ? "" : report.error().message.c_str());
        QCOMPARE(report->differingLevels, 1);
        QCOMPARE(QString::fromStdString(report->firstDifferingLayer), QStringLiteral("b"));
        QCOMPARE(report->layers.size(), std::size_t(2));
        QCOMPARE(report->layers[0].differingLevels, 0);
        QCOMPARE(report->samples, 40);
        QCOMPARE(report->differingSamples, 1);
        QVERIFY(report->reason.empty());   // nobody says what the values were
        QCOMPARE(report->top1Agreement, 1.0);
        QVERIFY(report->maxAbsDifference < 1e-5);
    }
}

void TestVerify::tellsRoundingFromDefects_data()
{
    QTest::addColumn<double>("beside");    // steps between the value and the border
    QTest::addColumn<int>("steps");        // how far apart the codes are
    QTest::addColumn<QString>("reason");
    QTest::newRow("on the border") << 0.0 << 1 << QStringLiteral("rounding: layer b, the first that differs, has 1 value that lies within ");
    QTest::newRow("beside it") << 1e-5 << 1 << QStringLiteral("rounding: ");
    QTest::newRow("far from it") << 0.2 << 1 << QStringLiteral("more than rounding: layer b, the first that differs, has values that lie up to 0.2 of a step");
    QTest::newRow("two steps") << 0.0 << 2 << QStringLiteral("more than rounding: layer b");
}

void TestVerify::tellsRoundingFromDefects()
{
    QFETCH(double, beside);
    QFETCH(int, steps);
    QFETCH(QString, reason);
    VerifyInput input;
    input.path = m_path;
    input.inputs = m_case.inputs;
    input.batch = 16;
    input.ownReaderOnly = true;
    const double scale = m_exported.config.at("b").activation.values.at("scale")[0];
    int batch = 0;
    input.simulate = [&](const NetworkInputs &rows) -> Result<SimulationTrace> {
        BW_ASSIGN(SimulationTrace made, trace(*m_exported.simulation, rows));
        if (batch++ == 1)   // the third sample of the second batch
            made.quantizedInputs.at("b")[0][2][1] += float(steps * scale);
        return made;
    };
    input.unquantized = [&](const std::string &layer, int call, const NetworkInputs &rows) -> Result<at::Tensor> {
        if (layer != "b" || call != 0 || !at::equal(rows.at(0).toTensor(), m_case.inputs.narrow(0, 16, 16)))
            return fail(ErrorKind::Invalid, "asked for something else");
        at::Tensor made = at::zeros({16, 8});
        made[2][1] = (3.5 + beside) * scale;
        return made;
    };
    const auto report = verifyFile(input, {});
    QVERIFY2(report, report ? "" : report.error().message.c_str());
    QCOMPARE(report->differingLevels, 1);
    QCOMPARE(report->differingSamples, 1);
    QVERIFY2(QString::fromStdString(report->reason).startsWith(reason), report->reason.c_str());
    QCOMPARE(report->reason.ends_with("all in 1 of 40 samples"), reason.startsWith(QStringLiteral("rounding")));
}

void TestVerify::fallsBackWithoutRuntime_data()
{
    QTest::addColumn<QByteArray>("body");
    QTest::newRow("no such program") << QByteArray();
    QTest::newRow("no onnxruntime") << QByteArray("echo '{\"missing\": \"No module named onnxruntime\"}'\n");
    QTest::newRow("not Python") << QByteArray("echo hello\n");
    QTest::newRow("ends at once") << QByteArray("exit 3\n");
}

void TestVerify::fallsBackWithoutRuntime()
{
    QFETCH(QByteArray, body);
    qputenv("BITWRIGHT_PYTHON", body.isEmpty() ? QByteArray("/nowhere/python") : script(m_folder, body));
    const auto report = verifyCase(m_case, m_exported, m_path, false);
    QVERIFY2(report, report ? "" : report.error().message.c_str());
    QCOMPARE(QString::fromStdString(report->runtime), QStringLiteral("Bitwright reader"));
    QCOMPARE(report->notes.size(), std::size_t(1));
    QCOMPARE(report->differingLevels, 0);
}

void TestVerify::deadRuntimeIsAnError()
{
    qputenv("BITWRIGHT_PYTHON", script(m_folder, "echo '{\"version\": \"0\"}'\nread line\nexit 1\n"));
    const auto report = verifyCase(m_case, m_exported, m_path, false);
    QVERIFY(!report);
    QCOMPARE(report.error().kind, ErrorKind::Io);
    QVERIFY2(report.error().message.contains("ended early"), report.error().message.c_str());
}

void TestVerify::cancelEndsTheChild()
{
    qputenv("BITWRIGHT_PYTHON", script(m_folder, "sleep 60\n"));
    std::stop_source source;
    JobContext context;
    context.stop = source.get_token();
    VerifyInput input;
    input.path = m_path;
    input.inputs = m_case.inputs;
    std::jthread stopper([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        source.request_stop();
    });
    QElapsedTimer timer;
    timer.start();
    const auto report = verifyFile(input, context);
    QVERIFY(!report);
    QVERIFY(isCancelled(report.error()));
    QVERIFY2(timer.elapsed() < 600, "the cancel took longer than 0.4 s");
}

void TestVerify::damagedFileIsAnError()
{
    const std::string path = m_folder.filePath(QStringLiteral("damaged.onnx")).toStdString();
    QFile whole(QString::fromStdString(m_path)), cut(QString::fromStdString(path));
    QVERIFY(whole.open(QIODevice::ReadOnly) && cut.open(QIODevice::WriteOnly));
    cut.write(whole.readAll().chopped(200));
    cut.close();
    const auto report = verifyCase(m_case, m_exported, path, false);
    QVERIFY(!report);
    QVERIFY(report.error().message.starts_with(path));
    VerifyInput nothing;
    nothing.path = m_path;
    QVERIFY(!verifyFile(nothing, {}));
}

void TestVerify::anotherAssignmentIsNamed()
{
    VerifyInput input;
    input.path = m_path;
    input.inputs = m_case.inputs;
    input.ownReaderOnly = true;
    const auto floating = Simulation::make(m_case.network, {}, false);
    QVERIFY(floating);
    input.simulate = [&](const NetworkInputs &rows) { return trace(**floating, rows); };
    const auto report = verifyFile(input, {});
    QVERIFY(!report);
    QVERIFY2(report.error().message.starts_with("layer a,"), report.error().message.c_str());
}

void TestVerify::inputsThatTheFileLeavesFloatAreNamed()
{
    const std::string path = m_folder.filePath(QStringLiteral("weights.onnx")).toStdString();
    QVERIFY(exportCase(m_case, uniformConfig(8, 32), path));
    const auto report = verifyCase(m_case, m_exported, path, true);
    QVERIFY2(report, report ? "" : report.error().message.c_str());
    QCOMPARE(report->firstDifferingLayer, std::string("a"));
    QVERIFY(std::ranges::any_of(report->notes, [](const std::string &note) { return note.starts_with("the file does not quantize the inputs of 2 layers"); }));
}

void TestVerify::childAnswersLines()
{
    ChildProcess child;
    QVERIFY(child.start({"cat"}));
    QVERIFY(child.running());
    for (const std::string line : {"one", "", "three and more"}) {
        QVERIFY(child.send(line));
        const auto answer = child.receive({}, std::chrono::seconds(10));
        QVERIFY(answer);
        QCOMPARE(*answer, line);
    }
    child.kill();
    QVERIFY(!child.running());
    const auto missing = child.start({"no-such-program-at-all"});
    QVERIFY(!missing);
    QCOMPARE(missing.error().kind, ErrorKind::Io);
}

void TestVerify::childThatHangsIsKilled()
{
    ChildProcess child;
    QVERIFY(child.start({"sleep", "60"}));
    const auto answer = child.receive({}, std::chrono::milliseconds(150));
    QVERIFY(!answer);
    QVERIFY(answer.error().message.contains("no answer"));
    QVERIFY(!child.running());
}

QTEST_APPLESS_MAIN(TestVerify)
#include "tst_verify.moc"
