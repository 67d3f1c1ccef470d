// SPDX-License-Identifier: GPL-3.0-or-later
#include "export_support.h"
#include "onnx_parts.h"

#include <nlohmann/json.hpp>

#include <QTemporaryDir>
#include <QtTest/QtTest>

#include <fstream>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// Convolution, batch norm, ReLU, convolution with automatic padding, mean, linear map by Gemm, linear map by MatMul.
onnx::Model network(int opset)
{
    using onnx::Attribute;
    at::manual_seed(7);
    onnx::Model model;
    model.irVersion = opset >= 25 ? 13 : opset >= 21 ? 10 : 7;
    model.producerName = "somebody";
    model.docString = "kept as it is";
    model.metadata["author"] = "somebody";
    model.opsets[""] = opset;
    onnx::Graph &g = model.graph;
    g.name = "their graph";
    g.inputs = {value("x", {{-1, "batch"}, {2, ""}, {-1, "height"}, {-1, "width"}})};
    g.outputs = {value("y", {{-1, "batch"}, {3, ""}})};
    g.initializers = {floats("a.weight", at::randn({4, 2, 3, 3})), floats("bn.scale", at::rand({4}) + 0.5), floats("bn.bias", at::randn({4})),
                      floats("bn.mean", at::randn({4})), floats("bn.var", at::rand({4}) + 0.5), floats("b.weight", at::randn({6, 4, 3, 3})),
                      floats("b.bias", at::randn({6})), floats("fc.weight", at::randn({5, 6})), floats("fc.bias", at::randn({5})),
                      floats("last", at::randn({5, 3}))};
    g.nodes = {{"Conv", "", "first", {"x", "a.weight"}, {"c1"}, {Attribute::of("pads", std::vector<std::int64_t>{1, 1, 1, 1})}},
               {"BatchNormalization", "", "norm", {"c1", "bn.scale", "bn.bias", "bn.mean", "bn.var"}, {"n1"}, {}},
               {"Relu", "", "", {"n1"}, {"r1"}, {}},
               {"Conv", "", "second", {"r1", "b.weight", "b.bias"}, {"c2"},
                {Attribute::of("auto_pad", std::string("SAME_UPPER")), Attribute::of("strides", std::vector<std::int64_t>{2, 2})}},
               {"GlobalAveragePool", "", "pool", {"c2"}, {"p"}, {}},
               {"Flatten", "", "flat", {"p"}, {"f"}, {}},
               {"Gemm", "", "fc", {"f", "fc.weight", "fc.bias"}, {"g"}, {Attribute::of("transB", std::int64_t(1))}},
               {"MatMul", "", "last_product", {"g", "last"}, {"y"}, {}}};
    return model;
}

std::string write(const QTemporaryDir &folder, const char *name, const onnx::Model &model)
{
    const std::string path = folder.filePath(QString::fromLatin1(name)).toStdString();
    std::ofstream(path, std::ios::binary) << onnx::serialize(model);
    return path;
}

} // namespace

class TestOnnxEdit : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void keepsEverythingElse_data();
    void keepsEverythingElse();
    void movesExternalData();

private:
    QTemporaryDir m_folder;
};

void TestOnnxEdit::keepsEverythingElse_data()
{
    QTest::addColumn<int>("opset");
    QTest::addColumn<QByteArray>("assignment");
    const QByteArray plain = R"({"weight": {"method": "uniform", "bits": BITS, "granularity": "channel"}, "activation": {"method": "uniform", "bits": BITS, "symmetric": false}})";
    for (const int opset : {11, 13, 21, 25})
        for (const char *bits : {"8", "4", "2"})
            QTest::addRow("opset %d, %s bits", opset, bits) << opset << QByteArray(plain).replace("BITS", bits);
    QTest::newRow("codebook") << 13 << QByteArray(R"({"weight": {"method": "kmeans", "bits": 3}, "activation": {"method": "hwgq", "bits": 2, "spacing": "lloyd"}})");
    QTest::newRow("opset 9, weights") << 9 << QByteArray(R"({"weight": {"method": "uniform", "bits": 4, "granularity": "channel"}})");
    QTest::newRow("asymmetric weights") << 11 << QByteArray(R"({"weight": {"method": "uniform", "bits": 8, "granularity": "channel", "symmetric": false}})");
}

void TestOnnxEdit::keepsEverythingElse()
{
    QFETCH(int, opset);
    QFETCH(QByteArray, assignment);
    const onnx::Model before = network(opset);
    const std::string source = write(m_folder, "source.onnx", before), target = m_folder.filePath(QStringLiteral("target.onnx")).toStdString();
    for (const bool folded : {false, true}) {
        auto opened = Network::open(source);
        QVERIFY2(opened, opened ? "" : opened.error().message.c_str());
        at::manual_seed(1);
        const Case made{*opened, at::randn({4, 2, 9, 11})};
        const auto json = nlohmann::json::parse(R"({"schema": "bitwright/assignment/1", "network": {"fold_batch_norm": )" + std::string(folded ? "true" : "false")
                                                + R"(}, "defaults": )" + assignment.toStdString() + "}");
        const auto config = configFromJson(json, methodCatalog());
        QVERIFY2(config, config ? "" : config.error().message.c_str());
        const auto exported = exportCase(made, *config, target);
        QVERIFY2(exported, exported ? "" : exported.error().message.c_str());
        for (const auto &note : exported->report.notes)
            QVERIFY2(note.find("written anew") == std::string::npos, note.c_str());
        // What our reader makes of the file computes what the simulation does, bit for bit.
        const auto written = loadGraph(target);
        QVERIFY2(written, written ? "" : written.error().message.c_str());
        const Executor executor(std::make_shared<const Graph>(*written));
        const auto outputs = executor.run(std::vector<c10::IValue>{made.inputs}, executor.bind());
        QVERIFY2(outputs, outputs ? "" : outputs.error().message.c_str());
        const auto simulated = trace(*exported->simulation, {made.inputs});
        QVERIFY(simulated);
        QVERIFY(at::allclose((*outputs)[0].toTensor(), simulated->output, 1e-5, 1e-5));
        // ONNX Runtime takes the file and agrees but for rounding.
        const auto verified = verifyCase(made, *exported, target, false);
        QVERIFY2(verified, verified ? "" : verified.error().message.c_str());
        QVERIFY2(verified->runtime.starts_with("ONNX Runtime"), verified->runtime.c_str());
        QVERIFY2(verified->maxAbsDifference < 0.5, QByteArray::number(verified->maxAbsDifference));
        // Nothing else changed.
        const auto after = onnx::readModel(target);
        QVERIFY(after);
        // Scales per channel before operator set 13: a DequantizeLinear, which ONNX Runtime leaves where it is, and a Mul.
        const auto convolutions = [&](const char *op) {
            return std::ranges::count_if(after->graph.nodes, [&](const onnx::Node &node) {
                return node.op == op && !node.inputs.empty() && (node.inputs[0].starts_with("a.weight_codes") || node.inputs[0].starts_with("b.weight_codes"));
            });
        };
        if (opset < 13) {
            QCOMPARE(convolutions("Cast"), opset < 10 ? 2 : 0);
            QCOMPARE(convolutions("DequantizeLinear"), opset < 10 ? 0 : 2);
        }
        QCOMPARE(after->producerName, before.producerName);
        QCOMPARE(after->docString, before.docString);
        QCOMPARE(after->opsets, before.opsets);
        QCOMPARE(after->metadata.at("author"), std::string("somebody"));
        QVERIFY(after->metadata.contains("bitwright.assignment"));
        QCOMPARE(after->graph.name, before.graph.name);
        QCOMPARE(after->graph.inputs.size(), std::size_t(1));
        QCOMPARE(after->graph.inputs[0].shape[2].name, std::string("height"));
        for (const onnx::Node &node : before.graph.nodes) {
            const auto same = std::ranges::find_if(after->graph.nodes, [&](const onnx::Node &other) { return other.outputs == node.outputs; });
            QVERIFY2(same != after->graph.nodes.end(), node.outputs[0].c_str());
            QCOMPARE(same->name, node.name);
            QCOMPARE(same->op, folded && node.op == "BatchNormalization" ? std::string("Identity") : node.op);
            if (node.op == "Relu" || node.op == "Flatten")
                QCOMPARE(same->inputs, node.inputs);
        }
        const auto names = [](const onnx::Model &model) {
            std::set<std::string> all;
            for (const auto &tensor : model.graph.initializers)
                all.insert(tensor.name);
            return all;
        };
        QVERIFY(!names(*after).contains("a.weight"));       // made by a node now
        QCOMPARE(names(*after).contains("bn.mean"), !folded);
        QVERIFY(names(*after).contains("fc.bias"));
    }
}

// Weights in a file beside the model come along; the copy stands alone.
void TestOnnxEdit::movesExternalData()
{
    QTemporaryDir other;
    onnx::Model model = network(17);
    onnx::Tensor &tensor = model.graph.initializers[5];
    const std::string path = m_folder.filePath(QStringLiteral("outside.onnx")).toStdString();
    std::ofstream(m_folder.filePath(QStringLiteral("weights.bin")).toStdString(), std::ios::binary) << std::string(64, '\0') << tensor.owned;
    const std::string owned = tensor.owned;
    tensor.owned.clear();
    tensor.hasRaw = false;
    tensor.external = true;
    tensor.externalEntries = {{"location", "weights.bin"}, {"offset", "64"}, {"length", std::to_string(owned.size())}};
    std::ofstream(path, std::ios::binary) << onnx::serialize(model);
    auto opened = Network::open(path);
    QVERIFY2(opened, opened ? "" : opened.error().message.c_str());
    QCOMPARE((*opened)->graph(false).parameter("b.weight")->tensor.nbytes(), owned.size());
    const Case made{*opened, at::randn({2, 2, 8, 8})};
    const auto config = configFromJson(nlohmann::json::parse(R"({"schema": "bitwright/assignment/1", "layers": {"a": {"weight": {"method": "uniform", "bits": 8}}}})"), methodCatalog());
    QVERIFY(config);
    const std::string target = other.filePath(QStringLiteral("target.onnx")).toStdString();
    const auto exported = exportCase(made, *config, target);
    QVERIFY2(exported, exported ? "" : exported.error().message.c_str());
    const auto written = loadGraph(target);
    QVERIFY2(written, written ? "" : written.error().message.c_str());
    QVERIFY(at::equal(written->parameter("b.weight")->tensor, (*opened)->graph(false).parameter("b.weight")->tensor));
    // A place outside the model's folder is refused.
    for (const char *place : {"../weights.bin", "/etc/passwd", "sub/../../weights.bin"}) {
        tensor.externalEntries["location"] = place;
        std::ofstream(path, std::ios::binary) << onnx::serialize(model);
        const auto refused = loadGraph(path);
        QVERIFY(!refused);
        QVERIFY2(refused.error().message.find("outside") != std::string::npos, refused.error().message.c_str());
    }
    tensor.externalEntries = {{"location", "weights.bin"}, {"offset", "999999"}};
    std::ofstream(path, std::ios::binary) << onnx::serialize(model);
    QVERIFY(!loadGraph(path));
}

QTEST_APPLESS_MAIN(TestOnnxEdit)
#include "tst_onnx_edit.moc"
