// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/export_model.h"
#include "engine/write_trained.h"
#include "export_support.h"
#include "graph/layer_list.h"
#include "search/sweep.h"
#include "test_models.h"

#include <QTemporaryDir>
#include <QtTest/QtTest>

#include <filesystem>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

std::string g_folder;

std::shared_ptr<const Network> open(const std::string &file)
{
    auto network = Network::open(g_folder + '/' + file);
    if (!network)
        throw std::runtime_error(network.error().message);
    return *network;
}

ModelConfig fourBits()
{
    ModelConfig config;
    config.defaults.weight.method = "uniform";
    config.defaults.weight.bits = 4;
    config.defaults.weight.options["granularity"] = std::string("channel");
    return config;
}

const LayerInfo &layer(const Network &network, const std::string &name)
{
    const LayerInfo *found = network.summary().layer(name);
    if (!found)
        throw std::runtime_error("no layer " + name);
    return *found;
}

} // namespace

// Weights of embeddings, recurrent layers, branches and loops: quantized without an input.
class TestWeightOnly : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        g_folder = modelFolder(QStringLiteral("make_weight_only.py"), QStringLiteral("test_weight_only"));
        QVERIFY2(!g_folder.empty(), "make_weight_only.py failed");
    }
    void listed();
    void computesWithQuantizedWeights_data();
    void computesWithQuantizedWeights();
    void refusesAnInput();
    void sweepLeavesInputsAlone();
    void exportsAgree_data();
    void exportsAgree();
    void branchesKeepTheirOwnWeights();
    void trainedWeightsGoIntoTheFile_data();
    void trainedWeightsGoIntoTheFile();
};

void TestWeightOnly::listed()
{
    for (const char *file : {"text.script.pt", "text.pt2"}) {
        const auto network = open(file);
        const LayerInfo &tied = layer(*network, "embedding");
        QCOMPARE(tied.op, std::string("linear"));   // one matrix, looked up and multiplied: one layer
        QVERIFY(tied.inputQuantizable());
        QVERIFY(!network->summary().layer("scores"));
        const LayerInfo &w = layer(*network, "lstm.weight_ih_l1_reverse");
        QVERIFY(w.weightOnly && w.status == LayerStatus::Quantizable && w.reason.empty());
        QCOMPARE(w.op, std::string("lstm"));
        QCOMPARE(w.weightShape, (Shape{16, 8}));
        QCOMPARE(w.biasCount, 16);
        QVERIFY(w.macs >= 16 * 8);
        // Every parameter belongs to one layer.
        std::int64_t all = 0;
        for (const LayerInfo &info : network->summary().layers)
            all += info.parameters();
        QCOMPARE(all, network->summary().parameters);
    }
    const auto onnx = open("gated.onnx");
    std::vector<std::string> ops;
    for (const LayerInfo &info : onnx->summary().layers)
        if (info.weightOnly) {
            ops.push_back(info.op);
            QCOMPARE(info.channelAxis, 1);
        }
    QCOMPARE(ops, (std::vector<std::string>{"GRU", "GRU"}));
    const auto branches = open("branches.script.pt");
    QVERIFY(layer(*branches, "shared").inputQuantizable());
    QCOMPARE(layer(*branches, "shared").calls, 1);   // outside; the one inside only shares the weight
    for (const char *name : {"positive", "negative", "again"})
        QVERIFY2(layer(*branches, name).weightOnly, name);
    QCOMPARE(layer(*branches, "positive").biasCount, 6);
    QVERIFY(weightOnlyReason(layer(*branches, "again")).find("loop") != std::string::npos);
}

void TestWeightOnly::computesWithQuantizedWeights_data()
{
    QTest::addColumn<QString>("file");
    for (const char *file : {"text.script.pt", "text.pt2", "text.onnx", "gated.script.pt", "gated.pt2", "gated.onnx", "branches.script.pt", "branched.onnx"})
        QTest::newRow(file) << QString::fromLatin1(file);
}

// PyTorch's answers with its own weights changed by the formula.
void TestWeightOnly::computesWithQuantizedWeights()
{
    QFETCH(QString, file);
    const auto network = open(file.toStdString());
    const Expected expected = readExpected(g_folder + '/' + file.section(QLatin1Char('.'), 0, 0).toStdString() + ".expected");
    auto resolved = resolve(fourBits(), network->summary(), methodCatalog());
    QVERIFY2(resolved, resolved ? "" : resolved.error().message.c_str());
    QCOMPARE(std::int64_t(resolved->size()), network->summary().quantizableLayers());
    for (int i = 0; expected.contains("in" + std::to_string(i)); ++i) {
        const std::string n = std::to_string(i);
        const at::Tensor input = expected.at("in" + n);
        auto plain = Simulation::make(network, {}, false);
        QVERIFY(plain);
        const auto before = (*plain)->run(input);
        QVERIFY2(before, before ? "" : before.error().message.c_str());
        QVERIFY(difference(*before, expected.at("out" + n)) < 1e-5);
        auto simulation = Simulation::make(network, *resolved, false);
        QVERIFY2(simulation, simulation ? "" : simulation.error().message.c_str());
        const auto got = (*simulation)->run(input);
        QVERIFY2(got, got ? "" : got.error().message.c_str());
        const std::string kind = file == QLatin1String("text.onnx") ? "joint" : "quantized";
        QVERIFY2(difference(*got, expected.at(kind + n)) < 1e-5, QByteArray::number(difference(*got, expected.at(kind + n))));
        QVERIFY(difference(*got, expected.at("out" + n)) > 1e-4);
    }
}

void TestWeightOnly::refusesAnInput()
{
    const auto network = open("text.pt2");
    ModelConfig config = fourBits();
    config.defaults.activation = config.defaults.weight;
    config.defaults.activation.options.clear();
    // Defaults pass it by.
    const auto resolved = resolve(config, network->summary(), methodCatalog());
    QVERIFY2(resolved, resolved ? "" : resolved.error().message.c_str());
    QVERIFY(resolved->at("lstm.weight_hh_l0").activation.isFloat());
    QVERIFY(!resolved->at("embedding").activation.isFloat());
    config.layers["lstm.weight_hh_l0"].activation = config.defaults.activation;
    const auto refused = resolve(config, network->summary(), methodCatalog());
    QVERIFY(!refused);
    QVERIFY2(refused.error().message.find("lstm.weight_hh_l0") != std::string::npos && refused.error().message.find("recurrent") != std::string::npos,
             refused.error().message.c_str());
    // A float entry is what the calibrated assignment says.
    config.layers["lstm.weight_hh_l0"].activation = {.method = kFloatMethod};
    QVERIFY(resolve(config, network->summary(), methodCatalog()));
}

void TestWeightOnly::sweepLeavesInputsAlone()
{
    const auto network = open("gated.pt2");
    auto data = std::make_shared<Dataset>(datasetOf(readExpected(g_folder + "/gated.expected").at("in0")));
    SweepOptions options;
    options.bits = {8, 3};
    options.metric = Metric::Sqnr;
    options.weight = false;
    options.activation = true;
    const auto statistics = collectActivations(*network, false, {}, *data, 0, {});
    QVERIFY(statistics);
    QVERIFY(!statistics->contains("gru.weight_ih_l0"));
    Evaluator evaluator(network, data);
    auto points = sweep(evaluator, network, options, *statistics, methodCatalog(), {}, {});
    QVERIFY2(points, points ? "" : points.error().message.c_str());
    for (const SweepResult &point : *points)
        QVERIFY2(layer(*network, point.layer).inputQuantizable(), point.layer.c_str());
    options.weight = true;
    points = sweep(evaluator, network, options, *statistics, methodCatalog(), {}, {});
    QVERIFY2(points, points ? "" : points.error().message.c_str());
    QCOMPARE(std::int64_t(points->size()), 2 * network->summary().quantizableLayers());
}

void TestWeightOnly::exportsAgree_data()
{
    QTest::addColumn<QString>("file");
    QTest::addColumn<QString>("format");
    for (const char *format : {"onnx", "torchscript", "pt2", "pack"})
        for (const char *file : {"text.script.pt", "text.pt2", "text.onnx", "gated.script.pt", "gated.pt2", "gated.onnx"})
            QTest::addRow("%s to %s", file, format) << QString::fromLatin1(file) << QString::fromLatin1(format);
    QTest::addRow("branched.onnx to onnx") << QStringLiteral("branched.onnx") << QStringLiteral("onnx");
    QTest::addRow("branched.onnx to pack") << QStringLiteral("branched.onnx") << QStringLiteral("pack");
    QTest::addRow("branches.script.pt to pack") << QStringLiteral("branches.script.pt") << QStringLiteral("pack");
}

void TestWeightOnly::exportsAgree()
{
    QFETCH(QString, file);
    QFETCH(QString, format);
    QTemporaryDir folder;
    const Expected expected = readExpected(g_folder + '/' + file.section(QLatin1Char('.'), 0, 0).toStdString() + ".expected");
    const auto network = open(file.toStdString());
    auto resolved = resolve(fourBits(), network->summary(), methodCatalog());
    QVERIFY(resolved);
    const ConfiguredModel model{network, fourBits(), *resolved, {}};
    const std::string path = folder.filePath(QStringLiteral("written")).toStdString();
    const at::Tensor input = expected.at("in0");
    const auto report = exportModel(model, format.toStdString(), path, input.narrow(0, 0, 2), {});
    // An operator that another format has no words for is named, and nothing is written.
    const bool foreign = format != QLatin1String("onnx") && format != QLatin1String("pack") && file.endsWith(QLatin1String(".onnx"));
    if (foreign) {
        QVERIFY(!report);
        QVERIFY(report.error().kind == ErrorKind::Unsupported);
        QVERIFY2(report.error().message.find("onnx::Shape") != std::string::npos, report.error().message.c_str());
        QVERIFY(!std::filesystem::exists(path));
        return;
    }
    QVERIFY2(report, report ? "" : report.error().message.c_str());
    VerifyInput verify;
    verify.path = path;
    verify.format = format.toStdString();
    verify.inputs = input;
    take(setSimulation(verify, model));
    for (const bool own : {false, true}) {
        verify.ownReaderOnly = own;
        const auto verified = verifyFile(verify, {});
        QVERIFY2(verified, verified ? "" : verified.error().message.c_str());
        QVERIFY2(verified->maxAbsDifference < 1e-5, QByteArray::number(verified->maxAbsDifference));
        QCOMPARE(verified->samples, input.size(0));
        QVERIFY2(own || verified->runtime.find("ONNX") == 0 || format != QLatin1String("onnx"), verified->runtime.c_str());
    }
}

// Both branches call their matrix w: two layers, each quantized in its own branch, the rest of the file untouched.
void TestWeightOnly::branchesKeepTheirOwnWeights()
{
    QTemporaryDir folder;
    const Expected expected = readExpected(g_folder + "/branched.expected");
    const Case made{open("branched.onnx"), expected.at("in0")};
    QCOMPARE(made.network->summary().quantizableLayers(), 2);
    QVERIFY(made.network->summary().layers[0].name != made.network->summary().layers[1].name);
    const std::string path = folder.filePath(QStringLiteral("branched.onnx")).toStdString();
    const auto exported = exportCase(made, fourBits(), path);
    QVERIFY2(exported, exported ? "" : exported.error().message.c_str());
    const auto written = Network::open(path);
    QVERIFY2(written, written ? "" : written.error().message.c_str());
    for (const char *n : {"0", "1"}) {
        auto simulation = Simulation::make(*written, {}, false);
        QVERIFY(simulation);
        const auto got = (*simulation)->run(expected.at(std::string("in") + n));
        QVERIFY2(got, got ? "" : got.error().message.c_str());
        QVERIFY(difference(*got, expected.at(std::string("quantized") + n)) < 1e-5);
    }
    QCOMPARE(checkerMessage({QString::fromStdString(path)}), QString());
    const auto model = onnx::readModel(path);
    QVERIFY(model);
    QVERIFY(std::ranges::find(model->graph.nodes, std::string("Constant"), &onnx::Node::op) == model->graph.nodes.end());   // nobody reads it any more
    const auto choice = std::ranges::find(model->graph.nodes, std::string("choice"), &onnx::Node::name);
    QVERIFY(choice != model->graph.nodes.end());
    for (const char *branch : {"then_branch", "else_branch"}) {
        const onnx::Graph &body = *choice->attribute(branch)->g;
        QVERIFY(std::ranges::find(body.initializers, std::string("w"), &onnx::Tensor::name) == body.initializers.end());
        QVERIFY(std::ranges::any_of(body.initializers, [](const onnx::Tensor &t) { return t.type == onnx::DataType::Int8 && t.dims == std::vector<std::int64_t>{6, 4}; }));
        QCOMPARE(body.nodes.front().op, std::string("Cast"));   // DequantizeLinear before MatMul would have its input rounded
        QCOMPARE(body.nodes.back().op, std::string("MatMul"));
    }
}

void TestWeightOnly::trainedWeightsGoIntoTheFile_data()
{
    QTest::addColumn<QString>("file");
    for (const char *file : {"text.onnx", "branched.onnx", "gated.script.pt", "text.pt2"})
        QTest::newRow(file) << QString::fromLatin1(file);
}

// The format that came in takes other weights, those of sub-graphs too.
void TestWeightOnly::trainedWeightsGoIntoTheFile()
{
    QFETCH(QString, file);
    QTemporaryDir folder;
    const auto network = open(file.toStdString());
    ParameterMap trained = network->graph().parameterMap();
    at::manual_seed(5);
    for (auto &[name, tensor] : trained)
        if (network->graph().parameter(name)->trainable)
            tensor = tensor + at::randn_like(tensor) * 0.1;
    const std::string path = folder.filePath(file).toStdString();
    const auto written = writeTrained(network, trained, path, {});
    QVERIFY2(written, written ? "" : written.error().message.c_str());
    const auto again = Network::open(path);
    QVERIFY2(again, again ? "" : again.error().message.c_str());
    for (const auto &[name, tensor] : trained) {
        const Parameter *held = (*again)->graph().parameter(name);
        QVERIFY2(held && at::equal(held->tensor, tensor), name.c_str());
    }
    QCOMPARE((*again)->summary().quantizableLayers(), network->summary().quantizableLayers());
}

QTEST_APPLESS_MAIN(TestWeightOnly)
#include "tst_weight_only.moc"
