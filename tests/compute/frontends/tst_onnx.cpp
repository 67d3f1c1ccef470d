// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/frontend.h"
#include "frontends/onnx_proto.h"
#include "graph/executor.h"
#include "onnx_parts.h"

#include <ATen/ATen.h>
#include <QTemporaryDir>
#include <QtTest/QtTest>

#include <random>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// x -> quantize to uint4 -> convolution with 2-bit weights -> relu -> global mean -> linear map with 8-bit weights.
onnx::Model quantizedModel()
{
    using onnx::Attribute;
    using onnx::DataType;
    onnx::Model model;
    model.irVersion = 13;
    model.opsets[""] = 25;
    onnx::Graph &g = model.graph;
    g.name = "hand";
    g.inputs = {value("x", {{-1, "batch"}, {1, ""}, {4, ""}, {4, ""}})};
    g.outputs = {value("y", {{-1, "batch"}, {2, ""}})};
    g.initializers = {floats("s", at::scalar_tensor(0.1f)), integers("z", DataType::UInt4, {}, {8}),
                      integers("conv.weight", DataType::Int2, {2, 1, 1, 2}, {1, -1, 0, -2}), floats("ws", at::tensor({0.5f, 0.25f})),
                      integers("wz", DataType::Int2, {2}, {0, 0}), integers("fc.weight", DataType::Int8, {2, 2}, {1, 2, 3, -4}),
                      floats("fs", at::scalar_tensor(0.125f)), integers("fz", DataType::Int8, {}, {1}), floats("fc.bias", at::tensor({0.5f, -1.f}))};
    g.nodes = {{"QuantizeLinear", "", "q", {"x", "s", "z"}, {"xq"}, {}},
               {"DequantizeLinear", "", "dq", {"xq", "s", "z"}, {"xd"}, {}},
               {"DequantizeLinear", "", "dw", {"conv.weight", "ws", "wz"}, {"w"}, {Attribute::of("axis", std::int64_t(0))}},
               {"Conv", "", "c", {"xd", "w"}, {"a"}, {}},
               {"Relu", "", "r", {"a"}, {"b"}, {}},
               {"GlobalAveragePool", "", "p", {"b"}, {"m"}, {}},
               {"Flatten", "", "f", {"m"}, {"v"}, {}},
               {"DequantizeLinear", "", "df", {"fc.weight", "fs", "fz"}, {"fw"}, {}},
               {"Gemm", "", "fc", {"v", "fw", "fc.bias"}, {"y"}, {Attribute::of("transB", std::int64_t(1))}}};
    return model;
}

} // namespace

class TestOnnx : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void readsQuantized();
    void oldSpellings();
    void listsUnknownOperators();
    void saysWhatIsWrong_data();
    void saysWhatIsWrong();
    void survivesDamage();

private:
    QTemporaryDir m_folder;
    std::string write(const std::string &bytes, const char *name = "x.onnx")
    {
        QFile file(m_folder.filePath(QString::fromLatin1(name)));
        file.open(QIODevice::WriteOnly);
        file.write(bytes.data(), qint64(bytes.size()));
        return file.fileName().toStdString();
    }
};

void TestOnnx::readsQuantized()
{
    const std::string path = write(onnx::serialize(quantizedModel()));
    const auto graph = loadGraph(path);
    QVERIFY2(graph, graph ? "" : graph.error().message.c_str());
    QVERIFY(graph->format == "onnx");
    QCOMPARE(graph->inputs.at(0).info.shape, (Shape{-1, 1, 4, 4}));
    QCOMPARE(graph->fixedBatch, 0);
    QVERIFY(graph->outputNames.at(0) == "y");
    // Weights are what their codes say, under the initializer's name.
    QVERIFY(graph->parameter("conv.weight"));
    QVERIFY(at::equal(graph->parameter("conv.weight")->tensor, at::tensor({0.5f, -0.5f, 0.f, -0.5f}).reshape({2, 1, 1, 2})));
    QVERIFY(at::equal(graph->parameter("fc.weight")->tensor, at::tensor({0.f, 0.125f, 0.25f, -0.625f}).reshape({2, 2})));
    // 0.25 / 0.1 = 2.5 rounds to 2 (half to even, in float32 2.5 exactly), 0.95 saturates at 7 steps, -2 at -8.
    at::Tensor x = at::zeros({1, 1, 4, 4});
    x[0][0][0][0] = 0.25f;
    x[0][0][0][1] = 0.95f;
    x[0][0][3][3] = -2.f;
    const at::Tensor q = ((x / 0.1f).round() + 8).clamp(0, 15).sub(8).mul(0.1f);
    const at::Tensor mean = at::conv2d(q, graph->parameter("conv.weight")->tensor).relu().mean(at::IntArrayRef{2, 3});
    const at::Tensor expected = at::linear(mean, graph->parameter("fc.weight")->tensor, at::tensor({0.5f, -1.f}));
    const Executor executor(std::make_shared<const Graph>(*graph));
    const auto outputs = executor.run(std::vector<c10::IValue>{x}, executor.bind());
    QVERIFY2(outputs, outputs ? "" : outputs.error().message.c_str());
    QVERIFY(at::allclose((*outputs)[0].toTensor(), expected, 1e-6, 1e-6));
    QCOMPARE((q[0][0][0][0] * 10).item().toFloat(), 2.f);
}

// Attributes that later became inputs, and weights listed among the inputs.
void TestOnnx::oldSpellings()
{
    using onnx::Attribute;
    onnx::Model model;
    model.irVersion = 3;
    model.opsets[""] = 9;
    onnx::Graph &g = model.graph;
    g.name = "old";
    g.inputs = {value("x", {{2, ""}, {1, ""}, {3, ""}}), value("w", {{3, ""}})};
    g.outputs = {value("y", {})};
    g.initializers = {floats("w", at::tensor({1.f, 2.f, 3.f}))};
    onnx::Attribute low = Attribute::of("min", -1.f), high = Attribute::of("max", 2.f);
    g.nodes = {{"Squeeze", "", "", {"x"}, {"a"}, {Attribute::of("axes", std::vector<std::int64_t>{1})}},
               {"Mul", "", "", {"a", "w"}, {"b"}, {}},
               {"Clip", "", "", {"b"}, {"c"}, {low, high}},
               {"ReduceSum", "", "", {"c"}, {"y"}, {Attribute::of("axes", std::vector<std::int64_t>{1}), Attribute::of("keepdims", std::int64_t(0))}}};
    const auto graph = loadGraph(write(onnx::serialize(model)));
    QVERIFY2(graph, graph ? "" : graph.error().message.c_str());
    QCOMPARE(graph->inputs.size(), std::size_t(1));
    QCOMPARE(graph->fixedBatch, 2);
    const Executor executor(std::make_shared<const Graph>(*graph));
    const auto outputs = executor.run(std::vector<c10::IValue>{at::tensor({1.f, -1.f, 0.5f, 0.f, 0.f, 3.f}).reshape({2, 1, 3})}, executor.bind());
    QVERIFY(outputs);
    QVERIFY(at::equal((*outputs)[0].toTensor(), at::tensor({1.f - 1.f + 1.5f, 2.f})));
}

void TestOnnx::listsUnknownOperators()
{
    onnx::Model model = quantizedModel();
    model.graph.nodes[4].op = "Lopo";
    model.graph.nodes[5].domain = "com.example";
    const auto graph = loadGraph(write(onnx::serialize(model)));
    QVERIFY2(graph, graph ? "" : graph.error().message.c_str());
    QCOMPARE(graph->obstacles.size(), std::size_t(2));
    QVERIFY2(graph->obstacles[0].contains("Lopo") && graph->obstacles[0].contains("node r"), graph->obstacles[0].c_str());
    QVERIFY2(graph->obstacles[1].contains("com.example::GlobalAveragePool"), graph->obstacles[1].c_str());
    // The rest is there: both weights, and a run that says which operator stopped it.
    QVERIFY(graph->parameter("conv.weight") && graph->parameter("fc.weight"));
    const Executor executor(std::make_shared<const Graph>(*graph));
    const auto outputs = executor.run(std::vector<c10::IValue>{at::zeros({1, 1, 4, 4})}, executor.bind());
    QVERIFY(!outputs);
    QVERIFY2(outputs.error().message.contains("Lopo"), outputs.error().message.c_str());
}

void TestOnnx::saysWhatIsWrong_data()
{
    QTest::addColumn<QByteArray>("what");
    QTest::addColumn<QByteArray>("says");
    for (const auto &[what, says] : {std::pair("shape", "do not fill its shape"), {"undefined", "read before it is made"}, {"external", "another file"},
                                     {"output", "before it is made"}, {"negative", "impossible"}})
        QTest::newRow(what) << QByteArray(what) << QByteArray(says);
}

void TestOnnx::saysWhatIsWrong()
{
    QFETCH(QByteArray, what);
    QFETCH(QByteArray, says);
    onnx::Model model = quantizedModel();
    std::string bytes;
    if (what == "shape")
        model.graph.initializers[2].dims = {200, 1, 1, 2};
    if (what == "negative")
        model.graph.initializers[3].dims = {-2};
    if (what == "undefined")
        model.graph.nodes[3].inputs[0] = "nowhere";
    if (what == "output")
        model.graph.outputs[0].name = "nowhere";
    bytes = onnx::serialize(model);
    if (what == "external") {
        // An initializer of its own: data_location (field 14) says external.
        const QByteArray tensor = QByteArray::fromHex("0801" "1001" "420165" "7001");
        const QByteArray graph = QByteArray::fromHex("2a") + char(tensor.size()) + tensor;
        const QByteArray file = QByteArray::fromHex("08073a") + char(graph.size()) + graph;
        bytes = file.toStdString();
    }
    const std::string path = write(bytes);
    const auto graph = loadGraph(path);
    QVERIFY(!graph);
    QVERIFY2(graph.error().message.contains(says.toStdString()), graph.error().message.c_str());
    QVERIFY2(graph.error().message.starts_with(path), graph.error().message.c_str());
}

// Cut and altered files give an error or a network that runs or fails with an error: never a crash.
void TestOnnx::survivesDamage()
{
    const std::string whole = onnx::serialize(quantizedModel());
    int loaded = 0;
    const auto attempt = [&](const std::string &bytes) {
        const auto graph = onnx::parse(bytes, nullptr, "x.onnx") ? loadGraph(write(bytes)) : Result<Graph>(fail(ErrorKind::Parse, "x"));
        if (!graph)
            return;
        ++loaded;
        const Executor executor(std::make_shared<const Graph>(*graph));
        (void)executor.run(std::vector<c10::IValue>{at::zeros({1, 1, 4, 4})}, executor.bind());
    };
    for (std::size_t size = 0; size < whole.size(); size += 3)
        attempt(whole.substr(0, size));
    std::mt19937 random(5);
    for (int round = 0; round < 1500; ++round) {
        std::string bytes = whole;
        const int flips = 1 + int(random() % 3);
        for (int flip = 0; flip < flips; ++flip)
            bytes[random() % bytes.size()] = char(random() % 256);
        attempt(bytes);
    }
    QVERIFY(loaded > 0);
}

QTEST_APPLESS_MAIN(TestOnnx)
#include "tst_onnx.moc"
