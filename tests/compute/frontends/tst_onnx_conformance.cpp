// SPDX-License-Identifier: GPL-3.0-or-later
// Runs the conformance data that others made: Debian's libonnx-testdata and the node tests of the onnx package. Every
// case whose operators are known here must give the stored outputs; the table in docs/onnx.md comes from this run
// (BITWRIGHT_WRITE_DOCS=1 writes it).
#include "frontends/frontend.h"
#include "frontends/onnx/onnx_reader.h"
#include "graph/executor.h"

#include <ATen/ATen.h>
#include <QDirIterator>
#include <QProcess>
#include <QRegularExpression>
#include <QTemporaryDir>
#include <QtTest/QtTest>

#include <map>
#include <set>

using namespace bitwright;

namespace {

enum class Outcome { Passed, Missing, Failed };
struct Verdict {
    Outcome outcome = Outcome::Failed;
    QString why;
};

QByteArray bytesOf(const QString &path)
{
    QFile file(path);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

std::optional<c10::IValue> stored(const QString &path, const onnx::ValueInfo &info, QString &why)
{
    const QByteArray bytes = bytesOf(path);
    const auto value = onnx::parseValue({bytes.constData(), std::size_t(bytes.size())}, info);
    if (!value)
        return {};
    if (!value->there)
        return c10::IValue();
    c10::List<at::Tensor> list;
    for (auto tensor : value->tensors) {
        // Debian's older data keep bfloat16 as its bit patterns.
        if (info.type == onnx::DataType::BFloat16 && tensor.type == onnx::DataType::UInt16)
            tensor.type = info.type;
        const auto made = tensorOf(tensor);
        if (!made) {
            why = QString::fromStdString(made.error().message);
            return {};
        }
        list.push_back(*made);
    }
    return info.sequence ? c10::IValue(list) : c10::IValue(list.get(0));
}

QString difference(const at::Tensor &got, const at::Tensor &wanted)
{
    if (got.sizes() != wanted.sizes())
        return QStringLiteral("another shape");
    const at::Tensor a = got.to(at::kDouble), b = wanted.to(at::kDouble);
    const bool coarse = wanted.scalar_type() == at::kHalf || wanted.scalar_type() == at::kBFloat16;
    // A code may differ by one where a sum lies between two levels.
    const bool codes = wanted.scalar_type() == at::kByte || wanted.scalar_type() == at::kChar;
    const double relative = coarse ? 1e-2 : 1e-3, absolute = coarse ? 1e-2 : codes ? 1 : 1e-5;
    if (at::allclose(a, b, relative, absolute, true))
        return {};
    return QStringLiteral("differs by %1").arg((a - b).abs().max().item<double>());
}

QString compared(const c10::IValue &got, const c10::IValue &wanted)
{
    if (wanted.isNone())
        return got.isNone() ? QString() : QStringLiteral("a value where there is none");
    if (wanted.isTensor())
        return got.isTensor() ? difference(got.toTensor(), wanted.toTensor()) : QStringLiteral("no tensor");
    if (!got.isList() || got.toListRef().size() != wanted.toListRef().size())
        return QStringLiteral("a sequence of another length");
    for (std::size_t i = 0; i < got.toListRef().size(); ++i)
        if (const QString why = difference(got.toListRef()[i].toTensor(), wanted.toListRef()[i].toTensor()); !why.isEmpty())
            return why;
    return {};
}

Verdict judge(const QString &folder)
{
    const std::string path = QString(folder + QLatin1String("/model.onnx")).toStdString();
    const auto model = onnx::readModel(path);
    auto graph = loadGraph(path);
    if (!model || !graph) {
        const auto &error = graph ? model.error() : graph.error();
        return {error.kind == ErrorKind::Unsupported ? Outcome::Missing : Outcome::Failed, QString::fromStdString(error.message)};
    }
    if (!graph->obstacles.empty())
        return {Outcome::Missing, QString::fromStdString(graph->obstacles.front())};
    const Executor executor(std::make_shared<const Graph>(std::move(*graph)));
    std::set<std::string> initializers;
    for (const auto &tensor : model->graph.initializers)
        initializers.insert(tensor.name);
    for (const QString &set : QDir(folder).entryList({QStringLiteral("test_data_set_*")}, QDir::Dirs)) {
        const QString data = folder + QLatin1Char('/') + set;
        std::vector<c10::IValue> inputs;
        QString why;
        int at = 0;
        for (const auto &info : model->graph.inputs) {
            const QString file = QStringLiteral("%1/input_%2.pb").arg(data).arg(at++);
            if (initializers.contains(info.name))
                continue;
            const auto value = stored(file, info, why);
            if (!value)
                return {Outcome::Missing, QLatin1String("an input, ") + why};
            inputs.push_back(*value);
        }
        const auto parameters = executor.bind();
        const auto outputs = executor.run(inputs, parameters);
        if (!outputs)
            return {Outcome::Failed, QString::fromStdString(outputs.error().message)};
        for (std::size_t i = 0; i < model->graph.outputs.size(); ++i) {
            const auto wanted = stored(QStringLiteral("%1/output_%2.pb").arg(data).arg(i), model->graph.outputs[i], why);
            if (!wanted)
                return {Outcome::Missing, QLatin1String("an output, ") + why};
            if (const QString differs = compared(outputs->at(i), *wanted); !differs.isEmpty())
                return {Outcome::Failed, QStringLiteral("output %1 %2").arg(i).arg(differs)};
        }
    }
    return {Outcome::Passed, {}};
}

/// Cases whose stored outputs cannot be had by running the file once, or whose outputs this program does not promise.
bool isExcepted(const QString &name)
{
    // Drawn numbers are not those of NumPy's generator.
    // BitwiseNot of uint16 needs the type's width, which our wider stand-in lacks.
    static const QRegularExpression kDrawn(QStringLiteral("^test_(bernoulli|training_dropout).*|^test_bitwise_not_3d$"));
    return kDrawn.match(name).hasMatch();
}

std::set<QString> operatorsOf(const QString &path)
{
    std::set<QString> names;
    if (const auto model = onnx::readModel(path.toStdString()))
        for (const auto &node : model->graph.nodes)
            names.insert(QString::fromStdString(node.domain.empty() ? node.op : node.domain + "::" + node.op));
    return names;
}

struct Tally { int passed = 0, missing = 0, failed = 0; };
struct Suite {
    Tally total;
    std::map<QString, Tally> operators;
    std::map<QString, QString> missing;     ///< by case
    QStringList failures;
};

Suite runSuite(const QString &root)
{
    Suite suite;
    QDirIterator all(root, {QStringLiteral("model.onnx")}, QDir::Files, QDirIterator::Subdirectories);
    QStringList folders;
    while (all.hasNext()) {
        all.next();
        folders << all.fileInfo().absolutePath();
    }
    folders.sort();
    for (const QString &folder : folders) {
        const QString name = QFileInfo(folder).fileName();
        const Verdict verdict = judge(folder);
        const auto count = [&](Tally &tally) {
            ++(verdict.outcome == Outcome::Passed ? tally.passed : verdict.outcome == Outcome::Missing ? tally.missing : tally.failed);
        };
        count(suite.total);
        for (const QString &op : operatorsOf(folder + QLatin1String("/model.onnx")))
            count(suite.operators[op]);
        if (verdict.outcome == Outcome::Missing)
            suite.missing[name] = verdict.why;
        else if (verdict.outcome == Outcome::Failed && !isExcepted(name))
            suite.failures << name + QLatin1String(": ") + verdict.why;
    }
    return suite;
}

} // namespace

class TestOnnxConformance : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void debian();
    void nodeTests();
    void cleanupTestCase();

private:
    void report(const char *title, const Suite &suite);
    std::map<std::string, Suite> m_suites;
};

void TestOnnxConformance::report(const char *title, const Suite &suite)
{
    qInfo("%s: %d passed, %d missing, %d failed", title, suite.total.passed, suite.total.missing, suite.total.failed);
    if (qEnvironmentVariableIsSet("BITWRIGHT_SHOW_MISSING"))
        for (const auto &[name, why] : suite.missing)
            qInfo("missing %s: %s", qPrintable(name), qPrintable(why));
    for (const QString &failure : suite.failures)
        qWarning("%s", qPrintable(failure));
    m_suites[title] = suite;
    QVERIFY(suite.failures.isEmpty());
}

void TestOnnxConformance::debian()
{
    const QString root = QStringLiteral("/usr/share/libonnx-testdata/data");
    if (!QFileInfo::exists(root))
        QSKIP("libonnx-testdata is not installed");
    report("libonnx-testdata", runSuite(root));
}

void TestOnnxConformance::nodeTests()
{
    // The package makes its node tests when asked; they are no files in it.
    QTemporaryDir folder;
    QProcess python;
    python.start(qEnvironmentVariable("BITWRIGHT_PYTHON"),
                 {QStringLiteral(BITWRIGHT_TEST_DATA "/support/make_node_tests.py"), folder.path()});
    if (!python.waitForStarted())
        QSKIP("there is no Python");
    QVERIFY(python.waitForFinished(120'000));
    if (python.exitCode() != 0)
        QSKIP("the onnx package is not installed");
    report("onnx.backend.test", runSuite(folder.path()));
}

// The table of docs/onnx.md.
void TestOnnxConformance::cleanupTestCase()
{
    if (m_suites.size() < 2 || !qEnvironmentVariableIsSet("BITWRIGHT_WRITE_DOCS"))
        return;
    QFile file(qEnvironmentVariable("BITWRIGHT_SOURCE_DIR") + QLatin1String("/docs/onnx.md"));
    QVERIFY(file.open(QIODevice::ReadOnly));
    QString text = QString::fromUtf8(file.readAll());
    file.close();
    QString table = QStringLiteral("| operator | libonnx-testdata | onnx.backend.test | not run |\n| --- | --- | --- | --- |\n");
    std::set<QString> names;
    for (const auto &[title, suite] : m_suites)
        for (const auto &[name, tally] : suite.operators)
            names.insert(name);
    for (const QString &name : names) {
        const Tally a = m_suites["libonnx-testdata"].operators[name], b = m_suites["onnx.backend.test"].operators[name];
        table += QStringLiteral("| %1 | %2 | %3 | %4 |\n").arg(name).arg(a.passed).arg(b.passed).arg(a.missing + b.missing + a.failed + b.failed);
    }
    static const QRegularExpression kBetween(QStringLiteral("(<!-- table -->\n).*(<!-- end -->)"), QRegularExpression::DotMatchesEverythingOption);
    text.replace(kBetween, QLatin1String("\\1") + table + QLatin1String("\\2"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(text.toUtf8());
}

QTEST_APPLESS_MAIN(TestOnnxConformance)
#include "tst_onnx_conformance.moc"
