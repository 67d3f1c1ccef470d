// SPDX-License-Identifier: GPL-3.0-or-later
#include "control_cases.h"
#include "export_support.h"

#include "engine/export_model.h"
#include "exporters/fake_quant_graph.h"
#include "simulate/masking.h"

#include <QTemporaryDir>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// What PyTorch itself makes of the files: loads each, runs it on the raw input, compares with the raw answer. Prints
/// "ok", the largest difference and whether another batch runs.
constexpr const char *kTorch = R"python(
import sys, torch
kind, path, x, y, shape = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], [int(s) for s in sys.argv[5].split(",")]
read = lambda f: torch.frombuffer(bytearray(open(f, "rb").read()), dtype=torch.float32)
x = read(x).reshape(shape)
net = torch.export.load(path).module() if kind == "pt2" else torch.jit.load(path).eval()
with torch.no_grad():
    out = net(x)
    net(x[:1]), net(x[:7])
names = sorted(n for n, _ in net.named_parameters())
print("ok", float((out.flatten() - read(y)).abs().max()), names[0], len(names))
)python";

constexpr const char *kStateDict = R"python(
import sys, torch
state = torch.load(sys.argv[1], weights_only=True)
net = torch.jit.load(sys.argv[2])
own = dict(net.named_parameters()) | dict(net.named_buffers())
missing = set(own) - set(state)
print("ok", len(state), sorted(missing)[:3], state["conv1.weight"].unique().numel(), state["conv1.weight"].is_contiguous())
)python";

QString python(const char *script, const QStringList &arguments)
{
    QProcess process;
    process.start(QString::fromStdString(pythonProgram()), QStringList{QStringLiteral("-c"), QString::fromLatin1(script)} + arguments);
    if (!process.waitForFinished(120000))
        return QStringLiteral("python did not end");
    return QString::fromLocal8Bit(process.exitCode() == 0 ? process.readAllStandardOutput() : process.readAllStandardError());
}

QString raw(const QTemporaryDir &folder, const QString &name, const at::Tensor &tensor)
{
    const at::Tensor flat = tensor.contiguous();
    QFile file(folder.filePath(name));
    if (!file.open(QIODevice::WriteOnly))
        throw std::runtime_error("a temporary file cannot be written");
    file.write(static_cast<const char *>(flat.const_data_ptr()), qint64(flat.nbytes()));
    return file.fileName();
}

ModelConfig methods(const std::string &weight, int weightBits, const std::string &activation, int activationBits, bool folded = false)
{
    ModelConfig config;
    config.foldBatchNorm = folded;
    if (!weight.empty()) {
        config.defaults.weight.method = weight;
        config.defaults.weight.bits = weightBits;
    }
    if (!activation.empty()) {
        config.defaults.activation.method = activation;
        config.defaults.activation.bits = activationBits;
    }
    return config;
}

ModelConfig pruned(ModelConfig config)
{
    config.defaults.prune.method = "magnitude";
    config.defaults.prune.sparsity = 0.5;
    return config;
}

ModelConfig learnedSteps(ModelConfig config)
{
    config.defaults.weight.options["learned_step"] = true;
    config.defaults.activation.options["learned_step"] = true;
    return config;
}

const std::map<std::string, ModelConfig> &configs()
{
    static const std::map<std::string, ModelConfig> table{
        {"uniform W4A4", uniformConfig(4, 4)},
        {"uniform W4A8 folded", methods("uniform", 4, "uniform", 8, true)},
        {"lsq W3A3", learnedSteps(methods("uniform", 3, "uniform", 3))},
        {"twn, lqnets inputs", methods("twn", 2, "lqnets", 2)},
        {"pruned uniform W4", pruned(methods("uniform", 4, "", 0))},
        {"float", ModelConfig{}},
    };
    return table;
}

struct Made {
    ConfiguredModel model;
    at::Tensor inputs;
};

Made configured(const std::string &file, const ModelConfig &config, std::int64_t samples = 48)
{
    const auto network = openSample(file);
    const auto data = openSampleData("sample:test", file);
    Dataset calibration = datasetOf(data->inputs(0, 64));
    return {{network, config, resolveAndCalibrate(network, config, calibration, 64), {}}, data->inputs(0, samples)};
}

} // namespace

// TorchScript, .pt2 and state dicts give PyTorch the configured network.
class TestTorchExports : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void agrees_data();
    void agrees();
    void stateDictHoldsTheWeights();
    void stateDictIsVerified();
    void changedStateDictsAreNamed();
    void containersAndNumbersAreVerified_data();
    void containersAndNumbersAreVerified();
    void stepsEqualTheQuantizer();
    void refusesForeignOperators();
    void differingLevelsAreFound();
};

void TestTorchExports::agrees_data()
{
    QTest::addColumn<QString>("file");
    QTest::addColumn<QString>("format");
    QTest::addColumn<QString>("config");
    for (const char *format : {"pt2", "torchscript"}) {
        for (const auto &[name, config] : configs())
            QTest::addRow("resnet20.pt2 %s %s", format, name.c_str()) << QStringLiteral("resnet20.pt2") << QString::fromLatin1(format) << QString::fromStdString(name);
        for (const char *file : {"resnet20.pt", "vgg_small.pt2", "vgg_small.pt", "mobilenetv2_small.pt2", "mobilenetv2_small.pt"})
            QTest::addRow("%s %s", file, format) << QString::fromLatin1(file) << QString::fromLatin1(format) << QStringLiteral("uniform W4A4");
    }
}

void TestTorchExports::agrees()
{
    QFETCH(QString, file);
    QFETCH(QString, format);
    QFETCH(QString, config);
    const Made made = configured(file.toStdString(), configs().at(config.toStdString()));
    QTemporaryDir folder;
    const std::string path = folder.filePath(QStringLiteral("x.bin")).toStdString();
    QElapsedTimer timer;
    timer.start();
    const auto report = exportModel(made.model, format.toStdString(), path, made.inputs.narrow(0, 0, 2), {});
    QVERIFY2(report, report ? "" : report.error().message.c_str());
    const double exported = double(timer.restart()) / 1000;
    VerifyInput verify;
    verify.path = path;
    verify.format = format.toStdString();
    verify.inputs = made.inputs;
    take(setSimulation(verify, made.model));
    const bool byPyTorch = file.endsWith(QStringLiteral(".pt2")) && (config != QStringLiteral("float") && !config.startsWith(QStringLiteral("pruned")));
    for (const bool own : {false, true}) {
        if (!own && format == QStringLiteral("pt2") && !byPyTorch)
            continue;   // starting Python takes seconds
        timer.restart();
        verify.ownReaderOnly = own;
        const auto seen = verifyFile(verify, {});
        QVERIFY2(seen, seen ? "" : seen.error().message.c_str());
        qInfo("%s, difference %.3g, %lld levels differ, first %s, export %.2f s, verify %.2f s", seen->runtime.c_str(), seen->maxAbsDifference,
              static_cast<long long>(seen->differingLevels), seen->firstDifferingLayer.c_str(), exported, double(timer.elapsed()) / 1000);
        QVERIFY(seen->runtime.starts_with(own ? "Bitwright" : format == QStringLiteral("pt2") ? "PyTorch" : "LibTorch"));
        QCOMPARE(seen->differingLevels, 0);
        QVERIFY(seen->maxAbsDifference <= 2e-5);
        QCOMPARE(seen->top1Agreement, 1.0);
        if (config != QStringLiteral("float") && !config.startsWith(QStringLiteral("pruned")))
            QVERIFY(seen->layers.size() > 5);
    }
    if (file != QStringLiteral("resnet20.pt2") || (config != QStringLiteral("uniform W4A4") && !config.startsWith(QStringLiteral("twn"))))
        return;   // starting Python takes seconds
    const auto simulated = take(verify.simulate({made.inputs}));
    const QString said = python(kTorch, {format, QString::fromStdString(path), raw(folder, QStringLiteral("x"), made.inputs),
                                         raw(folder, QStringLiteral("y"), simulated.output.to(at::kFloat)),
                                         QStringLiteral("%1,1,28,28").arg(made.inputs.size(0))});
    QVERIFY2(said.startsWith(QStringLiteral("ok ")), qPrintable(said));
    QVERIFY2(said.split(QChar(u' '))[1].toDouble() <= 2e-5, qPrintable(said));
}

void TestTorchExports::stateDictHoldsTheWeights()
{
    const Made made = configured("resnet20.pt2", configs().at("uniform W4A4"));
    QTemporaryDir folder;
    const std::string path = folder.filePath(QStringLiteral("x.pth")).toStdString();
    const auto report = exportModel(made.model, "state_dict", path, {}, {});
    QVERIFY2(report, report ? "" : report.error().message.c_str());
    QCOMPARE(report->bytes, QFileInfo(QString::fromStdString(path)).size());
    const QString said = python(kStateDict, {QString::fromStdString(path), QString::fromStdString(samplePath("resnet20.pt"))});
    QVERIFY2(said.startsWith(QStringLiteral("ok ")), qPrintable(said));
    qInfo("%s", qPrintable(said));
    QVERIFY2(said.contains(QStringLiteral("[]")) && said.contains(QStringLiteral("True")), qPrintable(said));
}

void TestTorchExports::stateDictIsVerified()
{
    // Pruned, folded, inputs quantized: the file's tensors are the simulation's.
    for (const char *name : {"uniform W4A4", "uniform W4A8 folded", "pruned uniform W4"}) {
        const Made made = configured("resnet20.pt2", configs().at(name));
        QTemporaryDir folder;
        VerifyInput verify;
        verify.path = folder.filePath(QStringLiteral("x.pth")).toStdString();
        verify.format = "state_dict";
        verify.inputs = made.inputs;
        const auto written = exportModel(made.model, "state_dict", verify.path, {}, {});
        QVERIFY2(written, written ? "" : written.error().message.c_str());
        take(setSimulation(verify, made.model));
        for (const bool own : {false, true}) {
            verify.ownReaderOnly = own;
            if (!own && made.model.config.foldBatchNorm)
                continue;   // starting Python takes seconds
            const auto report = verifyFile(verify, {});
            QVERIFY2(report, report ? "" : report.error().message.c_str());
            QVERIFY2(report->runtime.starts_with(own ? "Bitwright reader" : "PyTorch "), report->runtime.c_str());
            QCOMPARE(report->layers.size(), made.model.network->graph(made.model.config.foldBatchNorm).parameters.size());
            QCOMPARE(report->differingLevels, 0);
            QCOMPARE(report->samples, 48);
            QCOMPARE(report->maxAbsDifference, 0.0);
            QCOMPARE(report->top1Agreement, 1.0);
            QVERIFY(report->reason.empty() && report->firstDifferingLayer.empty());
        }
        // Without samples the tensors alone are compared.
        verify.inputs = at::Tensor();
        const auto report = verifyFile(verify, {});
        QVERIFY2(report, report ? "" : report.error().message.c_str());
        QCOMPARE(report->samples, 0);
        QCOMPARE(report->differingLevels, 0);
    }
}

/// Changes to a state dict, in Python on `state`; the tensor that the report or, where it is refused, the error names.
struct Change {
    const char *code, *first;
    bool refused;
};
const std::vector<Change> &changes()
{
    static const std::vector<Change> table{{"state[n][0, 0, 1, 1] += 0.25", "layer2.0.conv1.weight", false},
                                           {"state[n] += 1; state['fc.bias'] += 1", "layer2.0.conv1.weight", false},
                                           {"state[n][0] = float('nan')", "layer2.0.conv1.weight", false},
                                           {"del state[n]", "layer2.0.conv1.weight", true},
                                           {"state['layer9.weight'] = torch.ones(3)", "layer9.weight", true},
                                           {"state[n] = state[n][:, :, :, :2].contiguous()", "layer2.0.conv1.weight", true}};
    return table;
}

void TestTorchExports::changedStateDictsAreNamed()
{
    const Made made = configured("resnet20.pt2", configs().at("uniform W4A4"), 16);
    QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("x.pth"));
    take(exportModel(made.model, "state_dict", path.toStdString(), {}, {}));
    QByteArray script = "import sys, torch\nn = 'layer2.0.conv1.weight'\n";   // one Python for all: it takes seconds to start
    for (const Change &change : changes())
        script += QByteArray("state = torch.load(sys.argv[1], weights_only=True)\n") + change.code + "\ntorch.save(state, sys.argv[1] + str(len(sys.argv)))\nsys.argv.append('')\n";
    const QString said = python(QByteArray(script + "print('ok')\n").constData(), {path});
    QVERIFY2(said.startsWith(QStringLiteral("ok")), qPrintable(said));
    for (std::size_t i = 0; i < changes().size(); ++i) {
        const Change &change = changes()[i];
        VerifyInput verify;
        verify.path = path.toStdString() + std::to_string(i + 2);
        verify.format = "state_dict";
        verify.inputs = made.inputs;
        verify.ownReaderOnly = i > 0;
        take(setSimulation(verify, made.model));
        const auto report = verifyFile(verify, {});
        if (change.refused) {
            QVERIFY2(!report, change.code);
            QVERIFY2(report.error().message.contains(std::string("tensor ") + change.first), report.error().message.c_str());
            continue;
        }
        QVERIFY2(report, report ? "" : report.error().message.c_str());
        QCOMPARE(report->firstDifferingLayer, std::string(change.first));
        QVERIFY2(report->reason.contains(change.first), report->reason.c_str());
        QVERIFY(report->differingLevels > 0);
        if (i == 0) {
            QCOMPARE(report->differingLevels, 1);
            QVERIFY(report->maxAbsDifference > 0);   // of the network's output
        }
    }
}

void TestTorchExports::containersAndNumbersAreVerified_data()
{
    QTest::addColumn<QString>("file");
    for (const char *file : {"dict_in_out.pt", "lists_and_tuples.pt", "numbers.pt", "dict_in_out_traced.pt", "structured.pt2", "scalar_inputs.pt2"})
        QTest::newRow(file) << QString::fromLatin1(file);
}

/// Networks that take and give lists, tuples, dictionaries and numbers, in LibTorch and in PyTorch.
void TestTorchExports::containersAndNumbersAreVerified()
{
    QFETCH(QString, file);
    const std::string folder = controlFolder();
    QVERIFY2(!folder.empty(), "make_control.py failed");
    VerifyInput verify;
    verify.path = folder + "/" + file.toStdString();
    verify.format = file.endsWith(QStringLiteral(".pt2")) ? "pt2" : "torchscript";
    const auto network = take(Network::open(verify.path));
    const NetworkInputs inputs = caseInputs(network->graph(), readExpected(folder + "/" + file.section(QChar(u'.'), 0, 0).toStdString() + ".expected"), 0);
    QVERIFY(inputs.size() > 1);
    verify.samples = 2;
    verify.batch = 2;
    verify.rows = [&](std::int64_t, std::int64_t) -> Result<NetworkInputs> { return inputs; };
    take(setSimulation(verify, {network, {}, {}, {}}));
    for (const bool own : {false, true}) {
        verify.ownReaderOnly = own;
        const auto report = verifyFile(verify, {});
        QVERIFY2(report, report ? "" : report.error().message.c_str());
        QVERIFY2(report->runtime.starts_with(own ? "Bitwright" : verify.format == "pt2" ? "PyTorch" : "LibTorch"), report->runtime.c_str());
        QVERIFY(report->maxAbsDifference < 1e-5);
        QCOMPARE(report->samples, 2);
    }
    // The comparison can fail.
    const Simulate simulate = verify.simulate;
    verify.simulate = [&](const NetworkInputs &rows) -> Result<SimulationTrace> {
        BW_ASSIGN(SimulationTrace made, simulate(rows));
        made.output = made.output + 1;
        return made;
    };
    QVERIFY(std::abs(take(verifyFile(verify, {})).maxAbsDifference - 1) < 1e-4);
}

void TestTorchExports::stepsEqualTheQuantizer()
{
    // Values on and beside every threshold, infinities and NaN.
    for (const auto &[method, bits] : std::map<std::string, int>{{"uniform", 3}, {"lqnets", 2}, {"lloyd", 3}, {"hwgq", 2}}) {
        GraphBuilder b;
        const auto x = b.input({-1, 8});
        b.output(b.node("aten::linear", {x, b.parameter("fc.weight", at::eye(8)), GraphBuilder::none()}, "fc"));
        take(normalize(b.graph));
        const Case made{Network::make(b.graph, "case"), at::randn({512, 8})};
        const ModelConfig config = methods("", 0, method, bits);
        const ResolvedConfig resolved = resolveAndCalibrate(made.network, config, datasetOf(made.inputs), 512);
        const ConfiguredModel model{made.network, config, resolved, {}};
        const auto rewritten = take(fakeQuantGraph(take(exportInput(model, {}))));
        auto quantizer = take(makeQuantizer(resolved.at("fc").activation, {"fc", Role::Activation, 0, false}));
        std::vector<float> probes{INFINITY, -INFINITY, NAN, 0.0f, -0.0f};
        for (const double t : quantizer->grid().thresholds(0))
            for (const float v : {float(t), std::nextafter(float(t), -INFINITY), std::nextafter(float(t), INFINITY)})
                probes.push_back(v);
        while (probes.size() % 8 != 0)
            probes.push_back(1.0f);
        const at::Tensor input = at::tensor(probes).reshape({-1, 8});
        Graph graph = rewritten.graph;
        const auto sites = fakeQuantSites(graph);
        QCOMPARE(sites.size(), std::size_t(1));
        graph.outputs = {Argument::of(sites[0].value)};
        const Executor executor(std::make_shared<const Graph>(graph));
        const c10::IValue argument(input);
        const at::Tensor found = take(executor.run(std::span(&argument, 1), executor.bind()))[0].toTensor();
        const at::Tensor wanted = quantizer->apply(input, false);
        QVERIFY2(at::allclose(found, wanted, 0, 0, true), method.c_str());
    }
}

void TestTorchExports::refusesForeignOperators()
{
    GraphBuilder b;
    const auto x = b.input({-1, 8});
    const auto y = b.node("aten::linear", {x, b.parameter("fc.weight", at::randn({8, 8})), GraphBuilder::none()}, "fc");
    b.output(b.node("aten::relu", {y}, "odd"));
    take(normalize(b.graph));
    b.graph.nodes.back().op = "onnx::TopologicalSort";
    QVERIFY(!onlyAtenNodes(b.graph, "TorchScript"));
    const std::string message = onlyAtenNodes(b.graph, "TorchScript").error().message;
    QVERIFY2(message.contains("onnx::TopologicalSort") && message.contains("odd") && message.contains("TorchScript"), message.c_str());
}

void TestTorchExports::differingLevelsAreFound()
{
    // A file made with other ranges than the assignment that it is compared with.
    const Made made = configured("resnet20.pt2", configs().at("uniform W4A4"), 16);
    Made other = made;
    for (auto &[name, layer] : other.model.resolved)
        for (double &scale : layer.activation.values.at("scale"))
            scale *= 1.01;
    QTemporaryDir folder;
    const std::string path = folder.filePath(QStringLiteral("x.pt2")).toStdString();
    take(exportModel(other.model, "pt2", path, {}, {}));
    VerifyInput verify;
    verify.path = path;
    verify.format = "pt2";
    verify.inputs = made.inputs;
    verify.ownReaderOnly = true;
    take(setSimulation(verify, made.model));
    const VerifyReport seen = take(verifyFile(verify, {}));
    QVERIFY(seen.differingLevels > 0);
    QVERIFY(!seen.firstDifferingLayer.empty());
    QVERIFY(seen.maxAbsDifference > 0);
}

QTEST_APPLESS_MAIN(TestTorchExports)
#include "tst_torch_exports.moc"
