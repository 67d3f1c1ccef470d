// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/layer_list.h"

#include "frontends/frontend.h"
#include "graph_builder.h"
#include "test_models.h"

#include <ATen/Parallel.h>

#include <set>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

std::string g_folder, g_special;

ModelSummary summaryOf(const std::string &path)
{
    auto graph = loadGraph(path);
    if (!graph)
        throw std::runtime_error(graph.error().message);
    return summarize(*graph, listLayers(*graph), path, probeShapes(*graph));
}

const LayerInfo &layer(const std::vector<LayerBinding> &bindings, const std::string &name)
{
    for (const LayerBinding &binding : bindings)
        if (binding.info.name == name)
            return binding.info;
    throw std::runtime_error("no layer " + name);
}

} // namespace

class TestLayerList : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase()
    {
        at::set_num_threads(1);
        g_folder = modelFolder();
        g_special = modelFolder(QStringLiteral("make_pt2.py"), QStringLiteral("test_pt2"));
        QVERIFY(!g_folder.empty() && !g_special.empty());
    }

    void resnet20()
    {
        const ModelSummary summary = summaryOf(g_folder + "/resnet20.pt2");
        QCOMPARE(summary.format, std::string("pt2"));
        QCOMPARE(summary.sha256.size(), std::size_t(64));
        QCOMPARE(summary.parameters, 272186);   // sum(p.numel() for p in model.parameters())
        QCOMPARE(summary.nodes, 73);
        QCOMPARE(summary.operators.at("conv2d"), 21);
        QCOMPARE(summary.operators.at("batch_norm"), 21);
        QCOMPARE(summary.operators.at("linear"), 1);
        QCOMPARE(summary.inputs.size(), std::size_t(1));
        QCOMPARE(summary.outputs.size(), std::size_t(1));
        QCOMPARE(summary.outputs[0].shape, (Shape{-1, 10}));
        QCOMPARE(summary.outputs[0].dtype, std::string("float32"));
        int quantizable = 0, norms = 0;
        std::int64_t macs = 0, parameters = 0;
        for (const LayerInfo &info : summary.layers) {
            quantizable += info.status == LayerStatus::Quantizable;
            norms += info.op == "batch_norm";
            macs += info.macs;
            parameters += info.parameters();
            QVERIFY(info.reason.empty() == (info.status == LayerStatus::Quantizable));
        }
        QCOMPARE(quantizable, 22);
        QCOMPARE(norms, 21);
        QCOMPARE(parameters, summary.parameters);
        // 28x28: stem 144, stage 1 6·2304, stage 2 (4608 + 5·9216 + 512 at 14x14), stage 3 (18432 + 5·36864 + 2048 at 7x7), fc 640
        QCOMPARE(macs, 784 * (144 + 6 * 2304) + 196 * (4608 + 5 * 9216 + 512) + 49 * (18432 + 5 * 36864 + 2048) + 640);
        const LayerInfo *conv = summary.layer("layer2.0.conv1");
        QVERIFY(conv);
        QCOMPARE(conv->op, std::string("conv2d"));
        QCOMPARE(conv->weightShape, (Shape{32, 16, 3, 3}));
        QCOMPARE(conv->macs, 196 * 4608);
        QCOMPARE(conv->batchNorm, std::string("layer2.0.bn1"));
        QCOMPARE(conv->batchNormCount, 64);
        QVERIFY(conv->nonNegativeInput);
        QVERIFY(!summary.layer("conv1")->nonNegativeInput);
        QVERIFY(summary.layer("fc")->nonNegativeInput);
        QCOMPARE(summary.layer("fc")->biasCount, 10);
    }

    /// 1x1 convolutions on a skip path, and those that expand and project in a line of layers.
    void shortcuts()
    {
        std::set<std::string> found;
        for (const LayerInfo &info : summaryOf(g_folder + "/resnet20.pt2").layers)
            if (info.shortcut)
                found.insert(info.name);
        QVERIFY((found == std::set<std::string>{"layer2.0.shortcut.0", "layer3.0.shortcut.0"}));
        int pointwise = 0;
        for (const LayerInfo &info : summaryOf(g_folder + "/mobilenetv2_small.pt2").layers) {
            pointwise += info.op == "conv2d" && info.weightShape[2] == 1;
            QVERIFY2(!info.shortcut, info.name.c_str());
        }
        QVERIFY(pointwise > 10);
    }

    void shortcutsByHand_data()
    {
        QTest::addColumn<int>("kernel");
        QTest::addColumn<bool>("pooled");
        QTest::addColumn<bool>("batchNorm");
        QTest::addColumn<bool>("activation");
        QTest::addColumn<bool>("shortcut");
        QTest::newRow("plain") << 1 << false << false << false << true;
        QTest::newRow("batch norm") << 1 << false << true << false << true;
        QTest::newRow("pooled first") << 1 << true << true << false << true;
        QTest::newRow("3x3") << 3 << false << false << false << false;
        QTest::newRow("activation between") << 1 << false << true << true << false;
    }
    /// x -> 3x3 -> ReLU -> 1x1 -> add <- skip <- x: the 1x1 in the body is none whatever the skip path is.
    void shortcutsByHand()
    {
        QFETCH(int, kernel);
        QFETCH(bool, pooled);
        QFETCH(bool, batchNorm);
        QFETCH(bool, activation);
        QFETCH(bool, shortcut);
        GraphBuilder b;
        const auto convolution = [&](const Argument &x, const std::string &name, std::int64_t size, std::int64_t stride) {
            const Argument weight = b.parameter(name + ".weight", at::randn({4, 4, size, size}));
            return b.node("aten::conv2d", {x, weight, b.none(), b.ints({stride, stride}), b.ints({size / 2, size / 2})}, name);
        };
        const Argument x = convolution(b.input({-1, 4, 8, 8}), "stem", 1, 1);
        const Argument body = convolution(b.node("aten::relu", {convolution(x, "body1", 3, 2)}), "body2", 1, 1);
        Argument skip = pooled ? b.node("aten::avg_pool2d", {x, b.ints({2, 2})}) : x;
        skip = convolution(skip, "skip", kernel, pooled ? 1 : 2);
        if (batchNorm)
            skip = b.batchNorm(skip, "norm", 4);
        if (activation)
            skip = b.node("aten::relu", {skip});
        b.output(b.node("aten::add.Tensor", {body, skip}));
        const auto bindings = listLayers(b.graph);
        QCOMPARE(layer(bindings, "skip").shortcut, shortcut);
        for (const char *name : {"stem", "body1", "body2"})
            QVERIFY2(!layer(bindings, name).shortcut, name);
    }

    void depthwise()
    {
        const ModelSummary summary = summaryOf(g_folder + "/mobilenetv2_small.pt2");
        const LayerInfo *conv = summary.layer("blocks.1.depthwise.0");
        QVERIFY(conv);
        QCOMPARE(conv->groups, 64);
        QCOMPARE(conv->macs, 14 * 14 * 64 * 9);
        QVERIFY(conv->nonNegativeInput);                              // after ReLU6
        QVERIFY(!summary.layer("blocks.1.expand.0")->nonNegativeInput);   // after a linear bottleneck
    }

    void transposed()
    {
        const ModelSummary summary = summaryOf(g_special + "/transposed.pt2");
        const LayerInfo *up = summary.layer("up1");
        QVERIFY(up);
        QCOMPARE(up->op, std::string("conv_transpose2d"));
        QCOMPARE(up->channelAxis, 1);
        QCOMPARE(up->groups, 2);
        QCOMPARE(up->macs, 4 * 25 * 3 * 9);       // each of 4x5x5 inputs meets 3 outputs x 9 taps
        QCOMPARE(up->batchNorm, std::string("bn1"));
        QCOMPARE(summary.layer("fc")->batchNorm, std::string("bn3"));
        QVERIFY(summary.layer("last")->nonNegativeInput);   // Hardtanh(0, 3)
        QVERIFY(summary.layer("fc")->nonNegativeInput);
    }

    void fixedBatchCountsPerSample()
    {
        const ModelSummary summary = summaryOf(g_special + "/fixed.pt2");
        QCOMPARE(summary.fixedBatch, 5);
        QCOMPARE(summary.layer("body.0")->macs, 36 * 4 * 27);
        QCOMPARE(summary.layer("fc")->macs, 12);
        QCOMPARE(summary.outputs[0].shape, (Shape{5, 3}));
    }

    void aLayerUsedTwiceIsOneLayer()
    {
        const ModelSummary summary = summaryOf(g_special + "/dictionary.pt2");
        QCOMPARE(summary.layers.size(), std::size_t(1));
        QCOMPARE(summary.layers[0].name, std::string("a"));
        QCOMPARE(summary.layers[0].calls, 2);
        QCOMPARE(summary.layers[0].macs, 32);
        QCOMPARE(summary.layers[0].status, LayerStatus::Quantizable);
    }

    void everythingElseIsFloatWithAReason()
    {
        GraphBuilder b;
        const Argument words = b.input({-1, 6}, "words", "int64");
        const Argument table = b.parameter("embedding.weight", at::randn({20, 4}));
        const Argument e = b.node("aten::embedding", {table, words}, "embedding");
        const Argument scale = b.parameter("scale", at::randn({4}));
        const Argument s = b.node("aten::mul.Tensor", {e, scale}, "scaled");
        const Argument made = b.node("aten::mul.Scalar", {b.parameter("raw", at::randn({4, 4})), b.of(2)}, "made");
        const Argument computed = b.node("aten::linear", {s, made}, "computed");
        b.output(b.node("aten::linear", {computed, table}, "tied"));
        const auto bindings = listLayers(b.graph);
        QCOMPARE(layer(bindings, "scale").reason, std::string("mul is computed in float"));
        QCOMPARE(layer(bindings, "computed").reason, std::string("its weight is computed while the network runs"));
        QCOMPARE(layer(bindings, "embedding").status, LayerStatus::Quantizable);
        QCOMPARE(layer(bindings, "embedding").op, std::string("linear"));
        for (const LayerBinding &binding : bindings)
            QVERIFY(binding.info.name == "embedding" || (binding.info.status == LayerStatus::Float && !binding.info.reason.empty()));
    }

    void signOfTheInput_data()
    {
        QTest::addColumn<QString>("op");
        QTest::addColumn<double>("low");
        QTest::addColumn<bool>("nonNegative");
        QTest::newRow("relu") << QStringLiteral("aten::relu") << 0.0 << true;
        QTest::newRow("sigmoid") << QStringLiteral("aten::sigmoid") << 0.0 << true;
        QTest::newRow("tanh") << QStringLiteral("aten::tanh") << 0.0 << false;
        QTest::newRow("silu") << QStringLiteral("aten::silu") << 0.0 << false;
        QTest::newRow("hardtanh 0") << QStringLiteral("aten::hardtanh") << 0.0 << true;
        QTest::newRow("hardtanh -1") << QStringLiteral("aten::hardtanh") << -1.0 << false;
        QTest::newRow("clamp 0.5") << QStringLiteral("aten::clamp") << 0.5 << true;
    }
    void signOfTheInput()
    {
        QFETCH(QString, op);
        QFETCH(double, low);
        QFETCH(bool, nonNegative);
        GraphBuilder b;
        const Argument x = b.input({-1, 2, 4, 4});
        std::vector<Argument> arguments{x};
        if (op == QStringLiteral("aten::hardtanh") || op == QStringLiteral("aten::clamp")) {
            arguments.push_back(b.of(low));
            arguments.push_back(b.of(6.0));
        }
        const Argument y = b.node(op.toStdString(), arguments);
        const Argument pooled = b.node("aten::max_pool2d", {y, b.ints({2, 2})});
        const Argument both = b.node("aten::cat", {Argument::of(std::vector<Argument>{pooled, b.node("aten::relu", {pooled})}), b.of(1)});
        const Argument flat = b.node("aten::flatten.using_ints", {both, b.of(1)});
        b.output(b.node("aten::linear", {flat, b.parameter("fc.weight", at::randn({3, 16}))}));
        QCOMPARE(listLayers(b.graph).at(0).info.nonNegativeInput, nonNegative);
    }

    void sizesStayUnknownWhereTheRunFails()
    {
        GraphBuilder b;
        const Argument x = b.input({});
        b.output(b.node("aten::linear", {x, b.parameter("fc.weight", at::randn({3, 16}))}, "fc"));
        const auto bindings = listLayers(b.graph);
        QCOMPARE(bindings.at(0).info.macs, 0);
        QCOMPARE(bindings.at(0).info.status, LayerStatus::Quantizable);
        const ModelSummary summary = summarize(b.graph, bindings, "nowhere", probeShapes(b.graph));
        QCOMPARE(summary.outputs.size(), std::size_t(1));
        QVERIFY(summary.sha256.empty());
    }
};

QTEST_APPLESS_MAIN(TestLayerList)
#include "tst_layer_list.moc"
