// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/rewrites/fold_batch_norm.h"

#include "frontends/frontend.h"
#include "graph/layer_list.h"
#include "graph_builder.h"
#include "test_models.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

std::string g_folder, g_special;

at::Tensor scores(const Graph &graph, const at::Tensor &input, const ParameterMap &overrides = {})
{
    const Executor executor(std::make_shared<Graph>(graph));
    return runAll(executor, {input}, {}, overrides)[0].toTensor();
}

/// A layer of one weight, and the batch norm of methods.md A6's example.
Graph example(bool withBias)
{
    GraphBuilder b;
    const Argument x = b.input({-1, 1, 2, 2});
    const Argument w = b.parameter("c.weight", at::full({1, 1, 1, 1}, 2.0));
    const Argument bias = withBias ? b.parameter("c.bias", at::full({1}, 0.5)) : b.none();
    const Argument c = b.node("aten::conv2d", {x, w, bias}, "c");
    const auto one = [&](const char *name, double value) { return b.parameter(name, at::full({1}, value)); };
    b.output(b.node("aten::batch_norm", {c, one("n.weight", 1.5), one("n.bias", -0.25), one("n.running_mean", 0.75),
                                         one("n.running_var", 3.99), b.of(false), b.of(0.1), b.of(0.01), b.of(false)}));
    return b.graph;
}

} // namespace

class TestFoldBatchNorm : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase()
    {
        at::set_num_threads(1);
        g_folder = modelFolder();
        g_special = modelFolder(QStringLiteral("make_pt2.py"), QStringLiteral("test_pt2"));
        QVERIFY(!g_folder.empty() && !g_special.empty());
    }

    void workedExample()
    {
        // w = 2, b = 0.5, gamma = 1.5, beta = -0.25, mean = 0.75, var = 3.99, eps = 0.01 → w' = 1.5, b' = -0.4375
        const FoldedGraph folded = foldBatchNorm(example(true));
        QCOMPARE(folded.folds.size(), std::size_t(1));
        QCOMPARE(folded.folds[0].layer, std::string("c"));
        QCOMPARE(folded.graph.nodes.size(), std::size_t(1));
        QVERIFY(std::abs(folded.graph.parameter("c.weight")->tensor.item<double>() - 1.5) < 1e-6);
        QVERIFY(std::abs(folded.graph.parameter("c.bias")->tensor.item<double>() + 0.4375) < 1e-6);
        QVERIFY(!folded.graph.parameter("n.weight"));
        const FoldedGraph bare = foldBatchNorm(example(false));   // b = 0: b' = -0.75 · 0.75 - 0.25
        QCOMPARE(bare.folds[0].originalBias, std::string());
        QVERIFY(std::abs(bare.graph.parameter("c.bias")->tensor.item<double>() + 0.8125) < 1e-6);
        QVERIFY(bare.graph.parameter("c.bias")->trainable);
    }

    void outputsStay_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<int>("folds");
        QTest::newRow("resnet20") << QStringLiteral("resnet20") << 21;
        QTest::newRow("vgg_small") << QStringLiteral("vgg_small") << 6;
        QTest::newRow("mobilenetv2_small") << QStringLiteral("mobilenetv2_small") << 26;
        QTest::newRow("transposed, groups, linear") << QStringLiteral("transposed") << 3;
        QTest::newRow("core operators") << QStringLiteral("vgg_core") << 6;
        QTest::newRow("nothing to fold") << QStringLiteral("concat") << 0;
    }
    void outputsStay()
    {
        QFETCH(QString, name);
        QFETCH(int, folds);
        const std::string own = g_special + "/" + name.toStdString(), shared = g_folder + "/" + name.toStdString();
        const std::string base = QFile::exists(QString::fromStdString(own + ".pt2")) ? own : shared;
        const auto graph = loadGraph(base + ".pt2");
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        const Expected expected = readExpected(base + ".expected");
        const FoldedGraph folded = foldBatchNorm(*graph);
        QCOMPARE(int(folded.folds.size()), folds);
        const at::NoGradGuard noGrad;
        const at::Tensor input = expected.at("in0").narrow(0, 0, 5).contiguous();
        const at::Tensor before = scores(*graph, input), after = scores(folded.graph, input);
        QVERIFY2(difference(after, before) < 1e-5, qPrintable(QString::number(difference(after, before))));
        // The original stays as it was, and folding a folded graph does nothing.
        QVERIFY(at::equal(scores(*graph, input), before));
        QCOMPARE(foldBatchNorm(folded.graph).folds.size(), std::size_t(0));
        const auto names = [](const Graph &g) {
            QStringList list;
            for (const LayerBinding &binding : listLayers(g))
                if (binding.info.status == LayerStatus::Quantizable)
                    list << QString::fromStdString(binding.info.name);
            return list;
        };
        QCOMPARE(names(folded.graph), names(*graph));
    }

    void applyIsDifferentiable()
    {
        const auto graph = loadGraph(g_folder + "/vgg_small.pt2");
        QVERIFY(graph.has_value());
        const FoldedGraph folded = foldBatchNorm(*graph);
        const Expected expected = readExpected(g_folder + "/vgg_small.expected");
        const at::Tensor input = expected.at("in0").narrow(0, 0, 3).contiguous();
        const auto leaves = [&] {
            ParameterMap map;
            for (const Parameter &parameter : graph->parameters)
                map[parameter.name] = parameter.trainable ? parameter.tensor.clone().requires_grad_(true) : parameter.tensor;
            return map;
        };
        const ParameterMap plain = leaves(), through = leaves();
        (scores(*graph, input, plain) * expected.at("cot0")).sum().backward();
        (scores(folded.graph, input, folded.apply(through)) * expected.at("cot0")).sum().backward();
        for (const auto &[name, leaf] : plain)
            if (leaf.requires_grad())
                QVERIFY2(difference(through.at(name).grad(), leaf.grad()) < 1e-4, name.c_str());
    }

    void whatElseReadsTheLayerForbidsIt()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 2, 4, 4});
        const Argument w = b.parameter("c.weight", at::randn({2, 2, 3, 3}));
        const Argument c = b.node("aten::conv2d", {x, w}, "c");
        const Argument n = b.batchNorm(c, "n", 2);
        b.output(b.node("aten::add.Tensor", {n, c}, "sum"));
        QCOMPARE(foldSites(b.graph).size(), std::size_t(0));
        GraphBuilder tied;
        const Argument y = tied.input({-1, 2, 4, 4});
        const Argument v = tied.parameter("c.weight", at::randn({2, 2, 1, 1}));
        const Argument first = tied.batchNorm(tied.node("aten::conv2d", {y, v}, "c1"), "n1", 2);
        tied.output(tied.batchNorm(tied.node("aten::conv2d", {first, v}, "c2"), "n2", 2));
        QCOMPARE(foldSites(tied.graph).size(), std::size_t(0));
        GraphBuilder rows;   // over three dimensions batch norm does not normalize a linear layer's outputs
        const Argument z = rows.input({-1, 5, 3});
        const Argument u = rows.parameter("fc.weight", at::randn({5, 3}));
        rows.output(rows.batchNorm(rows.node("aten::linear", {z, u}, "fc"), "n", 5));
        QCOMPARE(foldSites(rows.graph).size(), std::size_t(0));
    }

    void aSharedBiasIsCopied()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 2});
        const Argument bias = b.parameter("bias", at::randn({2}));
        const Argument v = b.parameter("a.weight", at::randn({2, 2})), w = b.parameter("b.weight", at::randn({2, 2}));
        const Argument n = b.batchNorm(b.node("aten::linear", {x, v, bias}, "a"), "n", 2);
        b.output(b.node("aten::linear", {n, w, bias}, "b"));
        const at::Tensor input = at::randn({4, 2});
        const FoldedGraph folded = foldBatchNorm(b.graph);
        QCOMPARE(folded.folds[0].bias, std::string("a.bias"));
        QVERIFY(at::allclose(scores(folded.graph, input), scores(b.graph, input), 1e-5, 1e-5));
    }
};

QTEST_APPLESS_MAIN(TestFoldBatchNorm)
#include "tst_fold_batch_norm.moc"
