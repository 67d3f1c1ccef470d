// SPDX-License-Identifier: GPL-3.0-or-later
#include "export_support.h"

#include "config/export_limits.h"
#include "frontends/frontend.h"
#include "frontends/onnx_proto.h"

#include <QTemporaryDir>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

using B = GraphBuilder;

Case finish(B &b, const at::Tensor &inputs)
{
    take(normalize(b.graph));
    return {Network::make(b.graph, "case"), inputs};
}

Argument conv(B &b, const Argument &x, const std::string &name, Shape weight, bool bias, std::vector<std::int64_t> stride,
              std::vector<std::int64_t> padding, std::int64_t groups, std::vector<std::int64_t> dilation)
{
    const std::string rank = std::to_string(weight.size() - 2);
    const Argument w = b.parameter(name + ".weight", at::randn(weight) * 0.3);
    const Argument c = bias ? b.parameter(name + ".bias", at::randn({weight[0]})) : B::none();
    return b.node("aten::conv" + rank + "d", {x, w, c, B::ints(stride), B::ints(padding), B::ints(dilation), B::of(groups)}, name);
}

// Two convolutions with batch norm and a residual add, then pooling and a linear map: the shape of most networks.
Case residual()
{
    B b;
    auto x = b.input({-1, 3, 9, 9});
    auto y = conv(b, x, "stem", {8, 3, 3, 3}, false, {1, 1}, {1, 1}, 1, {1, 1});
    y = b.node("aten::relu", {b.batchNorm(y, "bn", 8)}, "relu");
    auto z = b.batchNorm(conv(b, y, "depth", {8, 1, 3, 3}, false, {1, 1}, {1, 1}, 8, {1, 1}), "bn2", 8);
    z = b.node("aten::hardtanh", {z, B::of(0.0), B::of(6.0)}, "relu6");
    z = conv(b, z, "plain", {8, 4, 1, 1}, false, {1, 1}, {0, 0}, 2, {1, 1});
    y = b.node("aten::add.Tensor", {y, z}, "add");
    y = b.node("aten::max_pool2d", {y, B::ints({3, 3}), B::ints({2, 2}), B::ints({1, 1}), B::ints({1, 1}), B::of(true)}, "pool");
    y = conv(b, y, "last", {12, 8, 3, 3}, true, {2, 2}, {2, 2}, 1, {2, 2});
    y = b.node("aten::adaptive_avg_pool2d", {y, B::ints({1, 1})}, "mean");
    y = b.node("aten::flatten.using_ints", {y, B::of(std::int64_t(1)), B::of(std::int64_t(-1))}, "flat");
    const auto w = b.parameter("fc.weight", at::randn({5, 12}) * 0.3), c = b.parameter("fc.bias", at::randn({5}));
    b.output(b.node("aten::linear", {y, w, c}, "fc"));
    return finish(b, at::randn({96, 3, 9, 9}));
}

Case oneDimension()
{
    B b;
    auto y = conv(b, b.input({-1, 4, 16}), "a", {6, 2, 5}, true, {2}, {2}, 2, {1});
    y = b.node("aten::silu", {y}, "silu");
    const auto w = b.parameter("up.weight", at::randn({6, 3, 3}) * 0.3), c = b.parameter("up.bias", at::randn({3}));
    y = b.node("aten::conv_transpose1d", {y, w, c, B::ints({2}), B::ints({1}), B::ints({1}), B::of(std::int64_t(1)), B::ints({1})}, "up");
    b.output(b.node("aten::mean.dim", {y, B::ints({-1}), B::of(false)}, "mean"));
    return finish(b, at::randn({64, 4, 16}));
}

Case threeDimensions()
{
    B b;
    auto y = conv(b, b.input({-1, 2, 5, 6, 7}), "a", {4, 2, 3, 3, 3}, true, {1, 2, 2}, {1, 0, 1}, 1, {1, 1, 1});
    y = b.node("aten::relu", {y}, "relu");
    const auto w = b.parameter("up.weight", at::randn({4, 2, 2, 2, 2}) * 0.3);
    y = b.node("aten::conv_transpose3d.input", {y, w, B::none(), B::ints({2, 2, 2}), B::ints({0, 0, 0}), B::ints({0, 0, 0}),
                                                B::of(std::int64_t(2)), B::ints({1, 1, 1})}, "up");
    b.output(b.node("aten::adaptive_avg_pool3d", {y, B::ints({2, 3, 1})}, "pool"));
    return finish(b, at::randn({32, 2, 5, 6, 7}));
}

Case transposed()
{
    B b;
    const auto x = b.input({-1, 4, 5, 5});
    const auto w = b.parameter("up.weight", at::randn({4, 3, 3, 3}) * 0.3), c = b.parameter("up.bias", at::randn({6}));
    auto y = b.node("aten::conv_transpose2d.input", {x, w, c, B::ints({2, 2}), B::ints({1, 1}), B::ints({1, 1}),
                                                     B::of(std::int64_t(2)), B::ints({1, 1})}, "up");
    y = b.node("aten::leaky_relu", {y, B::of(0.1)}, "leaky");
    y = conv(b, y, "out", {2, 6, 1, 1}, false, {1, 1}, {0, 0}, 1, {1, 1});
    b.output(b.node("aten::flatten.using_ints", {y, B::of(std::int64_t(1)), B::of(std::int64_t(-1))}, "flat"));
    return finish(b, at::randn({48, 4, 5, 5}));
}

// A linear map without bias, one over three dimensions and one that runs twice.
Case linears()
{
    B b;
    auto x = b.input({-1, 6, 10});
    const auto w = b.parameter("mix.weight", at::randn({10, 10}) * 0.3), v = b.parameter("head.weight", at::randn({7, 10}) * 0.3);
    auto y = b.node("aten::gelu", {b.node("aten::linear", {x, w, B::none()}, "mix")}, "gelu");
    y = b.node("aten::tanh", {b.node("aten::linear", {y, w, B::none()}, "mix2")}, "tanh");
    y = b.node("aten::mean.dim", {y, B::ints({1}), B::of(false)}, "mean");
    b.output(b.node("aten::linear", {y, v, B::none()}, "head"));
    return finish(b, at::randn({64, 6, 10}));
}

ModelConfig uniform(int weightBits, int activationBits, const std::string &weightOptions, const std::string &activationOptions, bool folded)
{
    ModelConfig config;
    config.foldBatchNorm = folded;
    const auto fill = [](QuantPatch &patch, int bits, const std::string &options) {
        if (bits >= 32) {
            patch.method = kFloatMethod;
            return;
        }
        patch.method = "uniform";
        patch.bits = bits;
        if (options.contains("channel"))
            patch.options["granularity"] = std::string("channel");
        if (options.contains("asymmetric"))
            patch.options["symmetric"] = false;
        else if (options.contains("symmetric"))
            patch.options["symmetric"] = true;
        if (options.contains("full"))
            patch.options["full_range"] = true;
        if (options.contains("percentile"))
            patch.options["range"] = std::string("percentile");
    };
    fill(config.defaults.weight, weightBits, weightOptions);
    fill(config.defaults.activation, activationBits, activationOptions);
    return config;
}

struct Width {
    const char *name;
    int weight, activation;
    const char *weightOptions, *activationOptions;
    bool folded;
};
constexpr Width kWidths[] = {
    {"float", 32, 32, "", "", false},
    {"w8a8", 8, 8, "channel", "asymmetric", false},
    {"w8a8 tensor folded", 8, 8, "tensor", "symmetric", true},
    {"w4a8 folded", 4, 8, "channel full", "asymmetric percentile", true},
    {"w4a4", 4, 4, "channel asymmetric", "asymmetric percentile", false},
    {"w4a4 symmetric", 4, 4, "tensor", "symmetric", false},
    {"w2a2", 2, 2, "channel", "asymmetric percentile", true},
    {"w3a5", 3, 5, "channel", "symmetric percentile", false},
    {"w16a16", 16, 16, "channel", "asymmetric", false},
    {"w8", 8, 32, "channel", "", true},
    {"w2", 2, 32, "tensor asymmetric", "", false},
    {"a3", 32, 3, "", "asymmetric", false},
    {"w1a1", 1, 1, "channel asymmetric", "asymmetric", true},
};

} // namespace

class TestOnnxQdq : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void networks_data();
    void networks();
    void checkerIsContent();
    void encodings();
    void namesTheLayerWithoutRange();
    void listsWhatItCannotWrite();
    void fullDiskIsOneSentence();
    void capabilities();

private:
    QTemporaryDir m_folder;
    QStringList m_written;
    std::string path(const QString &name) { return m_folder.filePath(name).toStdString(); }
};

void TestOnnxQdq::initTestCase()
{
    QVERIFY(m_folder.isValid());
    at::manual_seed(7);
}

void TestOnnxQdq::networks_data()
{
    QTest::addColumn<int>("network");
    QTest::addColumn<int>("width");
    const char *names[] = {"residual", "1d", "3d", "transposed", "linear"};
    for (int network = 0; network < 5; ++network) {
        // Every width on the first network, every third one on the others, each starting elsewhere.
        for (int width = network == 0 ? 0 : network % 3; width < int(std::size(kWidths)); width += network == 0 ? 1 : 3)
            QTest::addRow("%s %s", names[network], kWidths[width].name) << network << width;
    }
}

// Written, run by ONNX Runtime and by our reader: the same answers as the simulation.
void TestOnnxQdq::networks()
{
    QFETCH(int, network);
    QFETCH(int, width);
    static Case cases[] = {residual(), oneDimension(), threeDimensions(), transposed(), linears()};
    const Case &made = cases[network];
    const Width &w = kWidths[width];
    const std::string file = path(QStringLiteral("%1-%2.onnx").arg(network).arg(width));
    const auto exported = exportCase(made, uniform(w.weight, w.activation, w.weightOptions, w.activationOptions, w.folded), file);
    QVERIFY2(exported, exported ? "" : exported.error().message.c_str());
    m_written << QString::fromStdString(file);
    const double size = take(exported->simulation->run(made.inputs)).abs().max().item().toDouble();
    for (const bool own : {true, false}) {
        const auto report = verifyCase(made, *exported, file, own);
        QVERIFY2(report, report ? "" : report.error().message.c_str());
        const QByteArray said = QByteArray::fromStdString(report->runtime + ", difference " + std::to_string(report->maxAbsDifference) + " of " +
                                 std::to_string(size) + ", levels " + std::to_string(report->differingLevels) + " from " +
                                 report->firstDifferingLayer);
        QVERIFY2(QByteArray::fromStdString(report->runtime).startsWith(own ? "Bitwright" : "ONNX Runtime"), said);
        // A value that lands on the border of two levels may fall to either side; beyond that nothing differs.
        if (own)
            QVERIFY2(report->differingLevels == 0 && report->maxAbsDifference <= 1e-6 * std::max(1.0, size), said);
        else if (report->differingLevels == 0)
            QVERIFY2(report->maxAbsDifference <= 1e-5 * std::max(1.0, size), said);
        else
            QVERIFY2(report->differingLevels <= (w.activation > 8 ? 200 : 8), said);
        QCOMPARE(report->samples, made.inputs.size(0));
    }
}

void TestOnnxQdq::checkerIsContent()
{
    QVERIFY(!m_written.isEmpty());
    const QString said = checkerMessage(m_written);
    QVERIFY2(said.isEmpty(), qPrintable(said));
}

void TestOnnxQdq::encodings()
{
    struct Row { int weight, activation; const char *weightOptions, *activationOptions, *encoding; std::int64_t opset, ir; };
    const Row rows[] = {
        {8, 8, "channel", "asymmetric", "int8 per channel, input uint8", 13, 7},
        {8, 8, "tensor asymmetric", "symmetric full", "uint8 per tensor, input int8", 13, 7},
        {4, 4, "tensor", "asymmetric", "int4 per tensor, input uint4", 21, 10},
        {3, 8, "channel", "asymmetric", "int4 per channel, input uint8", 21, 10},
        {2, 8, "channel", "asymmetric", "int2 per channel, input uint8", 25, 13},
        {5, 6, "channel", "asymmetric", "int8 per channel, input uint8 with a clip", 13, 7},
        {16, 12, "channel", "asymmetric", "int16 per channel, input uint16 with a clip", 21, 10},
        {32, 2, "", "asymmetric", "float32, input uint2", 25, 13},
    };
    const Case made = transposed();
    for (const Row &row : rows) {
        const std::string file = path(QStringLiteral("encoding.onnx"));
        const auto exported = exportCase(made, uniform(row.weight, row.activation, row.weightOptions, row.activationOptions, false), file);
        QVERIFY2(exported, exported ? "" : exported.error().message.c_str());
        QCOMPARE(QString::fromStdString(exported->report.layers.at(0).encoding), QString::fromLatin1(row.encoding));
        QCOMPARE(exported->report.layers.at(0).bits, row.weight);
        QCOMPARE(QString::fromStdString(exported->report.layers.at(0).name), QStringLiteral("up"));
        const auto model = onnx::readModel(file);
        QVERIFY(model);
        QCOMPARE(model->opsets.at(""), row.opset);
        QCOMPARE(model->irVersion, row.ir);
        QCOMPARE(QString::fromStdString(model->producerName), QStringLiteral("Bitwright"));
        QVERIFY(model->metadata.at("bitwright.assignment").contains("bitwright/assignment/1"));
        QCOMPARE(QString::fromStdString(model->graph.inputs.at(0).name), QStringLiteral("x"));
        QCOMPARE(QString::fromStdString(model->graph.inputs.at(0).shape.at(0).name), QStringLiteral("batch"));
        QCOMPARE(QString::fromStdString(model->graph.outputs.at(0).name), QStringLiteral("y1"));
        QCOMPARE(exported->report.bytes, std::int64_t(QFileInfo(QString::fromStdString(file)).size()));
        // Opened again it is a network with the same layers.
        const auto graph = loadGraph(file);
        QVERIFY2(graph, graph ? "" : graph.error().message.c_str());
        const auto again = Network::make(*graph, file);
        QStringList names;
        for (const LayerInfo &layer : again->summary().layers) {
            if (layer.status == LayerStatus::Quantizable)
                names << QString::fromStdString(layer.name);
        }
        QCOMPARE(names, (QStringList{QStringLiteral("up"), QStringLiteral("out")}));
    }
}

void TestOnnxQdq::namesTheLayerWithoutRange()
{
    const Case made = transposed();
    const auto config = resolve(uniform(8, 8, "", "", false), made.network->summary(), methodCatalog());
    QVERIFY(config);
    ExportInput input;
    input.graph = &made.network->graph();
    input.bindings = made.network->executor().bindings();
    input.config = *config;
    const auto report = findExporter("onnx")->write(input, path(QStringLiteral("x.onnx")), {});
    QVERIFY(!report);
    QCOMPARE(report.error().kind, ErrorKind::Invalid);
    QVERIFY(report.error().message.contains("layer up"));
    QVERIFY(report.error().message.contains("calibrate"));
}

void TestOnnxQdq::listsWhatItCannotWrite()
{
    B b;
    auto x = b.input({-1, 6});
    x = b.node("aten::cumsum", {x, B::of(std::int64_t(1))}, "sum");
    x = b.node("aten::relu", {x}, "relu");
    b.output(b.node("aten::digamma", {x}, "gamma"));
    const Case made = finish(b, at::rand({8, 6}));
    const auto exported = exportCase(made, {}, path(QStringLiteral("x.onnx")));
    QVERIFY(!exported);
    QCOMPARE(exported.error().kind, ErrorKind::Unsupported);
    QVERIFY2(exported.error().message.contains("aten::cumsum") && exported.error().message.contains("aten::digamma"),
             exported.error().message.c_str());
    QVERIFY(!exported.error().message.contains("aten::relu"));
    QVERIFY(!QFile::exists(m_folder.filePath(QStringLiteral("x.onnx"))));
}

void TestOnnxQdq::fullDiskIsOneSentence()
{
    const Case made = transposed();
    for (const char *target : {"/dev/full/x.onnx", "/nowhere/at/all.onnx"}) {
        const auto exported = exportCase(made, {}, target);
        QVERIFY(!exported);
        QCOMPARE(exported.error().kind, ErrorKind::Io);
        QVERIFY(exported.error().message.starts_with(target));
    }
    const auto folder = exportCase(made, {}, m_folder.path().toStdString());
    QVERIFY(!folder);
    QVERIFY(folder.error().message.contains("is a folder"));
    // Nothing is left lying.
    QCOMPARE(QDir(m_folder.path()).entryList({QStringLiteral("*.part-*")}, QDir::Files).size(), 0);
}

void TestOnnxQdq::capabilities()
{
    const Exporter *onnx = findExporter("onnx");
    QVERIFY(onnx && onnx->write);
    QVERIFY(onnx->capabilities.uniform && onnx->capabilities.perChannelWeights && onnx->capabilities.codebook);
    QVERIFY(!findExporter("gif"));
    const Case made = transposed();
    auto config = *resolve(uniform(8, 8, "", "", false), made.network->summary(), methodCatalog());
    QVERIFY(exportLimits(*onnx, config).empty());
    config.at("up").weight.bits = 20;
    const ExportLimits limits = exportLimits(*onnx, config);
    QCOMPARE(limits.refused.size(), std::size_t(1));
    QVERIFY(limits.refused[0].contains("layer up"));
}

QTEST_APPLESS_MAIN(TestOnnxQdq)
#include "tst_onnx_qdq.moc"
